//! `PutRecord`: stores one record.
//!
//! `SequenceNumberForOrdering` is checked and otherwise needless: a shard's numbers always increase.

use std::iter;

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{
    Operation,
    entry::{self, Destination, Entry},
};
use crate::local::{
    api_error::ApiError,
    core::Core,
    protocol::values::Blob,
    state::{
        sequence::{Number, created_seconds_of_version_1},
        stream::{Stream, StreamState},
    },
    stream_ref::StreamRef,
    validate::SEQUENCE_NUMBER,
};

pub(in crate::local) struct PutRecord;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    pub(in crate::local) data: Option<Blob>,
    pub(in crate::local) partition_key: Option<ByteString>,
    pub(in crate::local) explicit_hash_key: Option<String>,
    pub(super) sequence_number_for_ordering: Option<String>,
    pub(in crate::local) dry_run: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    pub(in crate::local) shard_id: ByteString,
    pub(in crate::local) sequence_number: ByteString,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) encryption_type: Option<&'static str>,
}

impl Operation for PutRecord {
    const NAME: &'static str = "PutRecord";
    const CALLS_PER_SECOND: Option<u32> = None;
    type Request = Request;
    type Response = Response;

    fn shards(core: &Core, request: &Request) -> Vec<ByteString> {
        let record = Entry {
            data: None,
            partition_key: request.partition_key.clone(),
            explicit_hash_key: request.explicit_hash_key.clone(),
        };
        entry::shard_ids(core, &request.stream, iter::once(&record))
    }

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let ordering = request.sequence_number_for_ordering.as_deref();
        let record = Entry {
            data: request.data,
            partition_key: request.partition_key,
            explicit_hash_key: request.explicit_hash_key,
        };
        let may_lack_key = record.partition_key.is_none() && core.is_distributed(&request.stream);
        let mut checks = request.stream.checks();
        record.check(&mut checks, &String::new, may_lack_key);
        checks.text("sequenceNumberForOrdering", ordering, SEQUENCE_NUMBER);
        checks.finish()?;

        let (stream, now_millis) = core.named_usable(&request.stream)?;
        let state = stream.read(now_millis);
        record.check_size(state.record_bytes_max(), &String::new)?;
        let hash_key = record.hash_key()?;
        check_ordering(ordering, &stream, &state, now_millis)?;
        if request.dry_run == Some(true) {
            return Err(ApiError::dry_run_passed());
        }
        let destination = Destination {
            stream: &stream,
            state: &state,
            now_millis,
            limited: core.settings.enforce_limits,
        };
        let stored = destination.store(record, hash_key, |_| None)?;
        stream.mark_records();
        Ok(Response {
            shard_id: stored.shard_id,
            sequence_number: stored.sequence_number,
            encryption_type: state.key_id.is_some().then_some("KMS"),
        })
    }
}

/// Checks that the number is one of the service's, and not of the future.
///
/// A shard that a reshard has just made stands in its numbers with a second that may still be to come.
fn check_ordering(
    text: Option<&str>,
    stream: &Stream,
    state: &StreamState,
    now_millis: u64,
) -> Result<(), ApiError> {
    let Some(text) = text else {
        return Ok(());
    };
    let now_seconds = now_millis / 1000;
    let is_past = match Number::parse(text) {
        Some(number) => {
            let shard = state.topology.shard(number.shard_index);
            let created = shard.map_or(0, |shard| shard.created_seconds);
            number.arrived_seconds <= now_seconds
                && number.created_seconds <= now_seconds.max(created)
        }
        None => created_seconds_of_version_1(text).is_some_and(|created| created <= now_seconds),
    };
    if is_past {
        return Ok(());
    }
    Err(ApiError::invalid_argument(format!(
        "ExclusiveMinimumSequenceNumber {text} used in PutRecord on stream {} under account {} is invalid.",
        stream.name, stream.account_id
    )))
}
