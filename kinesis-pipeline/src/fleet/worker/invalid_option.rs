use std::time::Duration;

use crate::service::StreamId;

/// An invalid setting of a worker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidWorkerOption {
    /// No lease store was given.
    #[error("a worker needs a lease store: call `leases` with one")]
    NoLeaseStore,
    /// The application has no name.
    #[error("a worker needs an application name")]
    NoApplication,
    /// The fail-over time is too short for renewals to be in time.
    #[error("the fail-over time is {time:?}: set at least 1 s")]
    FailoverTooShort {
        /// The time that was set.
        time: Duration,
    },
    /// A batch could have no record.
    #[error("a batch must hold at least one record and one byte")]
    EmptyBatch,
    /// The number of lanes of a shard is out of its range.
    #[error("the concurrency is {lanes}: set 1 to 256")]
    Concurrency {
        /// The number that was set.
        lanes: usize,
    },
    /// A processor cannot checkpoint for the other lanes of its shard.
    #[error(
        "with a concurrency over 1, checkpoints follow the watermark: use `Checkpointing::Automatic` or `Ack`"
    )]
    ManualCheckpoints,
    /// The worker has one stream twice, as far as names tell: another account's stream of the same name needs its ARN.
    #[error(
        "the worker has the stream {stream} twice: give ARNs if they are streams of two accounts"
    )]
    DuplicateStream {
        /// The stream.
        stream: StreamId,
    },
    /// Several streams have shards of the same ids.
    #[error("a worker of several streams needs keys that name the stream: leave `multi_stream` on")]
    SingleStreamKeys,
    /// A fleet begins at the same kind of place in all shards.
    #[error("a worker begins at the latest, the oldest, or a time, not at a sequence number")]
    StartAtSequenceNumber,
}
