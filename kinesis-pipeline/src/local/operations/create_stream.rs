//! `CreateStream`: makes a stream, provisioned or on demand.
//!
//! Left out: warm throughput is remembered and nothing else.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    Nothing, Operation,
    shapes::{STREAM_MODES, StreamModeDetails},
    tags,
    update_max_record_size::{KIB_MAX, KIB_MIN},
    update_stream_record_distribution_strategy::STRATEGIES,
    update_stream_warm_throughput::{WARM_MEBIBYTES_MAX, warm_mebibytes},
};
use crate::{
    local::{
        api_error::ApiError,
        core::Core,
        state::{
            stream::{RECORD_KIB_DEFAULT, StreamState},
            topology::Topology,
        },
        validate::{Checks, NAME},
    },
    service::StreamStatus,
};

/// The number of shards that a stream on demand begins with.
const ON_DEMAND_SHARDS: u32 = 4;
const SHARDS_MAX: i64 = 100_000;
/// The most streams that are in `CREATING` at once, where limits hold.
const CREATING_MAX: usize = 5;

pub(in crate::local) struct CreateStream;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    pub(in crate::local) stream_name: Option<String>,
    pub(in crate::local) shard_count: Option<i64>,
    pub(in crate::local) stream_mode_details: Option<StreamModeDetails>,
    pub(in crate::local) tags: Option<BTreeMap<String, String>>,
    #[serde(rename = "WarmThroughputMiBps")]
    pub(in crate::local) warm_mebibytes: Option<i64>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    pub(in crate::local) max_record_size_in_kib: Option<i64>,
    pub(in crate::local) record_distribution_strategy: Option<String>,
}

impl Operation for CreateStream {
    const NAME: &'static str = "CreateStream";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        check_members(&request)?;
        let name = request.stream_name.as_deref().unwrap_or_default();
        let is_on_demand = is_on_demand(&request);
        let shard_count = shard_count(&request, is_on_demand)?;
        let is_distributed = request.record_distribution_strategy.as_deref() == Some("AUTO");
        if is_distributed && !is_on_demand {
            return Err(ApiError::invalid_argument(
                "The record distribution strategy is only supported in the ON_DEMAND stream mode.",
            ));
        }

        let now_millis = core.now_millis();
        // A name that is in use is told first, as on the service.
        if core.stream(Some(name), None, now_millis).is_err() {
            if core.settings.enforce_limits {
                check_creating(core, now_millis)?;
            }
            if !is_on_demand {
                core.allow_shards(shard_count as usize, now_millis)?;
            }
        }
        let topology = Topology::even(shard_count, now_millis);
        let mut state = StreamState::new(is_on_demand, topology);
        state.is_distributed = is_distributed;
        state.warm_mebibytes = request.warm_mebibytes.map(warm_mebibytes);
        let kib = request
            .max_record_size_in_kib
            .and_then(|kib| u32::try_from(kib).ok());
        state.record_kib_max = kib.unwrap_or(RECORD_KIB_DEFAULT);
        tags::add(&mut state.tags, request.tags.unwrap_or_default())?;
        core.add_stream(name, state, core.due_millis(now_millis), now_millis)?;
        Ok(Nothing {})
    }
}

/// Refuses one more stream while as many as the service allows are being created.
fn check_creating(core: &Core, now_millis: u64) -> Result<(), ApiError> {
    let streams = core.streams(now_millis);
    let creating = streams
        .iter()
        .filter(|stream| stream.read(now_millis).status == StreamStatus::Creating);
    if creating.count() < CREATING_MAX {
        return Ok(());
    }
    Err(ApiError::limit_exceeded(format!(
        "The account {} has {CREATING_MAX} streams in CREATING: it cannot have more at once.",
        core.settings.account_id
    )))
}

fn check_members(request: &Request) -> Result<(), ApiError> {
    let mode = request.stream_mode_details.as_ref();
    let mode = mode.and_then(|details| details.stream_mode.as_deref());
    let strategy = request.record_distribution_strategy.as_deref();
    let mut checks = Checks::new();
    checks.required_text("streamName", request.stream_name.as_deref(), NAME);
    checks.number("shardCount", request.shard_count, 1, SHARDS_MAX);
    if request.stream_mode_details.is_some() {
        checks.required("streamModeDetails.streamMode", mode);
    }
    checks.one_of("streamModeDetails.streamMode", mode, STREAM_MODES);
    checks.number(
        "warmThroughputMiBps",
        request.warm_mebibytes,
        0,
        WARM_MEBIBYTES_MAX,
    );
    checks.number(
        "maxRecordSizeInKiB",
        request.max_record_size_in_kib,
        KIB_MIN,
        KIB_MAX,
    );
    checks.one_of("recordDistributionStrategy", strategy, STRATEGIES);
    if let Some(tags) = request.tags.as_ref().filter(|tags| !tags.is_empty()) {
        tags::check(&mut checks, tags);
    }
    checks.finish()
}

/// Whether the stream is on demand: its mode says so, or it has neither a mode nor a count of shards.
fn is_on_demand(request: &Request) -> bool {
    let mode = request.stream_mode_details.as_ref();
    match mode.and_then(|details| details.stream_mode.as_deref()) {
        Some(mode) => mode == "ON_DEMAND",
        None => request.shard_count.is_none(),
    }
}

/// Checks the parameters with which the handle of the embedded Kinesis creates a stream.
pub(in crate::local) fn check(name: &str, shard_count: u32) -> Result<(), ApiError> {
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
