//! `MergeShards`: closes two shards that touch into one.

use bytestring::ByteString;
use serde::Deserialize;

use super::{Nothing, Operation, named_shard};
use crate::local::{
    api_error::ApiError,
    core::Core,
    state::{
        shard::{Shard, shard_id},
        stream::{Change, Stream, StreamState},
    },
    stream_ref::StreamRef,
    validate::NAME,
};

pub(in crate::local) struct MergeShards;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    pub(in crate::local) shard_to_merge: Option<String>,
    pub(in crate::local) adjacent_shard_to_merge: Option<String>,
}

impl Operation for MergeShards {
    const NAME: &'static str = "MergeShards";
    type Request = Request;
    type Response = Nothing;

    fn shards(_: &Core, request: &Request) -> Vec<ByteString> {
        let ids = [&request.shard_to_merge, &request.adjacent_shard_to_merge];
        ids.into_iter()
            .flat_map(|id| named_shard(id.as_deref()))
            .collect()
    }

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let adjacent = request.adjacent_shard_to_merge.as_deref();
        let mut checks = request.stream.checks();
        let first_id =
            checks.required_text("shardToMerge", request.shard_to_merge.as_deref(), NAME);
        let second_id = checks.required_text("adjacentShardToMerge", adjacent, NAME);
        checks.finish()?;

        let first = core.shard_index(&request.stream, first_id)?;
        let second = core.shard_index(&request.stream, second_id)?;
        let (stream, now_millis) = core.named(&request.stream)?;
        let due_millis = core.due_millis(now_millis);
        let mut state = stream.write_active(now_millis)?;
        stream.check_provisioned(&state)?;
        let first = open_shard(&stream, &state, first, now_millis)?;
        let second = open_shard(&stream, &state, second, now_millis)?;
        // The service wants the lower one first.
        if first.range.end.value().checked_add(1) != Some(second.range.start.value()) {
            return Err(ApiError::invalid_argument(format!(
                "Shards {} and {} in stream {} under account {} \
                 are not an adjacent pair of shards eligible for merging",
                first.id, second.id, stream.name, stream.account_id
            )));
        }
        let change = Change::Merge {
            first: first.index,
            second: second.index,
        };
        stream.schedule(&mut state, change, due_millis, now_millis);
        Ok(Nothing {})
    }
}

fn open_shard<'a>(
    stream: &Stream,
    state: &'a StreamState,
    index: u32,
    now_millis: u64,
) -> Result<&'a Shard, ApiError> {
    let shard = state
        .shard(index, now_millis)
        .ok_or_else(|| stream.shard_not_found(&shard_id(index)))?;
    if shard.is_open() {
        return Ok(shard);
    }
    Err(stream.shard_not_open(shard))
}
