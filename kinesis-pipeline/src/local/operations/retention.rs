//! How long records can be kept.

use crate::local::{api_error::ApiError, state::stream::RETENTION_HOURS_DEFAULT};

const HOURS_MAX: u32 = 8_760;

/// Checks a retention period.
pub(super) fn hours(hours: i64) -> Result<u32, ApiError> {
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
