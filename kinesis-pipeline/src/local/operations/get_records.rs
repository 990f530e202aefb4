//! `GetRecords`: one page of a shard.

use bytestring::ByteString;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Operation,
    shapes::{ChildShard, Record, child_shards},
};
use crate::local::{
    api_error::ApiError,
    core::Core,
    state::{
        iterator::IteratorToken,
        shard::shard_id,
        stream::{Stream, shard_missing},
    },
    validate::{Checks, SHARD_ITERATOR, STREAM_ARN},
};

/// The most records of a page.
const RECORDS_MAX: i64 = 10_000;
/// The most bytes of a page, data and keys together.
const PAGE_BYTES_MAX: usize = 10 * 1024 * 1024;

pub(in crate::local) struct GetRecords;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    pub(in crate::local) shard_iterator: Option<String>,
    pub(in crate::local) limit: Option<i64>,
    #[serde(rename = "StreamARN")]
    pub(in crate::local) stream_arn: Option<String>,
    pub(in crate::local) dry_run: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    pub(in crate::local) records: Vec<Record>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) next_shard_iterator: Option<String>,
    pub(in crate::local) millis_behind_latest: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) child_shards: Option<Vec<ChildShard>>,
}

impl Operation for GetRecords {
    const NAME: &'static str = "GetRecords";
    const CALLS_PER_SECOND: Option<u32> = None;
    type Request = Request;
    type Response = Response;

    fn shards(_: &Core, request: &Request) -> Vec<ByteString> {
        let iterator = request
            .shard_iterator
            .as_deref()
            .and_then(IteratorToken::parse);
        iterator
            .map(|iterator| shard_id(iterator.shard_index))
            .into_iter()
            .collect()
    }

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let mut checks = Checks::new();
        let iterator = request.shard_iterator.as_deref();
        let iterator = checks.required_text("shardIterator", iterator, SHARD_ITERATOR);
        checks.number("limit", request.limit, 1, RECORDS_MAX);
        checks.text("streamARN", request.stream_arn.as_deref(), STREAM_ARN);
        checks.finish()?;

        let now_millis = core.now_millis();
        let iterator = read_iterator(iterator, now_millis)?;
        let name = Some(iterator.stream.as_str());
        core.stream_name(name, request.stream_arn.as_deref())?;
        // The service misses the shard, not the stream, and so it does in a stream that was made again.
        let stream = core
            .usable_stream(name, None, now_millis)
            .ok()
            .filter(|stream| stream.generation == iterator.generation)
            .ok_or_else(|| missing(core, &iterator))?;
        let limit = usize::try_from(request.limit.unwrap_or(RECORDS_MAX)).unwrap_or(usize::MAX);
        if request.dry_run == Some(true) {
            return Err(dry_run(&stream, &iterator, now_millis));
        }
        page(
            &stream,
            iterator,
            limit,
            core.settings.enforce_limits,
            now_millis,
        )
    }
}

/// Returns the answer to a request that asks for its checks alone; the last of them is that the shard is there.
fn dry_run(stream: &Stream, iterator: &IteratorToken, now_millis: u64) -> ApiError {
    let state = stream.read(now_millis);
    match state.shard(iterator.shard_index, now_millis) {
        Some(_) => ApiError::dry_run_passed(),
        None => stream.shard_missing(&shard_id(iterator.shard_index)),
    }
}

fn missing(core: &Core, iterator: &IteratorToken) -> ApiError {
    let id = shard_id(iterator.shard_index);
    shard_missing(&id, &iterator.stream, &core.settings.account_id)
}

fn read_iterator(text: &str, now_millis: u64) -> Result<IteratorToken, ApiError> {
    let iterator = IteratorToken::parse(text)
        .ok_or_else(|| ApiError::invalid_argument("Invalid ShardIterator."))?;
    if iterator.is_expired(now_millis) {
        return Err(ApiError::expired_iterator(format!(
            "Iterator expired. The iterator was created at time {} while right now it is {} \
             which is further in the future than the tolerated delay of 300000 milliseconds.",
            time_text(iterator.created_millis),
            time_text(now_millis)
        )));
    }
    Ok(iterator)
}

/// Returns a time as the service's messages write it: `Fri Mar 15 07:58:30 UTC 2024`.
fn time_text(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis)
        .unwrap_or(Timestamp::MAX)
        .strftime("%a %b %d %H:%M:%S UTC %Y")
        .to_string()
}

fn page(
    stream: &Stream,
    iterator: IteratorToken,
    limit: usize,
    limited: bool,
    now_millis: u64,
) -> Result<Response, ApiError> {
    let state = stream.read(now_millis);
    let shard = state
        .shard(iterator.shard_index, now_millis)
        .ok_or_else(|| stream.shard_missing(&shard_id(iterator.shard_index)))?;
    if limited && !shard.rates().allow_read(now_millis) {
        return Err(stream.rate_exceeded(shard));
    }
    let page =
        shard
            .log(state.horizon_millis(now_millis))
            .read(iterator.counter, limit, PAGE_BYTES_MAX);
    stream.mark_read(shard, page.next);
    if limited {
        shard.rates().count_read(page.bytes);
    }
    let millis_behind_latest = page.millis_behind_latest(now_millis);
    let ended = page.at_tip && !shard.is_open();
    let next = IteratorToken {
        counter: page.next,
        created_millis: now_millis,
        ..iterator
    };
    let encryption_type = state.key_id.is_some().then_some("KMS");
    let records = page.records.into_iter().map(|record| {
        let number = shard.number(record.counter, record.arrived_millis);
        Record::new(number, record, encryption_type)
    });
    Ok(Response {
        records: records.collect(),
        next_shard_iterator: (!ended).then(|| next.text()),
        millis_behind_latest,
        child_shards: child_shards(&state, shard).filter(|_| ended),
    })
}
