//! The decoding of a batch, and the handling of records that cannot be decoded.

use std::ops::Range;

use super::{context::Halt, decode::decode_one, lane::Lane, process::Work};
use crate::{
    KinesisRecord,
    fleet::{
        dead_letters::BoxError,
        worker::{Batch, Checkpointing, Processor, batch::Undecodable, policy::OnFailure},
    },
    get::Ack,
    shard::Position,
};

/// The error for undecodable records that the processor did not take.
#[derive(Debug, thiserror::Error)]
#[error(
    "the processor left {records} record(s) that cannot be decoded, the first at {first}: take them by \
     `Batch::take_undecodable`, or give the worker a policy such as `ErrorPolicy::then_dead_letter`"
)]
struct UndecodableLeft {
    records: usize,
    first: Position,
}

/// A part of a batch after decoding.
pub(super) enum Decoded<R> {
    Batch(Batch<R>),
    /// Decodable records and undecodable ones that the processor must take meet at this index. A batch has only one
    /// kind. So a position that finishes the records of one kind never passes over the other.
    Mixed {
        at: usize,
    },
}

impl Work {
    /// Returns the error for a processor that did not take the undecodable records of a part.
    pub(super) fn left_undecodable(&self, part: &Range<usize>) -> BoxError {
        let left = self.undecodable.range(part.clone());
        let first = *left.clone().next().unwrap_or(&part.start);
        let error = UndecodableLeft {
            records: left.count(),
            first: self.raw.records[first].position.clone(),
        };
        error.into()
    }
}

impl<R, P> Lane<P>
where
    R: KinesisRecord + Send,
    P: Processor<Record = R>,
{
    /// Decodes a part of a batch. If the policy gives records up, it decides about undecodable ones at the first try.
    /// Otherwise the processor must take them.
    pub(super) async fn decode(
        &mut self,
        work: &mut Work,
        part: Range<usize>,
        attempt: u32,
    ) -> Result<Decoded<R>, Halt> {
        let records = &work.raw.records[part.clone()];
        let mut decoded = Batch {
            origin: Some(self.shard.origin.clone()),
            records: Vec::with_capacity(records.len()),
            undecodable: Undecodable::default(),
            behind_latest: work.raw.behind_latest,
            attempt,
            last: records.last().map(|record| record.position.clone()),
        };
        let is_acked = self.shard.settings.checkpointing == Checkpointing::Ack;
        let mut letters = Vec::new();
        for (index, read) in part.clone().zip(records) {
            if work.passed.contains(&index) {
                continue;
            }
            let error = match decode_one(read, work.raw.behind_latest) {
                Ok(_) if decoded.undecodable.has_untaken() => {
                    return Ok(Decoded::Mixed { at: index });
                }
                Ok(mut record) => {
                    if let Some(steps) = work.steps.as_ref().filter(|_| is_acked) {
                        record.set_ack(Ack::new(self.shard.progress.clone(), steps[index]));
                    }
                    decoded.records.push(record);
                    continue;
                }
                Err(error) => error,
            };
            let is_new = work.undecodable.insert(index);
            match self.shard.settings.on_error.then {
                Some(OnFailure::Stop) => return Err(self.shard.processor_failed(error.into())),
                Some(OnFailure::DeadLetter(_)) => {
                    if is_new {
                        letters.push((index, self.letter(read, &error.to_string(), 0)));
                    }
                }
                Some(OnFailure::Skip) => {
                    if is_new {
                        tell_undecodable(&read.position);
                        let observer = &self.shard.observer;
                        observer.on_skipped(&self.shard.shard_id, 1);
                    }
                    decoded.undecodable.push_passed(error);
                    self.finish_steps(work, index..index + 1);
                }
                None => {
                    if is_new {
                        tell_undecodable(&read.position);
                    }
                    if !decoded.records.is_empty() {
                        return Ok(Decoded::Mixed { at: index });
                    }
                    decoded.undecodable.push(error);
                }
            }
        }
        if !letters.is_empty() {
            let (indexes, letters): (Vec<_>, _) = letters.into_iter().unzip();
            self.put_letters(letters).await?;
            for index in indexes {
                self.finish_steps(work, index..index + 1);
            }
        }
        Ok(Decoded::Batch(decoded))
    }

    /// Finishes the steps of undecodable records that the processor has taken.
    pub(super) fn finish_undecodable(&self, work: &Work, part: &Range<usize>) {
        for index in work.undecodable.range(part.clone()) {
            self.finish_steps(work, *index..*index + 1);
        }
    }
}

fn tell_undecodable(position: &Position) {
    tracing::warn!(%position, "a record cannot be decoded");
}
