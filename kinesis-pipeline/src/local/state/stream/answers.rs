//! What the service answers about a stream that a call cannot have.

use super::Stream;
use crate::{
    local::{api_error::ApiError, state::shard::Shard},
    service::StreamStatus,
};

impl Stream {
    /// The service's answer for this stream when it cannot be used or is not there.
    pub(crate) fn not_found(&self) -> ApiError {
        stream_not_found(&self.name, &self.account_id)
    }

    /// The service's answer when the stream is not active.
    pub(crate) fn not_active(&self, status: StreamStatus) -> ApiError {
        ApiError::in_use(format!(
            "Stream {} under account {} not ACTIVE, instead in state {status}",
            self.name, self.account_id
        ))
    }

    /// The service's answer when a shard's throughput is used up.
    pub(crate) fn rate_exceeded(&self, shard: &Shard) -> ApiError {
        ApiError::throughput_exceeded(format!(
            "Rate exceeded for shard {} in stream {} under account {}.",
            shard.id, self.name, self.account_id
        ))
    }

    /// The service's answer for a shard that is not there, on reading and listing.
    pub(crate) fn shard_missing(&self, shard_id: &str) -> ApiError {
        ApiError::not_found(format!(
            "Shard {shard_id} in stream {} under account {} does not exist",
            self.name, self.account_id
        ))
    }

    /// The service's answer for a shard that cannot be found, on splitting and merging.
    pub(crate) fn shard_not_found(&self, shard_id: &str) -> ApiError {
        ApiError::not_found(format!(
            "Could not find shard {shard_id} in stream {} under account {}.",
            self.name, self.account_id
        ))
    }

    /// The service's answer for a shard that is closed already, on splitting and merging.
    pub(crate) fn shard_not_open(&self, shard: &Shard) -> ApiError {
        ApiError::invalid_argument(format!(
            "Shard {} in stream {} under account {} is closed: only open shards can be split or merged",
            shard.id, self.name, self.account_id
        ))
    }
}

/// The service's answer for a stream that is not there.
pub(crate) fn stream_not_found(name: &str, account_id: &str) -> ApiError {
    ApiError::not_found(format!(
        "Stream {name} under account {account_id} not found."
    ))
}
