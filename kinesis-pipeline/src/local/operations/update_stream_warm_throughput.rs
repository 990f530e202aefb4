//! `UpdateStreamWarmThroughput`: the throughput that a stream on demand is said to be ready for.
//!
//! Left out: nothing is scaled.

use serde::{Deserialize, Serialize};

use super::{Operation, shapes::WarmThroughput};
use crate::local::{api_error::ApiError, core::Core, state::stream::Change, stream_ref::StreamRef};

/// The bound of an integer of the API.
pub(super) const WARM_MEBIBYTES_MAX: i64 = i32::MAX as i64;

pub(in crate::local) struct UpdateStreamWarmThroughput;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    #[serde(rename = "WarmThroughputMiBps")]
    pub(in crate::local) warm_mebibytes: Option<i64>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    warm_throughput: WarmThroughput,
}

impl Operation for UpdateStreamWarmThroughput {
    const NAME: &'static str = "UpdateStreamWarmThroughput";
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let mut checks = request.stream.checks();
        let mebibytes = request.warm_mebibytes;
        checks.number("warmThroughputMiBps", mebibytes, 0, WARM_MEBIBYTES_MAX);
        let mebibytes = warm_mebibytes(checks.required("warmThroughputMiBps", mebibytes));
        checks.finish()?;
        let (stream, now_millis) = core.named(&request.stream)?;
        let mut state = stream.write_active(now_millis)?;
        if !state.is_on_demand {
            return Err(ApiError::validation(
                "Warm throughput is only supported in the ON_DEMAND stream mode.",
            ));
        }
        state.warm_mebibytes = Some(mebibytes);
        stream.schedule(
            &mut state,
            Change::Update,
            core.due_millis(now_millis),
            now_millis,
        );
        Ok(Response {
            stream_name: stream.name.clone(),
            stream_arn: stream.arn.clone(),
            warm_throughput: WarmThroughput::of(mebibytes),
        })
    }
}

/// Returns a throughput that was checked.
pub(super) fn warm_mebibytes(checked: i64) -> u32 {
    u32::try_from(checked).unwrap_or(0)
}
