//! The texts of [`GetError`]: the error at this layer and the advice.

use std::fmt;

use jiff::Timestamp;

use crate::{
    get::{
        checkpoint::{Checkpoint, CheckpointPlace},
        error::GetError,
        plan::{mismatch::Mismatch, start::ShardSelector},
    },
    service::{ErrorClass, StreamId},
    shard::ShardId,
};

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
