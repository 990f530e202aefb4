//! `UpdateStreamMode`: puts a stream on demand, or makes it provisioned.
//!
//! Left out: a stream on demand keeps the shards that it has.

use serde::Deserialize;

use super::{
    Nothing, Operation,
    shapes::{STREAM_MODES, StreamModeDetails},
    update_stream_warm_throughput::{WARM_MEBIBYTES_MAX, warm_mebibytes},
};
use crate::local::{
    api_error::ApiError,
    core::Core,
    state::stream::Change,
    validate::{Checks, STREAM_ARN},
};

pub(in crate::local) struct UpdateStreamMode;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(rename = "StreamARN")]
    pub(in crate::local) stream_arn: Option<String>,
    pub(in crate::local) stream_mode_details: Option<StreamModeDetails>,
    #[serde(rename = "WarmThroughputMiBps")]
    pub(super) warm_mebibytes: Option<i64>,
}

impl Operation for UpdateStreamMode {
    const NAME: &'static str = "UpdateStreamMode";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let arn = request.stream_arn.as_deref();
        let mut checks = Checks::new();
        checks.required_text("streamARN", arn, STREAM_ARN);
        let mode = request
            .stream_mode_details
            .and_then(|details| details.stream_mode);
        checks.one_of(
            "streamModeDetails.streamMode",
            mode.as_deref(),
            STREAM_MODES,
        );
        let mode = checks.required("streamModeDetails.streamMode", mode);
        let warm = request.warm_mebibytes;
        checks.number("warmThroughputMiBps", warm, 0, WARM_MEBIBYTES_MAX);
        checks.finish()?;
        if warm.is_some() && mode != "ON_DEMAND" {
            return Err(ApiError::validation(
                "Warm throughput is only supported in the ON_DEMAND stream mode.",
            ));
        }
        let now_millis = core.now_millis();
        let stream = core.stream(None, arn, now_millis)?;
        let mut state = stream.write_active(now_millis)?;
        state.is_on_demand = mode == "ON_DEMAND";
        state.is_distributed &= state.is_on_demand;
        // A provisioned stream is ready for what its shards take, and says nothing of it.
        let before = state.warm_mebibytes.filter(|_| state.is_on_demand);
        state.warm_mebibytes = warm.map(warm_mebibytes).or(before);
        stream.schedule(
            &mut state,
            Change::Update,
            core.due_millis(now_millis),
            now_millis,
        );
        Ok(Nothing {})
    }
}
