use std::{collections::BTreeSet, ops::Range};

use super::{
    context::{Halt, PAUSE_MIN, UNACKED_LOOK, guarded},
    decode::{checkpoint_after, decode_one},
    gather::RawBatch,
    lane::Lane,
};
use crate::{
    KinesisRecord,
    fleet::{
        dead_letters::{BoxError, DeadLetter},
        worker::{
            Batch, CheckpointerError, Checkpointing, Processor, WorkerError,
            policy::{OnFailure, Verdict},
            renewer::LeaseCommand,
        },
    },
    get::{Ack, Ordinal, UserRecord},
    shard::Position,
};

/// The number of records of one shard that may wait for their ack, or for one before them.
pub(super) const UNFINISHED_MAX: u64 = 100_000;

/// A batch while it is worked on.
pub(super) struct Work {
    raw: RawBatch,
    /// The watermark's steps of the records, if they are finished one by one: by their ack, or by their lane.
    steps: Option<Vec<Ordinal>>,
    /// The records that could not be decoded and have become dead letters.
    lettered: BTreeSet<usize>,
}

impl Work {
    pub(super) fn of(raw: RawBatch) -> Self {
        Self {
            raw,
            steps: None,
            lettered: BTreeSet::new(),
        }
    }

    /// A batch whose records have these steps of the watermark.
    pub(super) fn with_steps(raw: RawBatch, steps: Vec<Ordinal>) -> Self {
        Self {
            steps: Some(steps),
            ..Self::of(raw)
        }
    }
}

/// The processing of batches.
impl<R, P> Lane<P>
where
    R: KinesisRecord + Send,
    P: Processor<Record = R>,
{
    /// Gives a batch to the processor until its records are processed or have had their fate.
    pub(super) async fn process(&mut self, mut work: Work) -> Result<(), Halt> {
        let all = 0..work.raw.records.len();
        // Parts of the batch that are still to be processed, the first one last: at most one more than it can be
        // halved.
        let mut parts = vec![all];
        while let Some(part) = parts.pop() {
            let Err((error, attempts)) = self.try_part(&mut work, part.clone()).await? else {
                self.finish(&work, part).await?;
                continue;
            };
            let bisects = self.shard.settings.on_error.bisects;
            if bisects && part.len() > 1 {
                let middle = part.start + part.len() / 2;
                parts.extend([middle..part.end, part.start..middle]);
                continue;
            }
            self.give_up(&work, part.clone(), error, attempts).await?;
            self.finish(&work, part).await?;
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
        let begun = self.shard.now();
        let mut failures = 0;
        loop {
            self.wait_until_valid().await;
            let batch = self.decode(work, part.clone(), failures).await?;
            if batch.records.is_empty() && batch.undecodable.is_empty() {
                return Ok(Ok(()));
            }
            let (processor, checkpointer) = (&mut self.processor, &self.shard.checkpointer);
            let processed = async { processor.process(batch, checkpointer).await };
            let Err(error) = guarded(processed).await else {
                return Ok(Ok(()));
            };
            failures += 1;
            let age = self.shard.now() - begun;
            let policy = &self.shard.settings.on_error;
            match policy.judge(failures, age, fastrand::f64()) {
                Verdict::GiveUp => return Ok(Err((error, failures))),
                Verdict::Again(pause) => {
                    self.shard.warn(&*error, "process");
                    self.shard.pause(pause).await?;
                }
            }
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
        let records = &work.raw.records[part.clone()];
        match self.shard.settings.on_error.then.clone() {
            None | Some(OnFailure::Stop) => return Err(self.processor_failed(error)),
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
        self.finish_steps(work, part);
        Ok(())
    }

    fn processor_failed(&self, source: BoxError) -> Halt {
        let shard = self.shard.shard_id.clone();
        Halt::Failed(WorkerError::Processor { shard, source })
    }

    fn letter(&self, record: &UserRecord, error: &str, attempts: u32) -> DeadLetter {
        let encoded = &record.encoded;
        DeadLetter {
            stream: self.shard.target.stream.name().to_owned(),
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
        let Some(OnFailure::DeadLetter(place)) = self.shard.settings.on_error.then.clone() else {
            return Ok(());
        };
        let mut pause = PAUSE_MIN;
        while let Err(error) = guarded(async { place.put(letters.clone()).await }).await {
            self.shard.warn(&*error, "put dead letters");
            self.shard.rest(&mut pause).await?;
        }
        Ok(())
    }

    /// Holds the watermark at each record of the batch until its ack, if acks are asked for.
    pub(super) async fn begin_acks(&mut self, work: &mut Work) -> Result<(), Halt> {
        if self.shard.settings.checkpointing != Checkpointing::Ack {
            return Ok(());
        }
        let mut steps = Vec::with_capacity(work.raw.records.len());
        for record in &work.raw.records {
            let checkpoint = checkpoint_after(&record.position);
            loop {
                let begun = self
                    .shard
                    .progress
                    .begin(checkpoint.clone(), UNFINISHED_MAX);
                if let Some(step) = begun {
                    steps.push(step);
                    break;
                }
                self.shard.pause(UNACKED_LOOK).await?;
            }
        }
        work.steps = Some(steps);
        Ok(())
    }

    /// A lease that may have expired is not worked on until a renewal shows that it is still held.
    async fn wait_until_valid(&mut self) {
        let shard = &self.shard;
        shard.hold.valid_or_lost(|| shard.now()).await;
        if !shard.hold.is_valid(shard.now()) {
            // The loss is being noticed by the caller.
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
            stream: Some(self.shard.target.stream.clone()),
            records: Vec::with_capacity(records.len()),
            undecodable: Vec::new(),
            behind_latest: work.raw.behind_latest,
            attempt,
            last: records.last().map(|record| record.position.clone()),
        };
        let is_acked = self.shard.settings.checkpointing == Checkpointing::Ack;
        let mut letters = Vec::new();
        for (index, read) in part.clone().zip(records) {
            let error = match decode_one(read, work.raw.behind_latest) {
                Ok(mut record) => {
                    if let Some(steps) = work.steps.as_ref().filter(|_| is_acked) {
                        record.set_ack(Ack::new(self.shard.progress.clone(), steps[index]));
                    }
                    decoded.records.push(record);
                    continue;
                }
                Err(error) => error,
            };
            match self.shard.settings.on_error.then {
                Some(OnFailure::Stop) => return Err(self.processor_failed(error.into())),
                Some(OnFailure::DeadLetter(_)) => {
                    if work.lettered.insert(index) {
                        letters.push((index, self.letter(read, &error.to_string(), 0)));
                    }
                }
                Some(OnFailure::Skip) | None => {
                    let shard = &self.shard.shard_id;
                    tracing::warn!(%shard, %error, "undecodable record");
                    decoded.undecodable.push(error);
                    self.finish_steps(work, index..index + 1);
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
        Ok(decoded)
    }

    /// Finishes the steps of records that need no ack, or whose owner will not ack them.
    fn finish_steps(&self, work: &Work, part: Range<usize>) {
        for step in work.steps.iter().flat_map(|steps| &steps[part.clone()]) {
            self.shard.progress.finish(&self.shard.shard_id, *step);
        }
    }

    /// Notes that the records of a part are processed.
    async fn finish(&mut self, work: &Work, part: Range<usize>) -> Result<(), Halt> {
        if self.shard.settings.checkpointing != Checkpointing::Automatic {
            return Ok(());
        }
        if work.steps.is_some() {
            self.finish_steps(work, part);
            return self.save_at_once().await;
        }
        match work.raw.records[part].last() {
            Some(last) => self.finish_up_to(&last.position).await,
            None => Ok(()),
        }
    }

    /// Saves the watermark, if every batch is to be saved.
    async fn save_at_once(&mut self) -> Result<(), Halt> {
        if !self.shard.settings.checkpoint_interval.is_zero() {
            return Ok(());
        }
        let checkpointer = &self.shard.checkpointer;
        let done = checkpointer.command(|reply| LeaseCommand::Save { reply });
        saved(&done.await)
    }

    /// Notes that this record and all before it are processed.
    async fn finish_up_to(&mut self, last: &Position) -> Result<(), Halt> {
        if !self.shard.settings.checkpoint_interval.is_zero() {
            self.shard.progress.reach(checkpoint_after(last));
            return Ok(());
        }
        saved(&self.shard.checkpointer.checkpoint(last).await)
    }
}

/// Passes over a failure that the next batch mends: it notes a later place.
fn saved(result: &Result<(), CheckpointerError>) -> Result<(), Halt> {
    match result {
        Err(CheckpointerError::LeaseLost { .. }) => Err(Halt::Lost),
        _ => Ok(()),
    }
}
