use std::{
    error::Error,
    fmt,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use jiff::Timestamp;

use super::{
    checkpoint::{Checkpoint, CheckpointError, CheckpointPlace},
    plan::{mismatch::Mismatch, start::ShardSelector},
};
use crate::{
    record::{DecodeError, PartitionKey},
    service::{ErrorClass, ServiceError, StreamId},
    shard::{HashKeyRange, Position, ShardId},
};

/// The reason why records could not be read.
///
/// [`Decode`](Self::Decode) is about one record, and the next follows it. Every other error that comes out of
/// [`Records`](crate::Records) is its last item; see [`ends_the_stream`](Self::ends_the_stream).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum GetError {
    /// A record's bytes are not what the codec writes. The next record follows.
    #[non_exhaustive]
    Decode {
        /// The position of the record.
        position: Box<Position>,
        /// The record's bytes.
        raw: Bytes,
        /// The key that it was put with.
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
    /// The service does not know this sequence number in this shard: it is not the shard's, or its record has
    /// expired.
    #[non_exhaustive]
    UnknownPosition {
        /// The stream.
        stream: StreamId,
        /// The position at which reading should have begun or continued.
        position: Box<Position>,
        /// The service's error.
        source: Box<ServiceError>,
    },
    /// The application had not finished a shard when its records expired, or its checkpoint is older than what the
    /// stream retains: records may be missing. Choose where to go on with
    /// [`Reader::on_trimmed`](crate::Reader::on_trimmed).
    #[non_exhaustive]
    Trimmed {
        /// The stream.
        stream: StreamId,
        /// The position up to which the shard was read.
        checkpoint: Box<Checkpoint>,
    },
    /// A checkpoint and the stream contradict each other: it was saved in another stream that had the same name, which
    /// was deleted and made again. Remove the application's checkpoints, or take another application name.
    #[non_exhaustive]
    Mismatch {
        /// The stream.
        stream: StreamId,
        /// The checkpoint; of a reader that is running, how far the shard was read.
        checkpoint: Box<Checkpoint>,
        /// The fact of the stream.
        found: Box<Mismatch>,
    },
    /// The service's listing of the shards lacked some of them for half a minute.
    #[non_exhaustive]
    IncompleteListing {
        /// The stream.
        stream: StreamId,
        /// Hash keys that no shard of the listing takes.
        missing: HashKeyRange,
    },
    /// This machine's clock is ahead of the service's by more than the minute that is borne, and the reader needs a
    /// time of it: for a checkpoint of where LATEST was, for instance.
    #[non_exhaustive]
    ClockSkew {
        /// The stream.
        stream: StreamId,
        /// The lower bound of the skew.
        ahead_min: Duration,
        /// The upper bound of the skew.
        ahead_max: Duration,
    },
    /// The checkpoints could not be loaded, or not saved for good or for longer than the reader keeps trying.
    #[non_exhaustive]
    Checkpoint {
        /// The stream.
        stream: StreamId,
        /// The store's error.
        source: Box<CheckpointError>,
    },
    /// The stream cannot be read by enhanced fan-out as this consumer: it cannot be registered, because of the
    /// limit of consumers for instance, does not become active, or was removed.
    #[non_exhaustive]
    Consumer {
        /// The stream.
        stream: StreamId,
        /// The name of the consumer.
        consumer: String,
        /// The service's error.
        source: Box<ServiceError>,
    },
    /// More records of a shard wait for their ack than are kept track of.
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
        /// The shard that was being read, if it was about one.
        shard: Option<ShardId>,
        /// The service's error.
        source: Box<ServiceError>,
    },
    /// The task that fetches was ended from outside: the runtime in which the reader was opened shut down.
    #[non_exhaustive]
    Interrupted {
        /// The stream.
        stream: StreamId,
    },
}

impl GetError {
    /// Whether a new reader may succeed later without a change on your side.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Service { source, .. } | Self::Consumer { source, .. } => {
                let may_pass =
                    matches!(source.class, ErrorClass::InUse | ErrorClass::LimitExceeded);
                source.is_retryable() || may_pass
            }
            Self::Checkpoint { source, .. } => source.is_retryable(),
            Self::Interrupted { .. } | Self::IncompleteListing { .. } => true,
            _ => false,
        }
    }

    /// Whether the reader gives out nothing after this error. Only after [`Decode`](Self::Decode) it goes on.
    #[must_use]
    pub fn ends_the_stream(&self) -> bool {
        !matches!(self, Self::Decode { .. })
    }

    /// The service's error, if there is one.
    #[must_use]
    pub fn service_error(&self) -> Option<&ServiceError> {
        match self {
            Self::Service { source, .. }
            | Self::UnknownPosition { source, .. }
            | Self::Consumer { source, .. } => Some(source),
            _ => None,
        }
    }

    /// The error of a shard that the stream does not have, of a number or an id that a user gave; `count` is the number
    /// of shards that the stream retains.
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

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode { position, .. } => {
                write!(
                    f,
                    "the record at {position} cannot be decoded; reading goes on after it"
                )
            }
            Self::ShardNotFound {
                stream,
                shard,
                count,
            } => fmt_not_found(f, stream, shard, *count),
            Self::UnknownPosition {
                stream, position, ..
            } => write!(
                f,
                "stream {stream} has no position {position}: it is not of this shard, or has expired; \
                 start from a newer one, or from all that is retained"
            ),
            Self::Trimmed { stream, checkpoint } => fmt_trimmed(f, stream, checkpoint),
            Self::Mismatch {
                stream,
                checkpoint,
                found,
            } => fmt_mismatch(f, stream, checkpoint, found),
            Self::IncompleteListing { stream, missing } => write!(
                f,
                "the listing of stream {stream} lacks the shard of the hash keys {missing}; \
                 open a new reader to try again"
            ),
            Self::ClockSkew {
                stream,
                ahead_min,
                ahead_max,
            } => fmt_skew(f, stream, ahead_min.as_secs(), ahead_max.as_secs()),
            Self::Checkpoint { stream, .. } => {
                write!(f, "the checkpoints of stream {stream} cannot be kept")
            }
            Self::Consumer {
                stream,
                consumer,
                source,
            } => {
                let advice = consumer_advice(source.class);
                write!(
                    f,
                    "stream {stream} has no usable consumer {consumer}: {advice}"
                )
            }
            Self::TooManyUnacked {
                stream,
                shard,
                count,
            } => write!(
                f,
                "{count} records of {shard} of stream {stream} wait for their ack: ack every record"
            ),
            Self::Service {
                stream,
                shard,
                source,
            } => fmt_service(f, stream, shard.as_ref(), source.class),
            Self::Interrupted { stream } => write!(
                f,
                "reading stream {stream} was interrupted: the runtime that opened the reader shut down"
            ),
        }
    }
}

fn fmt_not_found(
    f: &mut fmt::Formatter<'_>,
    stream: &StreamId,
    shard: &ShardSelector,
    count: usize,
) -> fmt::Result {
    write!(f, "stream {stream} has no {shard}: ")?;
    match count {
        0 => f.write_str("it has no shards"),
        1 => f.write_str("it has 1 shard, number 0"),
        _ => write!(f, "it has {count} shards, numbers 0 to {}", count - 1),
    }
}

fn fmt_service(
    f: &mut fmt::Formatter<'_>,
    stream: &StreamId,
    shard: Option<&ShardId>,
    class: ErrorClass,
) -> fmt::Result {
    let advice = advice(class);
    match shard {
        Some(shard) => write!(f, "reading {shard} of stream {stream} failed: {advice}"),
        None => write!(f, "listing the shards of stream {stream} failed: {advice}"),
    }
}

fn fmt_skew(f: &mut fmt::Formatter<'_>, stream: &StreamId, min: u64, max: u64) -> fmt::Result {
    write!(
        f,
        "the clock of this machine is ahead of that of stream {stream} by {min} to {max} s: set it"
    )
}

fn fmt_trimmed(
    f: &mut fmt::Formatter<'_>,
    stream: &StreamId,
    checkpoint: &Checkpoint,
) -> fmt::Result {
    let shard = &checkpoint.shard_id;
    write!(
        f,
        "records of {shard} of stream {stream} may have expired before they were finished; "
    )?;
    if let Some(time) = checkpoint
        .finished_until()
        .and_then(|t| Timestamp::try_from(t).ok())
    {
        write!(f, "those since {time} may be missing; ")?;
    }
    f.write_str("choose with `on_trimmed` where to go on")
}

fn fmt_mismatch(
    f: &mut fmt::Formatter<'_>,
    stream: &StreamId,
    checkpoint: &Checkpoint,
    found: &Mismatch,
) -> fmt::Result {
    let shard = &checkpoint.shard_id;
    write!(f, "the checkpoint of {shard} (")?;
    match &checkpoint.place {
        CheckpointPlace::TrimHorizon => f.write_str("TRIM_HORIZON")?,
        CheckpointPlace::Timestamp(time) => match Timestamp::try_from(*time) {
            Ok(time) => write!(f, "from {time}")?,
            Err(_) => f.write_str("from a time")?,
        },
        CheckpointPlace::After {
            sequence_number, ..
        } => write!(f, "after {sequence_number}")?,
        CheckpointPlace::ShardEnd => f.write_str("SHARD_END")?,
    }
    if let Some(time) = checkpoint
        .stream_created_at
        .and_then(|time| Timestamp::try_from(time).ok())
    {
        write!(f, ", in a stream created at {time}")?;
    }
    write!(
        f,
        ") is not of stream {stream} as it is: {found}; the stream was deleted and made again: \
         remove the checkpoints of the application, or take another application name"
    )
}

fn advice(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::NotFound => "check its name and region",
        ErrorClass::AccessDenied => "check the credentials and their rights",
        ErrorClass::Invalid => "check where reading starts",
        _ => "open a new reader to try again",
    }
}

fn consumer_advice(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::LimitExceeded => {
            "it may have as many as the service allows: remove one, or read by polling"
        }
        ErrorClass::NotFound => "it was removed, or the stream is not there: check both names",
        ErrorClass::Invalid => "check its name and whether the service has enhanced fan-out",
        _ => advice(class),
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
