//! `GetShardIterator`: fixes a place in a shard to read from.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{
    Operation, named_shard,
    position::{POSITION_KINDS, Position},
};
use crate::local::{
    api_error::ApiError,
    core::Core,
    protocol::values::Timestamp,
    state::{iterator::IteratorToken, stream::shard_missing},
    stream_ref::StreamRef,
    validate::{NAME, SEQUENCE_NUMBER},
};

pub(in crate::local) struct GetShardIterator;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    pub(in crate::local) shard_id: Option<String>,
    pub(in crate::local) shard_iterator_type: Option<String>,
    pub(in crate::local) starting_sequence_number: Option<String>,
    pub(in crate::local) timestamp: Option<Timestamp>,
    pub(in crate::local) dry_run: Option<bool>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    pub(in crate::local) shard_iterator: String,
}

impl Operation for GetShardIterator {
    const NAME: &'static str = "GetShardIterator";
    const CALLS_PER_SECOND: Option<u32> = None;
    type Request = Request;
    type Response = Response;

    fn shards(_: &Core, request: &Request) -> Vec<ByteString> {
        named_shard(request.shard_id.as_deref())
    }

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let kind = request.shard_iterator_type.as_deref();
        let sequence_number = request.starting_sequence_number.as_deref();
        let mut checks = request.stream.checks();
        let shard_id = checks.required_text("shardId", request.shard_id.as_deref(), NAME);
        checks.text("startingSequenceNumber", sequence_number, SEQUENCE_NUMBER);
        checks.one_of("shardIteratorType", kind, POSITION_KINDS);
        let kind = checks.required("shardIteratorType", kind);
        checks.finish()?;

        let index = core.shard_index(&request.stream, shard_id)?;
        let name = core.stream_name(request.stream.name(), request.stream.arn())?;
        let account_id = &core.settings.account_id;
        // The service misses the shard, not the stream.
        let (stream, now_millis) = core
            .named_usable(&request.stream)
            .map_err(|_| shard_missing(shard_id, name, account_id))?;
        let state = stream.read(now_millis);
        let shard = state
            .shard(index, now_millis)
            .ok_or_else(|| stream.shard_missing(shard_id))?;
        let position = Position {
            kind,
            sequence_number,
            timestamp: request.timestamp,
            operation: Self::NAME,
        };
        if request.dry_run == Some(true) {
            position.counter(&stream, &state, shard, now_millis)?;
            return Err(ApiError::dry_run_passed());
        }
        if core.settings.enforce_limits && !shard.rates().allow_iterator(now_millis) {
            return Err(stream.rate_exceeded(shard));
        }
        let iterator = IteratorToken {
            stream: stream.name.clone(),
            generation: stream.generation,
            shard_index: index,
            counter: position.counter(&stream, &state, shard, now_millis)?,
            created_millis: now_millis,
        };
        Ok(Response {
            shard_iterator: iterator.text(),
        })
    }
}
