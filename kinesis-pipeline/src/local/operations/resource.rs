//! The states in which the tags and the policy of a stream or consumer can be changed.

use super::consumer;
use crate::local::{api_error::ApiError, core::Core, validate::consumer_of_arn};

/// Refuses to change the tags of a stream that is being created or deleted.
pub(super) fn check_tags(core: &Core, arn: &str) -> Result<(), ApiError> {
    if consumer_of_arn(arn).is_some() {
        return Ok(());
    }
    let now_millis = core.now_millis();
    let stream = core.stream(None, Some(arn), now_millis)?;
    stream.check_usable(&stream.read(now_millis))
}

/// Refuses to change the policy of a stream that is being created or deleted, or of a consumer that is.
pub(super) fn check_policy(core: &Core, arn: &str) -> Result<(), ApiError> {
    if consumer_of_arn(arn).is_none() {
        return check_tags(core, arn);
    }
    let now_millis = core.now_millis();
    let (stream, name) = core.consumer(arn, now_millis)?;
    let state = stream.read(now_millis);
    let mut consumers = state.consumers(now_millis);
    match consumers.find(|consumer| consumer.name == name) {
        Some(found) if found.status(now_millis) != "ACTIVE" => {
            Err(consumer::policy_not_changeable(found, &stream))
        }
        _ => Ok(()),
    }
}
