use std::{collections::BTreeSet, ops::Range, time::Duration};

use super::{
    Batch, BoxError, CheckpointerError, Checkpointing, Processor, WorkerError,
    consumer::{Halt, PAUSE_MIN, ShardConsumer, UNACKED_LOOK, guarded, leaves},
    decode::{checkpoint_after, decode_one},
    gather::RawBatch,
    policy::{OnFailure, Verdict},
};
use crate::{
    KinesisRecord,
    fleet::dead_letters::DeadLetter,
    get::{Ack, Ordinal, UserRecord},
    shard::Position,
};

/// How many records of one shard may wait for their ack.
const UNACKED_MAX: u64 = 100_000;

/// A batch while it is worked on.
struct Work {
    raw: RawBatch,
    /// The watermark's steps of the records, if each is to be acked.
    acks: Option<Vec<Ordinal>>,
    /// The records that could not be decoded and have become dead letters.
    lettered: BTreeSet<usize>,
}

/// The processing of batches.
impl<R, P> ShardConsumer<P>
where
    R: KinesisRecord + Send,
    P: Processor<Record = R>,
{
    /// Gives a batch to the processor until its records are processed or have had their fate.
    pub(super) async fn process(&mut self, raw: RawBatch) -> Result<(), Halt> {
        let acks = self.begin_acks(&raw).await?;
        let mut work = Work {
            raw,
            acks,
            lettered: BTreeSet::new(),
        };
        let all = 0..work.raw.records.len();
        // Parts of the batch that are still to be processed, the first one last: at most one more than it can be
        // halved.
        let mut parts = vec![all];
        while let Some(part) = parts.pop() {
            let Err((error, attempts)) = self.try_part(&mut work, part.clone()).await? else {
                self.finish(&work, &part).await?;
                continue;
            };
            let bisects = self.settings.on_error.bisects;
            if bisects && part.len() > 1 {
                let middle = part.start + part.len() / 2;
                parts.extend([middle..part.end, part.start..middle]);
                continue;
            }
            self.give_up(&work, part.clone(), error, attempts).await?;
            self.finish(&work, &part).await?;
        }
        Ok(())
    }

    /// Gives a part of a batch to the processor, again as often as the policy says. Returns the last error, and how
    /// often it failed.
    async fn try_part(
        &mut self,
        work: &mut Work,
        part: Range<usize>,
    ) -> Result<Result<(), (BoxError, u32)>, Halt> {
        let begun = self.target.clock.instant();
        let mut failures = 0;
        loop {
            self.wait_until_valid().await;
            let batch = self.decode(work, part.clone(), failures).await?;
            if batch.records.is_empty() && batch.undecodable.is_empty() {
                return Ok(Ok(()));
            }
            let processed = async { self.processor.process(batch, &self.checkpointer).await };
            let Err(error) = guarded(processed).await else {
                return Ok(Ok(()));
            };
            failures += 1;
            let age = self.target.clock.instant() - begun;
            match self.settings.on_error.judge(failures, age, fastrand::f64()) {
                Verdict::GiveUp => return Ok(Err((error, failures))),
                Verdict::Again(pause) => {
                    self.warn(&*error, "process");
                    self.pause(pause).await?;
                }
            }
        }
    }

    async fn pause(&mut self, time: Duration) -> Result<(), Halt> {
        tokio::select! {
            biased;
            () = leaves(self.hold.clone(), self.stop.clone()) => Err(Halt::Leave),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    /// Lets records have the fate of those that were tried often enough.
    async fn give_up(
        &mut self,
        work: &Work,
        part: Range<usize>,
        error: BoxError,
        attempts: u32,
    ) -> Result<(), Halt> {
        let (shard, records) = (self.lease.shard_id.clone(), &work.raw.records[part.clone()]);
        match self.settings.on_error.then.clone() {
            None | Some(OnFailure::Stop) => {
                return Err(Halt::Failed(WorkerError::Processor {
                    shard,
                    source: error,
                }));
            }
            Some(OnFailure::Skip) => {
                for record in records {
                    tracing::error!(position = %record.position, %error, "record skipped");
                }
            }
            Some(OnFailure::DeadLetter(_)) => {
                let text = error.to_string();
                let letters = records
                    .iter()
                    .map(|record| self.letter(record, &text, attempts));
                self.put_letters(letters.collect()).await?;
            }
        }
        self.ack(work, part);
        Ok(())
    }

    fn letter(&self, record: &UserRecord, error: &str, attempts: u32) -> DeadLetter {
        let encoded = &record.encoded;
        DeadLetter {
            stream: self.target.stream.name().to_owned(),
            position: record.position.clone(),
            partition_key: encoded.partition_key.clone(),
            explicit_hash_key: encoded.explicit_hash_key,
            arrived_at: record.arrived_at,
            error: error.to_owned(),
            attempts,
            redrives: record.redrives,
            data: encoded.data.clone(),
        }
    }

    /// Puts letters until they are there: nothing is passed over before.
    async fn put_letters(&mut self, letters: Vec<DeadLetter>) -> Result<(), Halt> {
        let Some(OnFailure::DeadLetter(place)) = self.settings.on_error.then.clone() else {
            return Ok(());
        };
        let mut pause = PAUSE_MIN;
        while let Err(error) = guarded(async { place.put(letters.clone()).await }).await {
            self.warn(&*error, "put dead letters");
            if self.rest(&mut pause).await {
                return Err(Halt::Leave);
            }
        }
        Ok(())
    }

    /// Holds the watermark at each record of the batch until its ack. `None` if no acks are asked for.
    async fn begin_acks(&mut self, batch: &RawBatch) -> Result<Option<Vec<Ordinal>>, Halt> {
        if self.settings.checkpointing != Checkpointing::Ack {
            return Ok(None);
        }
        let mut ordinals = Vec::with_capacity(batch.records.len());
        for record in &batch.records {
            let checkpoint = checkpoint_after(&record.position);
            loop {
                if let Some(ordinal) = self.progress.begin(checkpoint.clone(), UNACKED_MAX) {
                    ordinals.push(ordinal);
                    break;
                }
                self.pause(UNACKED_LOOK).await?;
            }
        }
        Ok(Some(ordinals))
    }

    /// A lease that may have expired is not worked on until a renewal shows that it is still held.
    async fn wait_until_valid(&mut self) {
        let clock = self.target.clock.clone();
        self.hold.valid_or_lost(|| clock.instant()).await;
        if !self.hold.is_valid(clock.instant()) {
            // The loss is being noticed above.
            std::future::pending::<()>().await;
        }
    }

    /// Decodes a part of a batch. What cannot be decoded has its fate with the first try.
    async fn decode(
        &mut self,
        work: &mut Work,
        part: Range<usize>,
        attempt: u32,
    ) -> Result<Batch<R>, Halt> {
        let records = &work.raw.records[part.clone()];
        let mut decoded = Batch {
            records: Vec::with_capacity(records.len()),
            undecodable: Vec::new(),
            behind_latest: work.raw.behind_latest,
            attempt,
            last: records.last().map(|record| record.position.clone()),
        };
        let mut letters = Vec::new();
        for (index, read) in part.clone().zip(records) {
            let error = match decode_one(read, work.raw.behind_latest) {
                Ok(mut record) => {
                    if let Some(acks) = &work.acks {
                        record.set_ack(Ack::new(self.progress.clone(), acks[index]));
                    }
                    decoded.records.push(record);
                    continue;
                }
                Err(error) => error,
            };
            self.ack(work, index..index + 1);
            match self.settings.on_error.then {
                Some(OnFailure::Stop) => {
                    return Err(Halt::Failed(WorkerError::Processor {
                        shard: self.lease.shard_id.clone(),
                        source: error.into(),
                    }));
                }
                Some(OnFailure::DeadLetter(_)) => {
                    if work.lettered.insert(index) {
                        letters.push(self.letter(read, &error.to_string(), 0));
                    }
                }
                Some(OnFailure::Skip) | None => {
                    tracing::warn!(shard = %self.lease.shard_id, %error, "undecodable record");
                    decoded.undecodable.push(error);
                }
            }
        }
        if !letters.is_empty() {
            self.put_letters(letters).await?;
        }
        Ok(decoded)
    }

    /// Acks records whose owner will not.
    fn ack(&self, work: &Work, part: Range<usize>) {
        for ordinal in work.acks.iter().flat_map(|acks| &acks[part.clone()]) {
            self.progress.finish(&self.lease.shard_id, *ordinal);
        }
    }

    /// The records of a part are processed, and those of the parts before.
    async fn finish(&mut self, work: &Work, part: &Range<usize>) -> Result<(), Halt> {
        let last = work.raw.records[part.clone()].last();
        match (last, self.settings.checkpointing) {
            (Some(last), Checkpointing::Automatic) => {
                let last = last.position.clone();
                self.finish_automatically(&last).await
            }
            _ => Ok(()),
        }
    }

    async fn finish_automatically(&mut self, last: &Position) -> Result<(), Halt> {
        if !self.settings.checkpoint_interval.is_zero() {
            self.progress.reach(checkpoint_after(last));
            return Ok(());
        }
        match self.checkpointer.checkpoint(last).await {
            // The same place is noted with the next batch.
            Ok(())
            | Err(CheckpointerError::Store { .. } | CheckpointerError::OutOfRange { .. }) => Ok(()),
            Err(CheckpointerError::LeaseLost { .. }) => Err(Halt::Lost),
        }
    }
}
