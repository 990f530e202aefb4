use std::time::{Duration, SystemTime};

use super::{plan::Standing, start::StartAt};
use crate::{
    get::{
        checkpoint::{Checkpoint, CheckpointPlace},
        dispatch::deaggregate::Finished,
    },
    service::IteratorStart,
    shard::{SequenceNumber, Shard, ShardId},
};

/// The largest skew by which this machine's clock may be ahead of the service's. The service refuses the signatures of a
/// clock that is off by more than 5 minutes.
pub(in crate::get) const SKEW_MAX: Duration = Duration::from_secs(64);

/// The start position of one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begin {
    pub(in crate::get) iterator: IteratorStart,
    /// The finished part of the record at the iterator.
    pub(in crate::get) finished: Option<Finished>,
    /// The checkpoint that reading continues from.
    pub(in crate::get) resumed: Option<Checkpoint>,
}

impl From<IteratorStart> for Begin {
    fn from(iterator: IteratorStart) -> Self {
        Self {
            iterator,
            finished: None,
            resumed: None,
        }
    }
}

impl Begin {
    /// Returns the start after this user record: at its Kinesis record, which may be an aggregate with more records.
    pub(crate) fn after(sequence_number: SequenceNumber, sub_sequence_number: u64) -> Self {
        Self {
            iterator: IteratorStart::AtSequenceNumber(sequence_number.clone()),
            finished: Some(Finished {
                sequence_number,
                sub_sequence_number,
            }),
            resumed: None,
        }
    }

    /// Returns the same start, at which everything that arrived before `time` is finished. Without effect on a start whose
    /// position no checkpoint can have.
    pub(crate) fn finished_until(mut self, shard_id: &ShardId, time: SystemTime) -> Self {
        let place = match &self.finished {
            Some(finished) => Some(CheckpointPlace::After {
                sequence_number: finished.sequence_number.clone(),
                sub_sequence_number: Some(finished.sub_sequence_number),
            }),
            None => CheckpointPlace::where_begun(&self.iterator),
        };
        self.resumed = place.map(|place| {
            let checkpoint = Checkpoint::new(shard_id.clone(), place);
            checkpoint.current_at(time)
        });
        self
    }

    /// Returns the finished position before anything is read; `None` for a start that has no such form.
    pub(in crate::get) fn checkpoint(&self, shard_id: &ShardId) -> Option<Checkpoint> {
        self.resumed.clone().or_else(|| {
            let place = CheckpointPlace::where_begun(&self.iterator)?;
            Some(Checkpoint::new(shard_id.clone(), place))
        })
    }
}

/// The start position of one shard, from a checkpoint or the user.
#[derive(Clone, Debug)]
pub(super) enum OwnStart {
    Begin(Box<Begin>),
    /// The shard was read to its end before.
    Ended,
}

pub(super) fn own_start(checkpoint: &Checkpoint) -> OwnStart {
    let begin: Begin = match &checkpoint.place {
        CheckpointPlace::TrimHorizon => IteratorStart::TrimHorizon.into(),
        CheckpointPlace::Timestamp(time) => IteratorStart::AtTimestamp(*time).into(),
        CheckpointPlace::After {
            sequence_number,
            sub_sequence_number,
        } => match sub_sequence_number {
            None => IteratorStart::AfterSequenceNumber(sequence_number.clone()).into(),
            Some(index) => Begin::after(sequence_number.clone(), *index),
        },
        CheckpointPlace::ShardEnd => return OwnStart::Ended,
    };
    OwnStart::Begin(Box::new(Begin {
        resumed: Some(checkpoint.clone()),
        ..begin
    }))
}

/// Returns the start position after the iterator of `start` has expired before a record came.
///
/// LATEST means the moment of opening. So it becomes `latest`, a time that the service's clock had reached before the
/// first iterator was asked for: records from just before that moment may come again, but none is skipped.
pub(in crate::get) fn start_again(begin: Begin, latest: SystemTime) -> Begin {
    match begin.iterator {
        IteratorStart::Latest => IteratorStart::AtTimestamp(latest).into(),
        _ => begin,
    }
}

/// Returns the start of a shard in scope without a position of its own; `None` for a closed one that ended before.
pub(super) fn iterator_start(
    shard: &Shard,
    standing: Standing,
    start: &StartAt,
) -> Option<IteratorStart> {
    match start {
        _ if standing.is_resumed => Some(IteratorStart::TrimHorizon),
        StartAt::Latest => shard.is_open().then_some(IteratorStart::Latest),
        StartAt::Timestamp(time) => Some(IteratorStart::AtTimestamp(*time)),
        _ => Some(IteratorStart::TrimHorizon),
    }
}

impl StartAt {
    pub(in crate::get) fn as_shard_start(&self) -> Option<(&ShardId, IteratorStart)> {
        match self {
            Self::AtSequenceNumber(id, number) => {
                Some((id, IteratorStart::AtSequenceNumber(number.clone())))
            }
            Self::AfterSequenceNumber(id, number) => {
                Some((id, IteratorStart::AfterSequenceNumber(number.clone())))
            }
            _ => None,
        }
    }
}
