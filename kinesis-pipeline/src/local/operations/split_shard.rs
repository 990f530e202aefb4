//! `SplitShard`: closes a shard into two.

use bytestring::ByteString;
use serde::Deserialize;

use super::{Nothing, Operation, named_shard};
use crate::{
    local::{
        api_error::ApiError,
        core::Core,
        state::{
            shard::{Shard, shard_id},
            stream::{Change, Stream, StreamState},
        },
        stream_ref::StreamRef,
        validate::{HASH_KEY, NAME},
    },
    shard::HashKey,
};

pub(in crate::local) struct SplitShard;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    pub(in crate::local) shard_to_split: Option<String>,
    pub(in crate::local) new_starting_hash_key: Option<String>,
}

impl Operation for SplitShard {
    const NAME: &'static str = "SplitShard";
    type Request = Request;
    type Response = Nothing;

    fn shards(_: &Core, request: &Request) -> Vec<ByteString> {
        named_shard(request.shard_to_split.as_deref())
    }

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let key = request.new_starting_hash_key.as_deref();
        let mut checks = request.stream.checks();
        let shard_id =
            checks.required_text("shardToSplit", request.shard_to_split.as_deref(), NAME);
        let key = checks.required_text("newStartingHashKey", key, HASH_KEY);
        checks.finish()?;

        let index = core.shard_index(&request.stream, shard_id)?;
        let (stream, now_millis) = core.named(&request.stream)?;
        // What is wrong with the shard is told before the limit of shards, which counts those of all streams.
        splittable(
            &stream,
            &*stream.write_active(now_millis)?,
            index,
            now_millis,
        )?;
        core.allow_shards(1, now_millis)?;
        let due_millis = core.due_millis(now_millis);
        let mut state = stream.write_active(now_millis)?;
        let shard = splittable(&stream, &state, index, now_millis)?;
        let second_start = second_start(&stream, shard, key)?;
        let parent = shard.index;
        let change = Change::Split {
            parent,
            second_start,
        };
        stream.schedule(&mut state, change, due_millis, now_millis);
        Ok(Nothing {})
    }
}

/// Returns a shard that can be split.
fn splittable<'a>(
    stream: &Stream,
    state: &'a StreamState,
    index: u32,
    now_millis: u64,
) -> Result<&'a Shard, ApiError> {
    stream.check_provisioned(state)?;
    let shard = state
        .shard(index, now_millis)
        .ok_or_else(|| stream.shard_not_found(&shard_id(index)))?;
    if shard.is_open() {
        return Ok(shard);
    }
    Err(stream.shard_not_open(shard))
}

/// Reads the first hash key of the second child. As on the service, the first child has at least two.
fn second_start(stream: &Stream, shard: &Shard, text: &str) -> Result<HashKey, ApiError> {
    let range = shard.range;
    let above = range.start.value().saturating_add(1);
    text.parse::<HashKey>()
        .ok()
        .filter(|key| key.value() > above && *key < range.end)
        .ok_or_else(|| {
            ApiError::invalid_argument(format!(
                "NewStartingHashKey {text} used in SplitShard() on shard {} in stream {} under account {} \
                 is not both greater than one plus the shard's StartingHashKey {} \
                 and less than the shard's EndingHashKey {}.",
                shard.id, stream.name, stream.account_id, range.start, range.end
            ))
        })
}
