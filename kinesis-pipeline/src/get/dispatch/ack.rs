use std::{fmt, sync::Arc, time::SystemTime};

use super::record::Record;
use crate::{
    get::{
        checkpoint::{Checkpoint, CheckpointError, CheckpointPlace, Ordinal, Progress, Saver},
        error::GetError,
    },
    service::StreamId,
    shard::{Position, ShardId},
};

/// The largest number of records of one shard that wait for their ack.
const UNACKED_MAX: u64 = 1_000_000;

/// A tracker of the records that were given to the reader's owner and that are finished.
#[derive(Debug)]
pub(in crate::get) struct Tracker {
    saver: Saver,
    needs_ack: bool,
    /// The record that was given out last, which is finished when the next is asked for. Unused with acks.
    given: Option<Checkpoint>,
}

/// The handle that marks one record as finished.
#[derive(Clone)]
pub(crate) struct Ack {
    progress: Arc<Progress>,
    ordinal: Ordinal,
}

impl Ack {
    pub(crate) fn new(progress: Arc<Progress>, ordinal: Ordinal) -> Self {
        Self { progress, ordinal }
    }

    pub(super) fn finish(&self, shard_id: &ShardId) {
        self.progress.finish(shard_id, self.ordinal);
    }
}

impl fmt::Debug for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ack")
            .field("ordinal", &self.ordinal)
            .finish_non_exhaustive()
    }
}

impl Tracker {
    pub(in crate::get) fn new(saver: Saver, needs_ack: bool) -> Self {
        Self {
            saver,
            needs_ack,
            given: None,
        }
    }

    /// Returns another tracker of the same progress.
    pub(super) fn like(&self) -> Self {
        Self::new(self.saver.clone(), self.needs_ack)
    }

    /// Notes that the owner asks for the next record: the one given out last is finished.
    pub(super) fn on_asked(&mut self) {
        if let Some(given) = self.given.take() {
            self.saver.progress.reach(given);
        }
    }

    /// Notes a record that is given out. `is_last`: it is the last one of its Kinesis record.
    pub(super) fn on_given<R>(
        &mut self,
        mut item: Result<Record<R>, GetError>,
        is_last: bool,
        stream: &StreamId,
    ) -> Result<Record<R>, GetError> {
        match &mut item {
            Ok(record) => {
                let checkpoint = after(record.position(), is_last, record.arrived_at);
                if self.needs_ack {
                    record.set_ack(self.begin(checkpoint, stream)?);
                } else {
                    self.given = Some(checkpoint);
                }
            }
            Err(GetError::Decode {
                position,
                arrived_at,
                ..
            }) => {
                self.given = Some(after(position, is_last, *arrived_at));
            }
            Err(_) => {}
        }
        item
    }

    fn begin(&self, checkpoint: Checkpoint, stream: &StreamId) -> Result<Ack, GetError> {
        let shard = checkpoint.shard_id.clone();
        match self.saver.progress.begin(checkpoint, UNACKED_MAX) {
            Some(ordinal) => Ok(Ack {
                progress: self.saver.progress.clone(),
                ordinal,
            }),
            None => Err(GetError::TooManyUnacked {
                stream: stream.clone(),
                shard,
                count: UNACKED_MAX,
            }),
        }
    }

    pub(super) fn saver(&self) -> &Saver {
        &self.saver
    }

    pub(super) async fn save_last(&self) -> Result<(), CheckpointError> {
        self.saver.save_last().await
    }
}

fn after(position: &Position, is_last: bool, arrived_at: SystemTime) -> Checkpoint {
    let place = CheckpointPlace::After {
        sequence_number: position.sequence_number.clone(),
        sub_sequence_number: (!is_last).then_some(position.sub_sequence_number),
    };
    Checkpoint::new(position.shard_id.clone(), place).arrived_at(arrived_at)
}
