use std::{fmt::Display, time::SystemTime};

use jiff::Timestamp;

use super::start::OnTrimmed;
use crate::{
    get::error::GetError,
    service::{ErrorClass, IteratorStart, ServiceError},
    shard::{Position, ShardId},
    target::Target,
};

/// Returns the position to continue from when one has expired; `None` to give up.
pub(in crate::get) fn start_after_gap(policy: OnTrimmed) -> Option<IteratorStart> {
    match policy {
        OnTrimmed::Fail => None,
        OnTrimmed::FromHorizon => Some(IteratorStart::TrimHorizon),
        OnTrimmed::Latest => Some(IteratorStart::Latest),
    }
}

/// Logs a warning that records may be missing, with the last finished record, its time, and the new position.
pub(in crate::get) fn warn_of_gap(
    target: &Target,
    last: &dyn Display,
    finished_until: Option<SystemTime>,
    policy: OnTrimmed,
) {
    let since = finished_until.and_then(|time| Timestamp::try_from(time).ok());
    tracing::warn!(
        stream = %target.stream,
        last = %last,
        since = since.map(|time| time.to_string()),
        goes_on = ?policy,
        "records may be missing: those after the last finished one have expired",
    );
}

/// Makes the error that ends the reader after a shard's failure; `position` is where reading should have begun.
pub(in crate::get) fn final_error(
    target: &Target,
    shard_id: &ShardId,
    error: ServiceError,
    position: Option<Position>,
) -> GetError {
    match position {
        Some(position) if error.class == ErrorClass::Invalid => GetError::UnknownPosition {
            stream: target.stream.clone(),
            position: Box::new(position),
            source: Box::new(error),
        },
        _ => GetError::service(&target.stream, Some(shard_id), error),
    }
}
