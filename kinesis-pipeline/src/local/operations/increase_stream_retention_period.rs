//! `IncreaseStreamRetentionPeriod`: keeps records longer.

use serde::Deserialize;

use super::{Nothing, Operation, retention};
use crate::local::{api_error::ApiError, core::Core, validate::Checks};

pub(crate) struct IncreaseStreamRetentionPeriod;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    pub(crate) stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: Option<String>,
    pub(crate) retention_period_hours: Option<i64>,
}

impl Operation for IncreaseStreamRetentionPeriod {
    const NAME: &'static str = "IncreaseStreamRetentionPeriod";
    type Request = Request;
    type Response = Nothing;

    fn run(core: &Core, request: Request) -> Result<Nothing, ApiError> {
        let (name, arn) = (
            request.stream_name.as_deref(),
            request.stream_arn.as_deref(),
        );
        let mut checks = Checks::new();
        checks.stream(name, arn);
        let hours = checks.required("retentionPeriodHours", request.retention_period_hours);
        checks.finish()?;
        let hours = retention::hours(hours)?;
        let now_millis = core.now_millis();
        let stream = core.stream(name, arn, now_millis)?;
        let mut state = stream.write_active(now_millis)?;
        if hours < state.retention_hours {
            return Err(ApiError::invalid_argument(format!(
                "Requested retention period ({hours} hours) for stream {} can not be shorter than \
                 existing retention period ({} hours). Use DecreaseRetentionPeriod API.",
                stream.name, state.retention_hours
            )));
        }
        state.retention_hours = hours;
        Ok(Nothing {})
    }
}
