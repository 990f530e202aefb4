use std::{collections::BTreeSet, ops::Range, time::Duration};

use super::{
    context::{Halt, PAUSE_MIN, UNACKED_LOOK, guarded},
    decode::checkpoint_after,
    gather::RawBatch,
    lane::Lane,
    undecodable::Decoded,
};
use crate::{
    KinesisRecord,
    fleet::{
        dead_letters::{BoxError, DeadLetter},
        worker::{
            BadRecord, CheckpointerError, Checkpointing, Processor, ProcessorError,
            lease_command::LeaseCommand,
            policy::{OnFailure, RetryDecision},
        },
    },
    get::{Ordinal, UserRecord},
    record::own,
    shard::Position,
};

/// The limit of a shard's records with an open step of the watermark. A step is open until the record, and each one
/// before it, is acked or finished by its lane.
pub(super) const UNFINISHED_MAX: u64 = 100_000;

/// A batch that is being processed.
pub(super) struct Work {
    pub(super) raw: RawBatch,
    /// The watermark's steps of the records, if each record is finished on its own: by its ack, or by its lane.
    pub(super) steps: Option<Vec<Ordinal>>,
    /// The records that could not be decoded. Each is reported, and stored as a dead letter, only once.
    pub(super) undecodable: BTreeSet<usize>,
    /// The records that the processor does not get again, because the policy has decided about them.
    pub(super) passed: BTreeSet<usize>,
}

/// The outcome of giving a part of a batch to the processor, with all tries of the policy.
enum Tried {
    Processed,
    /// Nothing was given out. Decodable records and undecodable ones meet at this index.
    Mixed {
        at: usize,
    },
    Failed {
        error: BoxError,
        attempts: u32,
    },
}

/// The reaction to an error of a processor.
enum Remedy {
    /// The records are given out again, and this try is not counted.
    Again,
    /// The policy decides about the whole part.
    Policy(BoxError),
}

impl Work {
    pub(super) fn of(raw: RawBatch) -> Self {
        Self {
            raw,
            steps: None,
            undecodable: BTreeSet::new(),
            passed: BTreeSet::new(),
        }
    }

    /// Makes a batch with these steps of the watermark for its records.
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
    /// Gives a batch to the processor until each record is processed or the policy has decided about it.
    pub(super) async fn process(&mut self, mut work: Work) -> Result<(), Halt> {
        let shard = &self.shard;
        let at_work = shard.observer.on_batch(&shard.key, work.raw.behind_latest);
        let all = 0..work.raw.records.len();
        // A stack of the unprocessed parts of the batch. A batch can be halved a limited number of times. The depth is
        // at most two more, as a part that is split off because it is mixed is given out before the rest.
        let mut parts = vec![all];
        while let Some(part) = parts.pop() {
            let (error, attempts) = match self.try_part(&mut work, part.clone()).await? {
                Tried::Processed => {
                    self.finish(&work, part).await?;
                    continue;
                }
                Tried::Mixed { at } => {
                    parts.extend([at..part.end, part.start..at]);
                    continue;
                }
                Tried::Failed { error, attempts } => (error, attempts),
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
        let bytes = work
            .raw
            .records
            .iter()
            .map(|record| record.encoded.data.len());
        self.shard.processed.add(bytes.sum());
        at_work.finish(work.raw.records.len());
        Ok(())
    }

    /// Gives a part of a batch to the processor, as often as the policy allows.
    async fn try_part(&mut self, work: &mut Work, part: Range<usize>) -> Result<Tried, Halt> {
        let begun = self.shard.now();
        let mut failures = 0;
        let mut unavailable = PAUSE_MIN;
        loop {
            self.wait_until_valid().await?;
            let batch = match self.decode(work, part.clone(), failures).await? {
                Decoded::Batch(batch) => batch,
                Decoded::Mixed { at } => return Ok(Tried::Mixed { at }),
            };
            if batch.records.is_empty() && batch.undecodable.is_empty() {
                return Ok(Tried::Processed);
            }
            let taken = batch.undecodable.taken();
            let (processor, checkpointer) = (&mut self.processor, &self.shard.checkpointer);
            let processed = async { processor.process(batch, checkpointer).await };
            let error = match guarded(processed).await {
                Ok(()) if taken.is_missing() => work.left_undecodable(&part),
                Ok(()) => {
                    self.finish_undecodable(work, &part);
                    return Ok(Tried::Processed);
                }
                Err(error) => error,
            };
            let error = match self.remedy(work, &part, error, &mut unavailable).await? {
                Remedy::Again => continue,
                Remedy::Policy(error) => error,
            };
            failures += 1;
            let shard = &self.shard;
            shard.observer.on_failure(&shard.key, failures, &error);
            let age = self.shard.now() - begun;
            let policy = &self.shard.settings.on_error;
            match policy.judge(failures, age, fastrand::f64()) {
                RetryDecision::GiveUp if ProcessorError::is_repair(&error) => {
                    return Err(self.shard.processor_failed(error));
                }
                RetryDecision::GiveUp => {
                    let attempts = failures;
                    return Ok(Tried::Failed { error, attempts });
                }
                RetryDecision::Again(pause) => {
                    self.shard.warn(&*error, "process");
                    self.shard.pause(pause).await?;
                }
            }
        }
    }

    /// Acts on an error with a special meaning: see [`ProcessorError`].
    async fn remedy(
        &mut self,
        work: &mut Work,
        part: &Range<usize>,
        error: BoxError,
        unavailable: &mut Duration,
    ) -> Result<Remedy, Halt> {
        match error.downcast_ref() {
            Some(ProcessorError::LeaseLost { .. }) => Err(self.shard.fenced(&*error)),
            Some(ProcessorError::Unavailable { .. }) => {
                self.shard.warn(&*error, "process");
                self.shard.rest(unavailable).await?;
                Ok(Remedy::Again)
            }
            Some(ProcessorError::BadRecords { records }) => {
                let before = work.passed.len();
                for bad in records {
                    self.pass(work, part, bad).await?;
                }
                // Without a newly passed record the error counts as a failure of the batch. So the loop ends.
                let is_new = work.passed.len() > before;
                Ok(if is_new {
                    Remedy::Again
                } else {
                    Remedy::Policy(error)
                })
            }
            Some(ProcessorError::NeedsRepair { .. }) | None => Ok(Remedy::Policy(error)),
        }
    }

    /// Applies the policy to a record that the processor named, if the policy has a `then_` setting.
    async fn pass(
        &mut self,
        work: &mut Work,
        part: &Range<usize>,
        bad: &BadRecord,
    ) -> Result<(), Halt> {
        let mut indexes = part.clone();
        let found = indexes.find(|index| work.raw.records[*index].position == bad.position);
        let Some(index) = found.filter(|index| !work.passed.contains(index)) else {
            return Ok(());
        };
        let text = match self.shard.settings.on_error.then {
            None => return Ok(()),
            // The log gets the error's own text only: the causes may quote the record.
            Some(OnFailure::Skip) => bad.error.to_string(),
            Some(OnFailure::Stop | OnFailure::DeadLetter(_)) => with_causes(&*bad.error),
        };
        self.give_up(work, index..index + 1, text.into(), 1).await?;
        work.passed.insert(index);
        Ok(())
    }

    /// Applies the policy to records whose tries are spent.
    async fn give_up(
        &mut self,
        work: &Work,
        part: Range<usize>,
        error: BoxError,
        attempts: u32,
    ) -> Result<(), Halt> {
        let records = &work.raw.records[part.clone()];
        match self.shard.settings.on_error.then.clone() {
            None | Some(OnFailure::Stop) => return Err(self.shard.processor_failed(error)),
            Some(OnFailure::Skip) => {
                for record in records {
                    tracing::error!(position = %record.position, %error, "record skipped");
                }
                let shard = &self.shard;
                shard.observer.on_skipped(&shard.key, records.len());
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

    pub(super) fn letter(&self, record: &UserRecord, error: &str, attempts: u32) -> DeadLetter {
        let encoded = &record.encoded;
        // A place that keeps letters keeps no neighbours of their records.
        let mut data = encoded.data.clone();
        own(&mut data, true);
        DeadLetter {
            stream: self.shard.target.stream.name().to_owned(),
            position: record.position.clone(),
            partition_key: encoded.partition_key.clone(),
            explicit_hash_key: encoded.explicit_hash_key,
            arrived_at: record.arrived_at,
            error: error.to_owned(),
            attempts,
            redrives: record.redrives,
            data,
        }
    }

    /// Stores dead letters, repeated until the place has accepted them. Their records are not skipped before.
    pub(super) async fn put_letters(&mut self, letters: Vec<DeadLetter>) -> Result<(), Halt> {
        let Some(OnFailure::DeadLetter(place)) = self.shard.settings.on_error.then.clone() else {
            return Ok(());
        };
        let mut pause = PAUSE_MIN;
        while let Err(error) = guarded(async { place.put(letters.clone()).await }).await {
            self.shard.warn(&*error, "put dead letters");
            self.shard.rest(&mut pause).await?;
        }
        let shard = &self.shard;
        shard.observer.on_dead_letters(&shard.key, letters.len());
        Ok(())
    }

    /// Begins a step of the watermark for each record of the batch, if acks are used. The watermark stays before a
    /// record until its ack.
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

    /// Waits while the lease may have expired, until a renewal shows that it is still held. An error if the worker that
    /// asks for the lease may have taken it by force: then nothing more is begun here.
    async fn wait_until_valid(&mut self) -> Result<(), Halt> {
        let shard = &self.shard;
        shard.hold.valid_or_lost(|| shard.now()).await;
        if !shard.hold.is_valid(shard.now()) {
            // The caller is about to notice the loss and drop this future.
            std::future::pending::<()>().await;
        }
        if shard.hold.may_be_forced(shard.now()) {
            return Err(Halt::Leave);
        }
        Ok(())
    }

    /// Finishes the steps of records that need no ack or will get none.
    pub(super) fn finish_steps(&self, work: &Work, part: Range<usize>) {
        for step in work.steps.iter().flat_map(|steps| &steps[part.clone()]) {
            self.shard.progress.finish(&self.shard.shard_id, *step);
        }
    }

    /// Records that a part is processed.
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

    /// Saves the watermark, if it is to be saved after every batch.
    async fn save_at_once(&mut self) -> Result<(), Halt> {
        if !self.shard.settings.checkpoint_interval.is_zero() {
            return Ok(());
        }
        let checkpointer = &self.shard.checkpointer;
        let done = checkpointer.command(|reply| LeaseCommand::Save { reply });
        saved(&done.await)
    }

    /// Records that this record and all before it are processed.
    async fn finish_up_to(&mut self, last: &Position) -> Result<(), Halt> {
        if !self.shard.settings.checkpoint_interval.is_zero() {
            self.shard.progress.reach(checkpoint_after(last));
            return Ok(());
        }
        saved(&self.shard.checkpointer.checkpoint(last).await)
    }
}

/// Returns an error's text and those of its causes.
fn with_causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Ignores a failed save that the next one makes up for, as it saves a later position.
fn saved(result: &Result<(), CheckpointerError>) -> Result<(), Halt> {
    match result {
        Err(CheckpointerError::LeaseLost { .. }) => Err(Halt::Lost),
        _ => Ok(()),
    }
}
