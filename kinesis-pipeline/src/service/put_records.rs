use std::sync::Arc;

use super::{ErrorClass, StreamId};
use crate::{
    record::EncodedRecord,
    shard::{SequenceNumber, ShardId},
};

/// A call that stores records, each of which succeeds or fails alone.
///
/// The service takes 1 to 500 records and 10 MiB a call, keys included.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PutRecords {
    /// The stream to put to.
    pub stream: StreamId,
    /// The records. The service promises no order among them. Shared, so that a retry needs no copy.
    pub records: Arc<Vec<EncodedRecord>>,
}

impl PutRecords {
    /// Makes a call that stores these records.
    #[must_use]
    pub fn new(stream: StreamId, records: Vec<EncodedRecord>) -> Self {
        Self {
            stream,
            records: Arc::new(records),
        }
    }
}

/// The answer to a [`PutRecords`] call: one result per record.
#[derive(Debug)]
#[non_exhaustive]
pub struct PutRecordsAnswer {
    /// One result per record, in the order of the call.
    pub results: Vec<Result<StoredAt, EntryFailure>>,
}

impl PutRecordsAnswer {
    /// Makes an answer with these results.
    #[must_use]
    pub fn new(results: Vec<Result<StoredAt, EntryFailure>>) -> Self {
        Self { results }
    }
}

/// The place where the service stored one record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredAt {
    /// The shard that took the record.
    pub shard_id: ShardId,
    /// The record's sequence number.
    pub sequence_number: SequenceNumber,
}

impl StoredAt {
    /// Makes a place in a shard.
    #[must_use]
    pub fn new(shard_id: ShardId, sequence_number: SequenceNumber) -> Self {
        Self {
            shard_id,
            sequence_number,
        }
    }
}

/// The failure of one record in a call that succeeded as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
#[non_exhaustive]
pub struct EntryFailure {
    /// The class of the failure.
    pub class: ErrorClass,
    /// The service's code, such as `ProvisionedThroughputExceededException`.
    pub code: String,
    /// The service's message.
    pub message: String,
}

impl EntryFailure {
    /// Makes a failure with the service's code and message.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        let code = code.into();
        Self {
            class: ErrorClass::of_code(&code),
            code,
            message: message.into(),
        }
    }
}
