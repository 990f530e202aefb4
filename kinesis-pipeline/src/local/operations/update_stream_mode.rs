//! `UpdateStreamMode`: puts a stream on demand, or makes it provisioned.
//!
//! Left out: a stream on demand keeps the shards that it has.

use serde::Deserialize;

use super::{
    Nothing, Operation,
    shapes::{STREAM_MODES, StreamModeDetails},
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
        checks.finish()?;
        let now_millis = core.now_millis();
        let stream = core.stream(None, arn, now_millis)?;
        let mut state = stream.write_active(now_millis)?;
        state.is_on_demand = mode == "ON_DEMAND";
        state.is_distributed &= state.is_on_demand;
        stream.schedule(
            &mut state,
            Change::Update,
            core.due_millis(now_millis),
            now_millis,
        );
        Ok(Nothing {})
    }
}
