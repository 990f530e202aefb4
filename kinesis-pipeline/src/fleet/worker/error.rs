use std::sync::Arc;

use crate::{
    GetError,
    fleet::{dead_letters::BoxError, lease::LeaseStoreError},
    service::StreamId,
    shard::ShardId,
};

/// The reason why a worker ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The lease store refuses its calls for good.
    #[error("the worker of `{app}` cannot use its lease store")]
    #[non_exhaustive]
    Store {
        /// The application.
        app: Arc<str>,
        /// The store's error.
        source: LeaseStoreError,
    },
    /// The shards cannot be listed, or a shard cannot be read.
    #[error("the worker of stream {stream} cannot read")]
    #[non_exhaustive]
    Read {
        /// The stream.
        stream: StreamId,
        /// The reader's error.
        source: GetError,
    },
    /// The system refuses a handler of the signals to stop.
    #[error("the worker cannot listen for the signals that stop it")]
    Signal {
        /// The reason.
        source: std::io::Error,
    },
    /// A processor failed, and the policy is to stop then.
    #[error(
        "the processor of {shard} failed; the shard goes on after its last checkpoint when a worker starts"
    )]
    #[non_exhaustive]
    Processor {
        /// The shard.
        shard: ShardId,
        /// The processor's error.
        source: BoxError,
    },
}

impl WorkerError {
    /// Whether the same worker may succeed later without a change on your side.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Store { source, .. } => source.is_retryable(),
            Self::Read { source, .. } => source.is_retryable(),
            Self::Processor { .. } | Self::Signal { .. } => false,
        }
    }
}
