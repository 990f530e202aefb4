use std::sync::Arc;

use crate::{
    GetError,
    fleet::{
        dead_letters::BoxError,
        lease::{InvalidStreamIdentifier, LeaseStoreError, StreamIdentifier},
    },
    service::StreamId,
    shard::ShardId,
};

/// The error that ended a worker.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The lease store refused a call permanently.
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
    /// The stream has no valid name for a lease table of several streams.
    #[error("the stream {stream} has no name for a lease table of several streams")]
    #[non_exhaustive]
    Identifier {
        /// The stream.
        stream: StreamId,
        /// The reason.
        source: InvalidStreamIdentifier,
    },
    /// One of several streams did not answer in time.
    #[error("the stream {stream} did not answer within the fail-over time")]
    #[non_exhaustive]
    Unanswered {
        /// The stream.
        stream: StreamId,
    },
    /// Two of the worker's streams are the same one: their rows would have the same keys.
    #[error(
        "the streams {stream} and {other} are one, the one of the key `{identifier}`: give it once"
    )]
    #[non_exhaustive]
    DuplicateStream {
        /// One of the streams.
        stream: StreamId,
        /// The other one.
        other: StreamId,
        /// The stream's name in the lease table.
        identifier: StreamIdentifier,
    },
    /// The lease table is one of a single stream and the worker reads several, or the other way round.
    #[error(
        "the lease table of `{app}` has the row `{lease_key}`, and a worker of a single stream cannot share a table with \
         one of several: take another application name, or set `multi_stream`"
    )]
    #[non_exhaustive]
    KeysOfOtherKind {
        /// The application.
        app: Arc<str>,
        /// The key of a row in the table.
        lease_key: ShardId,
    },
    /// The system refused the handler of stop signals.
    #[error("the worker cannot listen for the signals that stop it")]
    Signal {
        /// The reason.
        source: std::io::Error,
    },
    /// A processor failed, and the policy is to stop then.
    #[error(
        "the processor of {shard} of the stream {stream} failed; the shard goes on after its last checkpoint when a \
         worker starts"
    )]
    #[non_exhaustive]
    Processor {
        /// The stream.
        stream: StreamId,
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
            Self::Unanswered { .. } => true,
            Self::Processor { .. }
            | Self::Signal { .. }
            | Self::Identifier { .. }
            | Self::DuplicateStream { .. }
            | Self::KeysOfOtherKind { .. } => false,
        }
    }
}
