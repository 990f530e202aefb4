//! The rates of control calls, where limits hold.

use super::Operation;
use crate::local::{api_error::ApiError, core::Core};

/// Refuses a call of an operation that is called too often, on its stream or in the whole account.
pub(super) fn check<O: Operation>(core: &Core, request: &O::Request) -> Result<(), ApiError> {
    let Some(rate) = O::CALLS_PER_SECOND.filter(|_| core.settings.enforce_limits) else {
        return Ok(());
    };
    let stream = O::rated_stream(request);
    if core
        .rates
        .try_take(O::NAME, stream, rate, core.now_millis())
    {
        return Ok(());
    }
    let account_id = &core.settings.account_id;
    Err(ApiError::limit_exceeded(match stream {
        Some(name) => format!("Rate exceeded for stream {name} under account {account_id}."),
        None => format!("Rate exceeded for account {account_id}."),
    }))
}
