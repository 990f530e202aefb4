//! `DescribeLimits`: how many shards and streams the account has and may have.

use serde::{Deserialize, Serialize};

use super::Operation;
use crate::local::{api_error::ApiError, core::Core};

/// The limit of streams on demand of the account: told, not enforced.
const ON_DEMAND_STREAMS_MAX: u32 = 50;

pub(in crate::local) struct DescribeLimits;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    shard_limit: u32,
    open_shard_count: usize,
    on_demand_stream_count: usize,
    on_demand_stream_count_limit: u32,
}

impl Operation for DescribeLimits {
    const NAME: &'static str = "DescribeLimits";
    const CALLS_PER_SECOND: Option<u32> = Some(1);
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let Request {} = request;
        let now_millis = core.now_millis();
        let streams = core.streams(now_millis);
        let on_demand = streams
            .iter()
            .filter(|stream| stream.read(now_millis).is_on_demand);
        Ok(Response {
            shard_limit: core.settings.shard_limit,
            open_shard_count: core.open_shard_count(now_millis),
            on_demand_stream_count: on_demand.count(),
            on_demand_stream_count_limit: ON_DEMAND_STREAMS_MAX,
        })
    }
}
