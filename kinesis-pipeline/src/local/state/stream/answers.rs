//! Refusals of the service that name a stream.

use bytestring::ByteString;

use super::Stream;
use crate::{
    local::{
        api_error::ApiError,
        state::shard::{Shard, shard_id, shard_index},
    },
    service::StreamStatus,
};

impl Stream {
    /// Returns the service's answer for this stream when it cannot be used or is not there.
    pub(in crate::local) fn not_found(&self) -> ApiError {
        stream_not_found(&self.name, &self.account_id)
    }

    /// Returns the service's answer when the stream is not active.
    pub(in crate::local) fn not_active(&self, status: StreamStatus) -> ApiError {
        ApiError::in_use(format!(
            "Stream {} under account {} not ACTIVE, instead in state {status}",
            self.name, self.account_id
        ))
    }

    /// Returns the service's answer when a shard's throughput is used up.
    pub(in crate::local) fn rate_exceeded(&self, shard: &Shard) -> ApiError {
        ApiError::throughput_exceeded(format!(
            "Rate exceeded for shard {} in stream {} under account {}.",
            shard.id, self.name, self.account_id
        ))
    }

    /// Returns the service's answer for a shard that is not there, on reading and listing.
    pub(in crate::local) fn shard_missing(&self, id: &str) -> ApiError {
        shard_missing(id, &self.name, &self.account_id)
    }

    /// Returns the service's answer for a shard that cannot be found, on splitting and merging.
    pub(in crate::local) fn shard_not_found(&self, id: &str) -> ApiError {
        shard_not_found(id, &self.name, &self.account_id)
    }

    /// Returns the service's answer for a shard that is closed already, on splitting and merging.
    pub(in crate::local) fn shard_not_open(&self, shard: &Shard) -> ApiError {
        ApiError::invalid_argument(format!(
            "Shard {} in stream {} under account {} has already been merged or split, and thus is not \
             eligible for merging or splitting.",
            shard.id, self.name, self.account_id
        ))
    }
}

/// Returns the id of a shard with all its digits, as the service writes it; a text that is no id stays as it is.
fn full_id(text: &str) -> ByteString {
    shard_index(text).map_or_else(|| text.into(), shard_id)
}

/// Returns the service's answer for a shard of a stream, on reading; the stream may not be there either.
pub(in crate::local) fn shard_missing(id: &str, name: &str, account_id: &str) -> ApiError {
    ApiError::not_found(format!(
        "Shard {} in stream {name} under account {account_id} does not exist",
        full_id(id)
    ))
}

/// Returns the service's answer for a shard that cannot be found; its stream may not be there either.
pub(in crate::local) fn shard_not_found(id: &str, name: &str, account_id: &str) -> ApiError {
    ApiError::not_found(format!(
        "Could not find shard {} in stream {name} under account {account_id}.",
        full_id(id)
    ))
}

/// Returns the service's answer for a stream that is not there.
pub(in crate::local) fn stream_not_found(name: &str, account_id: &str) -> ApiError {
    ApiError::not_found(format!(
        "Stream {name} under account {account_id} not found."
    ))
}
