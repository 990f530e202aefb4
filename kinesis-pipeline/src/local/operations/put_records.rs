//! `PutRecords`: stores up to 500 records, each alone.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{
    Operation,
    entry::{self, Destination, Entry},
};
use crate::local::{
    api_error::ApiError, core::Core, faults::Refusals, state::shard::Shard, stream_ref::StreamRef,
    validate::Checks,
};

/// The most records a call takes.
const RECORDS_MAX: usize = 500;
/// The most bytes a call takes, data and keys together.
const REQUEST_BYTES_MAX: usize = 10 * 1024 * 1024;

pub(in crate::local) struct PutRecords;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    pub(in crate::local) records: Option<Vec<Entry>>,
    pub(in crate::local) dry_run: Option<bool>,
    #[serde(skip)]
    pub(in crate::local) refusals: Refusals,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    pub(super) failed_record_count: u32,
    pub(in crate::local) records: Vec<ResultEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) encryption_type: Option<&'static str>,
}

/// The result of one record: the first two members, or the last two.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct ResultEntry {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) sequence_number: Option<ByteString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) shard_id: Option<ByteString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) error_message: Option<String>,
}

impl Operation for PutRecords {
    const NAME: &'static str = "PutRecords";
    const CALLS_PER_SECOND: Option<u32> = None;
    type Request = Request;
    type Response = Response;

    fn shards(core: &Core, request: &Request) -> Vec<ByteString> {
        entry::shard_ids(core, &request.stream, request.records.iter().flatten())
    }

    fn entries(request: &Request) -> usize {
        request.records.as_ref().map_or(0, Vec::len)
    }

    fn refuse(request: &mut Request, refusals: Refusals) {
        request.refusals = refusals;
    }

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let mut checks = request.stream.checks();
        let records = checks.required("records", request.records);
        check_count(&mut checks, records.len());
        let lacks_key = records.iter().any(|record| record.partition_key.is_none());
        let may_lack_key = lacks_key && core.is_distributed(&request.stream);
        for (index, record) in records.iter().enumerate() {
            let place = || format!("records.{}.member.", index + 1);
            record.check(&mut checks, &place, may_lack_key);
        }
        checks.finish()?;
        let bytes: usize = records.iter().map(Entry::size_bytes).sum();
        if bytes > REQUEST_BYTES_MAX {
            return Err(ApiError::invalid_argument(format!(
                "Records size exceeds 10 MB limit: {bytes} bytes."
            )));
        }

        let (stream, now_millis) = core.named_usable(&request.stream)?;
        let state = stream.read(now_millis);
        let mut hash_keys = Vec::with_capacity(records.len());
        for (index, record) in records.iter().enumerate() {
            let place = &|| format!("records.{}.member.", index + 1);
            record.check_size(state.record_bytes_max(), place)?;
            hash_keys.push(record.hash_key()?);
        }
        if request.dry_run == Some(true) {
            return Err(ApiError::dry_run_passed());
        }
        let destination = Destination {
            stream: &stream,
            state: &state,
            now_millis,
            limited: core.settings.enforce_limits,
        };
        let entries = records.into_iter().zip(hash_keys).enumerate();
        let results: Vec<ResultEntry> = entries
            .map(|(index, (record, hash_key))| {
                let refused = |shard: &Shard| request.refusals.of(index, &shard.id).cloned();
                destination
                    .store(record, hash_key, refused)
                    .map_or_else(ResultEntry::failed, ResultEntry::stored)
            })
            .collect();
        stream.mark_records();
        let failed = results.iter().filter(|entry| entry.error_code.is_some());
        Ok(Response {
            failed_record_count: u32::try_from(failed.count()).unwrap_or(u32::MAX),
            records: results,
            encryption_type: state.key_id.is_some().then_some("KMS"),
        })
    }
}

impl ResultEntry {
    fn stored(stored: entry::Stored) -> Self {
        Self {
            sequence_number: Some(stored.sequence_number),
            shard_id: Some(stored.shard_id),
            ..Self::default()
        }
    }

    fn failed(error: ApiError) -> Self {
        Self {
            error_code: Some(error.code),
            error_message: Some(error.message),
            ..Self::default()
        }
    }
}

fn check_count(checks: &mut Checks, count: usize) {
    if count == 0 {
        checks.length("records", &"[]", "greater", 1);
    }
    if count > RECORDS_MAX {
        let words = format!("[{count} records]");
        checks.length("records", &words, "less", RECORDS_MAX);
    }
}
