//! The errors of readers. Their texts are in `error_text`.

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::{
    checkpoint::{Checkpoint, CheckpointError},
    plan::{mismatch::Mismatch, start::ShardSelector},
};
use crate::{
    record::{DecodeError, PartitionKey},
    service::{ServiceError, StreamId},
    shard::{HashKeyRange, Position, ShardId},
};

/// An error of a reader.
///
/// [`Decode`](Self::Decode) is about one record, and the next record follows it. Every other error is the last item of
/// [`Records`](crate::Records): see [`ends_the_stream`](Self::ends_the_stream).
///
/// # Examples
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use kinesis_pipeline::{GetError, KinesisStream, LocalKinesis, StartAt, Until};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let texts: KinesisStream<String> = LocalKinesis::start().await?.stream("texts", 1).await?;
/// texts.put_all(["1".to_owned(), "one".to_owned()]).await.ok()?;
///
/// // The same stream, read as numbers in JSON.
/// let numbers = texts.with_record_type::<serde_json::Value>();
/// let mut records = numbers.reader().start(StartAt::TrimHorizon).until(Until::Tip).open().await?;
/// let mut aside = Vec::new();
/// while let Some(record) = records.next().await {
///     match record {
///         Ok(record) => println!("{}", record.data),
///         Err(GetError::Decode { position, raw, .. }) => aside.push((position, raw)), // goes on
///         Err(error) if error.is_retryable() => break, // open another reader, later
///         Err(error) => return Err(error.into()),
///     }
/// }
/// assert_eq!(aside[0].1, "one");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum GetError {
    /// A record's bytes could not be decoded by the codec. The next record follows.
    #[non_exhaustive]
    Decode {
        /// The position of the record.
        position: Box<Position>,
        /// The record's bytes.
        raw: Bytes,
        /// The partition key of the record.
        partition_key: PartitionKey,
        /// The arrival time of the record.
        arrived_at: SystemTime,
        /// The codec's error.
        source: Box<DecodeError>,
    },
    /// The stream has no such shard.
    #[non_exhaustive]
    ShardNotFound {
        /// The stream.
        stream: StreamId,
        /// The shard that was asked for.
        shard: ShardSelector,
        /// The number of shards that the stream retains, open and closed. Shard numbers go from 0 to `count - 1`.
        count: usize,
    },
    /// The service does not know this sequence number in this shard: it belongs to another shard, or its record has expired.
    #[non_exhaustive]
    UnknownPosition {
        /// The stream.
        stream: StreamId,
        /// The position at which reading should have begun or continued.
        position: Box<Position>,
        /// The service's error.
        source: Box<ServiceError>,
    },
    /// Records have expired before the application has read them: its checkpoint is older than the retention of the
    /// stream. Choose where to continue with [`Reader::on_trimmed`](crate::Reader::on_trimmed).
    #[non_exhaustive]
    Trimmed {
        /// The stream.
        stream: StreamId,
        /// The position up to which the shard was read.
        checkpoint: Box<Checkpoint>,
    },
    /// A checkpoint contradicts the stream: it was saved in an earlier stream of the same name. Remove the application's
    /// checkpoints, or use another application name.
    #[non_exhaustive]
    Mismatch {
        /// The stream.
        stream: StreamId,
        /// The checkpoint; for a running reader, the position up to which the shard was read.
        checkpoint: Box<Checkpoint>,
        /// The fact of the stream.
        found: Box<Mismatch>,
    },
    /// The service's listing of the shards lacked some of them for half a minute.
    #[non_exhaustive]
    IncompleteListing {
        /// The stream.
        stream: StreamId,
        /// A range of hash keys that no shard of the listing takes.
        missing: HashKeyRange,
    },
    /// This machine's clock is ahead of the service's by more than a minute, and the reader needs its time, for instance to
    /// save the position of `Latest` as a checkpoint.
    #[non_exhaustive]
    ClockSkew {
        /// The stream.
        stream: StreamId,
        /// The lower bound of the skew.
        ahead_min: Duration,
        /// The upper bound of the skew.
        ahead_max: Duration,
    },
    /// The checkpoints could not be loaded, or could not be saved for longer than the reader keeps trying.
    #[non_exhaustive]
    Checkpoint {
        /// The stream.
        stream: StreamId,
        /// The store's error.
        source: Box<CheckpointError>,
    },
    /// The stream cannot be read by enhanced fan-out as this consumer. The consumer cannot be registered (the limit of
    /// consumers may be reached), does not become active, or was removed.
    #[non_exhaustive]
    Consumer {
        /// The stream.
        stream: StreamId,
        /// The name of the consumer.
        consumer: String,
        /// The service's error.
        source: Box<ServiceError>,
    },
    /// Too many records of a shard wait for their ack.
    #[non_exhaustive]
    TooManyUnacked {
        /// The stream.
        stream: StreamId,
        /// The shard.
        shard: ShardId,
        /// The number of waiting records.
        count: u64,
    },
    /// A call failed for good, or for longer than the reader keeps trying.
    #[non_exhaustive]
    Service {
        /// The stream.
        stream: StreamId,
        /// The shard of the call, if it was about one.
        shard: Option<ShardId>,
        /// The service's error.
        source: Box<ServiceError>,
    },
    /// The task that fetches was aborted: the runtime in which the reader was opened has shut down.
    #[non_exhaustive]
    Interrupted {
        /// The stream.
        stream: StreamId,
    },
}

impl GetError {
    /// Whether a new reader may succeed later without a change by you.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Service { source, .. } | Self::Consumer { source, .. } => source.class.may_pass(),
            Self::Checkpoint { source, .. } => source.is_retryable(),
            Self::Interrupted { .. } | Self::IncompleteListing { .. } => true,
            _ => false,
        }
    }

    /// Whether the reader ends with this error: true for all but [`Decode`](Self::Decode).
    #[must_use]
    pub fn ends_the_stream(&self) -> bool {
        !matches!(self, Self::Decode { .. })
    }

    /// Returns the service's error, if there is one.
    #[must_use]
    pub fn service_error(&self) -> Option<&ServiceError> {
        match self {
            Self::Service { source, .. }
            | Self::UnknownPosition { source, .. }
            | Self::Consumer { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Makes the error of a shard, by number or id, that the stream does not have. `count` is the number of shards that the
    /// stream retains.
    #[must_use]
    pub fn shard_not_found(stream: StreamId, shard: ShardSelector, count: usize) -> Self {
        Self::ShardNotFound {
            stream,
            shard,
            count,
        }
    }

    pub(super) fn checkpoint(stream: &StreamId, source: CheckpointError) -> Self {
        Self::Checkpoint {
            stream: stream.clone(),
            source: Box::new(source),
        }
    }

    pub(super) fn mismatch(stream: &StreamId, checkpoint: Checkpoint, found: Mismatch) -> Self {
        Self::Mismatch {
            stream: stream.clone(),
            checkpoint: Box::new(checkpoint),
            found: Box::new(found),
        }
    }

    pub(super) fn consumer(stream: &StreamId, name: &str, source: ServiceError) -> Self {
        Self::Consumer {
            stream: stream.clone(),
            consumer: name.to_owned(),
            source: Box::new(source),
        }
    }

    pub(super) fn service(
        stream: &StreamId,
        shard: Option<&ShardId>,
        source: ServiceError,
    ) -> Self {
        Self::Service {
            stream: stream.clone(),
            shard: shard.cloned(),
            source: Box::new(source),
        }
    }
}

impl Error for GetError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Decode { source, .. } => Some(&**source),
            Self::UnknownPosition { source, .. }
            | Self::Service { source, .. }
            | Self::Consumer { source, .. } => Some(&**source),
            Self::Checkpoint { source, .. } => Some(&**source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::ErrorClass;

    #[test]
    fn errors_whose_class_may_pass_are_retryable_by_another_reader() {
        let is_retryable = |class| {
            let failed = ServiceError::unanswered("GetRecords", "test", class, "failed");
            GetError::service(&"s".into(), None, failed).is_retryable()
        };
        for class in [
            ErrorClass::Throttled,
            ErrorClass::Transient,
            ErrorClass::IteratorExpired,
            ErrorClass::InUse,
            ErrorClass::LimitExceeded,
        ] {
            assert!(is_retryable(class), "{class:?}");
        }
        for class in [
            ErrorClass::NotFound,
            ErrorClass::AccessDenied,
            ErrorClass::Invalid,
            ErrorClass::Other,
        ] {
            assert!(!is_retryable(class), "{class:?}");
        }
    }
}
