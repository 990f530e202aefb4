use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::{ShardIterator, StreamId};
use crate::{
    record::PartitionKey,
    shard::{HashKeyRange, SequenceNumber, ShardId},
};

/// A call that reads one page of a shard. The service allows 5 calls and 2 MiB a second and shard.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GetRecords {
    /// The stream; the service needs it when the stream goes by its ARN.
    pub stream: StreamId,
    /// The iterator, from [`GetShardIterator`](super::GetShardIterator) or the page before.
    pub iterator: ShardIterator,
    /// The largest number of records, 1 to 10,000; the service's default is 10,000.
    pub limit: Option<u32>,
}

impl GetRecords {
    /// Makes a call for the page at this iterator.
    #[must_use]
    pub fn new(stream: StreamId, iterator: ShardIterator) -> Self {
        Self {
            stream,
            iterator,
            limit: None,
        }
    }

    /// Limits the page to `limit` records.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// The largest number of records that the service puts into one page.
pub(crate) const PAGE_RECORDS_MAX: u32 = 10_000;

/// One page of a shard: up to 10,000 records or 10 MiB.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RecordPage {
    /// The records, by increasing sequence number. An empty page does not mean that the shard is at its tip.
    pub records: Vec<StoredRecord>,
    /// The iterator of the next page; `None` at the end of a closed shard.
    pub next_iterator: Option<ShardIterator>,
    /// The lag of the page behind the tip of the shard; `None` if the service does not say.
    pub behind_latest: Option<Duration>,
    /// The child shards, which took over the keys, at the end of a closed shard. Some servers leave them out.
    pub child_shards: Vec<ChildShard>,
}

/// A record as the service stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredRecord {
    /// The record's number in its shard.
    pub sequence_number: SequenceNumber,
    /// The time at which the service took the record, in whole milliseconds.
    pub arrived_at: SystemTime,
    /// The record's bytes. Those of up to 8 KiB may share an allocation of up to 64 KiB with their neighbours in the page:
    /// copy them to keep one record of many for long.
    pub data: Bytes,
    /// The record's partition key.
    pub partition_key: PartitionKey,
    /// The encryption at rest; `None` if the service does not say.
    pub encryption_type: Option<EncryptionType>,
}

impl StoredRecord {
    /// Makes a record with these bytes, not encrypted.
    #[must_use]
    pub fn new(
        sequence_number: SequenceNumber,
        arrived_at: SystemTime,
        data: Bytes,
        partition_key: PartitionKey,
    ) -> Self {
        Self {
            sequence_number,
            arrived_at,
            data,
            partition_key,
            encryption_type: None,
        }
    }
}

/// The encryption of records at rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EncryptionType {
    /// No encryption.
    None,
    /// Encryption with a key of AWS KMS.
    Kms,
}

/// A shard that took over keys of a closed shard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildShard {
    /// The child's id.
    pub shard_id: ShardId,
    /// Its parents: one after a split, two after a merge.
    pub parents: Vec<ShardId>,
    /// The hash keys that it takes.
    pub hash_key_range: HashKeyRange,
}

impl ChildShard {
    /// Makes a child of these parents.
    #[must_use]
    pub fn new(shard_id: ShardId, parents: Vec<ShardId>, hash_key_range: HashKeyRange) -> Self {
        Self {
            shard_id,
            parents,
            hash_key_range,
        }
    }
}
