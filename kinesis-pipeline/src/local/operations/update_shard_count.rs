//! `UpdateShardCount`: splits and merges until a stream has so many open shards of one size.

use serde::{Deserialize, Serialize};

use super::Operation;
use crate::local::{
    api_error::ApiError,
    core::Core,
    state::stream::{Change, StreamState},
    stream_ref::StreamRef,
};

pub(in crate::local) struct UpdateShardCount;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    pub(in crate::local) target_shard_count: Option<i64>,
    pub(in crate::local) scaling_type: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    current_shard_count: u32,
    target_shard_count: u32,
}

/// The most shards that a stream can be scaled to.
const SHARDS_MAX: u32 = 10_000;

impl Operation for UpdateShardCount {
    const NAME: &'static str = "UpdateShardCount";
    const CALLS_PER_SECOND: Option<u32> = Some(10);
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let scaling = request.scaling_type.as_deref();
        let mut checks = request.stream.checks();
        checks.number(
            "targetShardCount",
            request.target_shard_count,
            1,
            i64::from(u32::MAX),
        );
        let target = checks.required("targetShardCount", request.target_shard_count);
        checks.one_of("scalingType", scaling, &["UNIFORM_SCALING"]);
        checks.required("scalingType", scaling);
        checks.finish()?;
        let target = u32::try_from(target).unwrap_or(u32::MAX);

        let (stream, now_millis) = core.named(&request.stream)?;
        let open = {
            let state = stream.read(now_millis);
            stream.check_provisioned(&state)?;
            open_count(&state)
        };
        check_target(open, target)?;
        core.allow_shards(target.saturating_sub(open) as usize, now_millis)?;
        let due_millis = core.due_millis(now_millis);
        let mut state = stream.write_active(now_millis)?;
        // The mode may have changed since the stream was read.
        stream.check_provisioned(&state)?;
        // Nothing but another reshard changes the count, and that one would leave the stream inactive.
        let current = open_count(&state);
        check_target(current, target)?;
        let change = Change::Spread {
            shard_count: target,
        };
        stream.schedule(&mut state, change, due_millis, now_millis);
        Ok(Response {
            stream_name: stream.name.clone(),
            stream_arn: stream.arn.clone(),
            current_shard_count: current,
            target_shard_count: target,
        })
    }
}

fn open_count(state: &StreamState) -> u32 {
    u32::try_from(state.topology.open_count()).unwrap_or(u32::MAX)
}

/// Checks the target: at most double, at least half, and no more than the service gives one stream.
fn check_target(open: u32, target: u32) -> Result<(), ApiError> {
    let refuse = |what: &str| {
        Err(ApiError::invalid_argument(format!(
            "UpdateShardCount cannot scale {what} your current open shard count. \
             Current open shard count: {open} Target shard count: {target}"
        )))
    };
    if target > open.saturating_mul(2) {
        return refuse("up over double");
    }
    if target < open.div_ceil(2) {
        return refuse("down below half");
    }
    if target > SHARDS_MAX {
        return Err(ApiError::limit_exceeded(format!(
            "A stream can have up to {SHARDS_MAX} shards. Target shard count: {target}"
        )));
    }
    Ok(())
}
