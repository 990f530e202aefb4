//! The retention period of records.

use serde::Deserialize;

use super::Nothing;
use crate::local::{
    api_error::ApiError, core::Core, state::stream::RETENTION_HOURS_DEFAULT, stream_ref::StreamRef,
};

const HOURS_MAX: u32 = 8_760;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    pub(in crate::local) retention_period_hours: Option<i64>,
}

/// A change in the direction that the operation is not for, and the operation that is.
pub(super) struct WrongWay {
    pub(super) is: &'static str,
    pub(super) operation: &'static str,
}

/// Sets how long a stream keeps records, unless `refuse` finds the hours, given those so far, wrong.
pub(super) fn change(
    core: &Core,
    request: &Request,
    refuse: impl FnOnce(u32, u32) -> Option<WrongWay>,
) -> Result<Nothing, ApiError> {
    let mut checks = request.stream.checks();
    let wanted = checks.required("retentionPeriodHours", request.retention_period_hours);
    checks.finish()?;
    let wanted = hours(wanted)?;
    let (stream, now_millis) = core.named(&request.stream)?;
    let mut state = stream.write_active(now_millis)?;
    if let Some(WrongWay { is, operation }) = refuse(wanted, state.retention_hours) {
        return Err(ApiError::invalid_argument(format!(
            "Requested retention period ({wanted} hours) for stream {} can not be {is} than \
             existing retention period ({} hours). Use {operation} API.",
            stream.name, state.retention_hours
        )));
    }
    state.retention_hours = wanted;
    Ok(Nothing {})
}

/// Checks a retention period.
fn hours(hours: i64) -> Result<u32, ApiError> {
    let refuse = |bound: &str, limit: u32, what: &str| {
        Err(ApiError::invalid_argument(format!(
            "{bound} allowed retention period is {limit} hours. \
             Requested retention period ({hours} hours) is too {what}."
        )))
    };
    match u32::try_from(hours) {
        Ok(hours) if (RETENTION_HOURS_DEFAULT..=HOURS_MAX).contains(&hours) => Ok(hours),
        _ if hours < i64::from(RETENTION_HOURS_DEFAULT) => {
            refuse("Minimum", RETENTION_HOURS_DEFAULT, "short")
        }
        _ => refuse("Maximum", HOURS_MAX, "long"),
    }
}
