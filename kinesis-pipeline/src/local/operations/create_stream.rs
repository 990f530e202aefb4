//! `CreateStream`: makes a stream, provisioned or on demand.
//!
//! Left out: warm throughput is taken and ignored.

use serde::Deserialize;

use super::{
    Nothing, Operation,
    shapes::{STREAM_MODES, StreamModeDetails},
};
use crate::local::{
    api_error::ApiError,
    core::Core,
    state::{stream::StreamState, topology::Topology},
    validate::{Checks, NAME},
};

/// How many shards a stream on demand begins with.
const ON_DEMAND_SHARDS: u32 = 4;
const SHARDS_MAX: i64 = 100_000;

pub(crate) struct CreateStream;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    pub(crate) stream_name: Option<String>,
    pub(crate) shard_count: Option<i64>,
    pub(crate) stream_mode_details: Option<StreamModeDetails>,
}

impl Operation for CreateStream {
    const NAME: &'static str = "CreateStream";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let mode = request.stream_mode_details.as_ref();
        let mode = mode.and_then(|details| details.stream_mode.as_deref());
        let mut checks = Checks::new();
        let name = checks.required_text("streamName", request.stream_name.as_deref(), NAME);
        checks.number("shardCount", request.shard_count, 1, SHARDS_MAX);
        checks.one_of("streamModeDetails.streamMode", mode, STREAM_MODES);
        checks.finish()?;
        let is_on_demand = mode == Some("ON_DEMAND");
        let shard_count = shard_count(&request, is_on_demand)?;

        let now_millis = core.now_millis();
        if !is_on_demand {
            core.allow_shards(shard_count as usize, now_millis)?;
        }
        let topology = Topology::even(shard_count, now_millis);
        let state = StreamState::new(is_on_demand, topology);
        core.add_stream(name, state, core.due_millis(now_millis), now_millis)?;
        Ok(Nothing {})
    }
}

/// Checks what the handle of the embedded Kinesis creates streams with.
pub(crate) fn check(name: &str, shard_count: u32) -> Result<(), ApiError> {
    let mut checks = Checks::new();
    checks.text("streamName", Some(name), NAME);
    checks.number("shardCount", Some(shard_count.into()), 1, SHARDS_MAX);
    checks.finish()
}

fn shard_count(request: &Request, is_on_demand: bool) -> Result<u32, ApiError> {
    match (request.shard_count, is_on_demand) {
        (None, true) => Ok(ON_DEMAND_SHARDS),
        (Some(_), true) => Err(ApiError::validation(
            "Requests must not specify a shard count with the ON_DEMAND stream mode.",
        )),
        (None, false) => Err(ApiError::validation(
            "ShardCount is required with the PROVISIONED stream mode.",
        )),
        (Some(count), false) => Ok(u32::try_from(count).unwrap_or(u32::MAX)),
    }
}
