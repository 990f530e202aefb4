use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::sync::watch;

use super::{
    Batch, BoxError, Checkpointer, CheckpointerError, Checkpointing, Processor, ShardStart,
    WorkerError,
    coordinator::stopped,
    gather::{Gather, Gathered, RawBatch},
    hold::Hold,
    renewer::Order,
    settings::Settings,
};
use crate::{
    Checkpoint, CheckpointPlace, GetError, KinesisRecord, Record,
    fleet::lease::{Lease, LeaseCheckpoint, LeaseStore, sync::Sync},
    get::{Ack, Begin, OneShard, Ordinal, Progress, UserRecord, list_shards},
    service::IteratorStart,
    shard::{Position, ShardId},
    stream::Target,
};

/// The first pause before a failed call of the processor, the reader or a listing is made again; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How many records of one shard may wait for their ack.
const UNACKED_MAX: u64 = 100_000;
/// How often a shard with too many records that wait for their ack is looked at again.
const UNACKED_LOOK: Duration = Duration::from_millis(100);
/// The sub-sequence number of a Kinesis record that is finished with all that an aggregate in it held.
const WHOLE: u64 = i64::MAX as u64;

/// How the work on a shard ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// All of the shard is finished.
    Ended,
    /// Another worker has the lease.
    Lost,
    /// The lease was given back, or on to the worker that asked for it.
    Released,
    Failed(WorkerError),
}

/// The work on one shard: reads it, hands batches to the processor, and notes what is finished.
pub(super) struct ShardConsumer<P> {
    pub(super) processor: P,
    pub(super) target: Target,
    pub(super) store: Arc<dyn LeaseStore>,
    pub(super) settings: Arc<Settings>,
    pub(super) consumer_arn: Option<Arc<str>>,
    pub(super) lease: Lease,
    pub(super) hold: Hold,
    pub(super) progress: Arc<Progress>,
    pub(super) checkpointer: Checkpointer,
    pub(super) stop: watch::Receiver<bool>,
}

/// Why the work goes no further.
enum Halt {
    Lost,
    /// The worker stops, or hands the lease over.
    Leave,
    Ended,
    Failed(WorkerError),
}

impl From<CheckpointerError> for Halt {
    fn from(_: CheckpointerError) -> Self {
        Self::Lost
    }
}

impl<R, P> ShardConsumer<P>
where
    R: KinesisRecord,
    P: Processor<Record = R>,
{
    /// Works until the shard ends, the lease is lost, or the worker leaves.
    pub(super) async fn run(mut self) -> Outcome {
        let outcome = self.run_to_outcome().await;
        // Checkpointers may outlive it.
        self.hold.lose();
        outcome
    }

    async fn run_to_outcome(&mut self) -> Outcome {
        let hold = self.hold.clone();
        let halt = tokio::select! {
            biased;
            () = hold.lost() => Halt::Lost,
            halt = self.work() => halt,
        };
        match halt {
            Halt::Lost => self.lose().await,
            Halt::Ended => Outcome::Ended,
            Halt::Leave | Halt::Failed(_) => {
                let left = tokio::select! {
                    biased;
                    () = hold.lost() => Err(CheckpointerError::LeaseLost {
                        shard: self.lease.shard_id.clone(),
                    }),
                    left = self.leave(matches!(halt, Halt::Leave)) => left,
                };
                match (halt, left) {
                    (Halt::Failed(error), _) => Outcome::Failed(error),
                    (_, Ok(())) => Outcome::Released,
                    (_, Err(_)) => self.lose().await,
                }
            }
        }
    }

    async fn lose(&mut self) -> Outcome {
        let _ = guarded(self.processor.lease_lost().map(Ok)).await;
        Outcome::Lost
    }

    async fn work(&mut self) -> Halt {
        let start = ShardStart {
            shard_id: self.lease.shard_id.clone(),
            checkpoint: self.lease.checkpoint.clone(),
            pending: self.lease.pending.clone(),
        };
        let mut pause = PAUSE_MIN;
        while let Err(error) = guarded(self.processor.initialize(&start, &self.checkpointer)).await
        {
            self.warn(&*error, "initialize");
            if self.rest(&mut pause).await {
                return Halt::Leave;
            }
        }
        match self.read().await {
            Ok(()) => Halt::Ended,
            Err(halt) => halt,
        }
    }

    /// Reads to the shard's end, again from the last record after an error that may pass.
    async fn read(&mut self) -> Result<(), Halt> {
        let mut begin = begin_at(&self.lease);
        let mut pause = PAUSE_MIN;
        loop {
            let mut reader = self.open(begin.clone());
            let mut gather = Gather::new(self.settings.batch, self.target.clock.clone());
            let error = loop {
                let leaves = leaves(self.hold.clone(), self.stop.clone());
                let gathered = tokio::select! {
                    biased;
                    () = leaves => return Err(Halt::Leave),
                    gathered = gather.next(&mut reader) => gathered,
                };
                match gathered {
                    Gathered::Batch(batch) => {
                        pause = PAUSE_MIN;
                        if let Some(last) = batch.records.last() {
                            begin = after(&last.position);
                        }
                        self.process(batch).await?;
                    }
                    Gathered::End => return self.end().await,
                    Gathered::Failed(error) => break error,
                }
            };
            drop(reader);
            if !error.is_retryable() {
                return Err(self.failed(error));
            }
            self.warn(&error, "read");
            if self.rest(&mut pause).await {
                return Err(Halt::Leave);
            }
        }
    }

    fn open(&self, begin: Begin) -> OneShard {
        OneShard::open(
            self.target.clone(),
            &self.lease.shard_id,
            self.lease.hash_key_range,
            begin,
            self.settings.reader.clone(),
            self.consumer_arn.clone(),
        )
    }

    fn failed(&self, source: GetError) -> Halt {
        Halt::Failed(WorkerError::Read {
            stream: self.target.stream.clone(),
            source,
        })
    }

    /// Gives a batch to the processor until it is processed.
    async fn process(&mut self, batch: RawBatch) -> Result<(), Halt> {
        let acks = self.begin_acks(&batch).await?;
        let (mut pause, mut attempt) = (PAUSE_MIN, 0);
        loop {
            self.wait_until_valid().await;
            let decoded = self.decode(&batch, acks.as_deref(), attempt);
            let processed = self.processor.process(decoded, &self.checkpointer);
            let Err(error) = guarded(processed).await else {
                break;
            };
            self.warn(&*error, "process");
            attempt += 1;
            if self.rest(&mut pause).await {
                return Err(Halt::Leave);
            }
        }
        match batch.records.last() {
            Some(last) => self.finish(&last.position).await,
            None => Ok(()),
        }
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
                tokio::select! {
                    biased;
                    () = leaves(self.hold.clone(), self.stop.clone()) => return Err(Halt::Leave),
                    () = tokio::time::sleep(UNACKED_LOOK) => {}
                }
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

    fn decode(&self, batch: &RawBatch, acks: Option<&[Ordinal]>, attempt: u32) -> Batch<R> {
        let mut decoded = Batch {
            records: Vec::with_capacity(batch.records.len()),
            undecodable: Vec::new(),
            behind_latest: batch.behind_latest,
            attempt,
            last: batch.records.last().map(|record| record.position.clone()),
        };
        for (index, read) in batch.records.iter().enumerate() {
            let ordinal = acks.and_then(|acks| acks.get(index)).copied();
            match decode_one(read, batch.behind_latest) {
                Ok(mut record) => {
                    if let Some(ordinal) = ordinal {
                        record.set_ack(Ack::new(self.progress.clone(), ordinal));
                    }
                    decoded.records.push(record);
                }
                Err(error) => {
                    tracing::warn!(shard = %self.lease.shard_id, %error, "undecodable record");
                    decoded.undecodable.push(error);
                    if let Some(ordinal) = ordinal {
                        self.progress.finish(&self.lease.shard_id, ordinal);
                    }
                }
            }
        }
        decoded
    }

    /// The records up to this one are processed.
    async fn finish(&mut self, last: &Position) -> Result<(), Halt> {
        if self.settings.checkpointing != Checkpointing::Automatic {
            return Ok(());
        }
        if self.settings.checkpoint_interval.is_zero() {
            return match self.checkpointer.checkpoint(last).await {
                Ok(()) => Ok(()),
                // The same place is noted with the next batch.
                Err(CheckpointerError::Store { .. } | CheckpointerError::OutOfRange { .. }) => {
                    Ok(())
                }
                Err(lost) => Err(lost.into()),
            };
        }
        self.progress.reach(checkpoint_after(last));
        Ok(())
    }

    /// All records of the shard came and were processed.
    async fn end(&mut self) -> Result<(), Halt> {
        let mut pause = PAUSE_MIN;
        while self.progress.open_count(&self.lease.shard_id) > 0 {
            tokio::select! {
                biased;
                () = leaves(self.hold.clone(), self.stop.clone()) => return Err(Halt::Leave),
                () = tokio::time::sleep(UNACKED_LOOK) => {}
            }
        }
        while let Err(error) = guarded(self.processor.shard_ended(&self.checkpointer)).await {
            self.warn(&*error, "shard_ended");
            if self.rest(&mut pause).await {
                return Err(Halt::Leave);
            }
        }
        pause = PAUSE_MIN;
        loop {
            match self.note_end().await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(halt) => return Err(halt),
            }
            if self.rest(&mut pause).await {
                return Err(Halt::Leave);
            }
        }
    }

    /// Makes the leases of the children and notes the shard's end. Returns whether that is done; it is not while the
    /// service does not show the children of the closed shard, or something fails that may pass.
    async fn note_end(&mut self) -> Result<bool, Halt> {
        let shards = match list_shards(&self.target).await {
            Ok(shards) => shards,
            Err(error) if error.is_retryable() => {
                self.warn(&error, "list shards");
                return Ok(false);
            }
            Err(error) => return Err(self.failed(error)),
        };
        let leases = match self.store.list(&self.settings.app).await {
            Ok(leases) => leases,
            Err(error) => {
                self.warn(&error, "list leases");
                return Ok(false);
            }
        };
        let now = self.target.clock.now();
        let is_retained = shards.iter().any(|shard| shard.id == self.lease.shard_id);
        let mut ended = self.lease.clone();
        if let Some(stored) = leases.iter().find(|l| l.shard_id == ended.shard_id) {
            ended.checkpoint = stored.checkpoint.clone();
        }
        let (children, leases) = Sync::new(&shards, &leases).children_leases(&ended, now);
        if children.is_empty() && is_retained {
            return Ok(false);
        }
        let order = |reply| Order::End {
            children,
            leases,
            reply,
        };
        match self.checkpointer.order(order).await {
            Ok(()) => Ok(true),
            Err(CheckpointerError::LeaseLost { .. }) => Err(Halt::Lost),
            Err(error) => {
                self.warn(&error, "note the shard's end");
                Ok(false)
            }
        }
    }

    /// Lets the processor come to a point, saves what is finished, and gives the lease back or on.
    async fn leave(&mut self, is_asked: bool) -> Result<(), CheckpointerError> {
        if is_asked {
            let requested = self.processor.shutdown_requested(&self.checkpointer);
            if let Err(error) = guarded(requested).await {
                self.warn(&*error, "shutdown_requested");
            }
        }
        self.checkpointer
            .order(|reply| Order::Release { reply })
            .await
    }

    fn warn(&self, error: &dyn std::error::Error, what: &'static str) {
        let (stream, shard) = (&self.target.stream, &self.lease.shard_id);
        tracing::warn!(%stream, %shard, %error, "cannot {what}; trying again");
    }

    /// Waits before the next try. Returns whether the worker is to leave the shard instead.
    async fn rest(&mut self, pause: &mut Duration) -> bool {
        let time = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        *pause = (*pause * 2).min(PAUSE_MAX);
        tokio::select! {
            biased;
            () = leaves(self.hold.clone(), self.stop.clone()) => true,
            () = tokio::time::sleep(time) => false,
        }
    }
}

/// Waits until the worker is to leave the shard: it stops, or another one asks for the lease.
async fn leaves(hold: Hold, stop: watch::Receiver<bool>) {
    tokio::select! {
        () = stopped(stop) => {}
        () = hold.wanted() => {}
    }
}

/// Runs a call of the processor; a panic in it is an error.
async fn guarded<T>(call: impl Future<Output = Result<T, BoxError>>) -> Result<T, BoxError> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(format!("panic: {}", text.unwrap_or_default()).into())
        }
    }
}

fn checkpoint_after(position: &Position) -> Checkpoint {
    let place = CheckpointPlace::After {
        sequence_number: position.sequence_number.clone(),
        sub_sequence_number: Some(position.sub_sequence_number),
    };
    Checkpoint::new(position.shard_id.clone(), place)
}

fn after(position: &Position) -> Begin {
    Begin::after(
        position.sequence_number.clone(),
        position.sub_sequence_number,
    )
}

/// Where reading begins in the shard of a lease.
fn begin_at(lease: &Lease) -> Begin {
    match (&lease.checkpoint, lease.begun_at) {
        (
            LeaseCheckpoint::After {
                sequence_number,
                sub_sequence_number: WHOLE,
            },
            _,
        ) => IteratorStart::AfterSequenceNumber(sequence_number.clone()).into(),
        (
            LeaseCheckpoint::After {
                sequence_number,
                sub_sequence_number,
            },
            _,
        ) => Begin::after(sequence_number.clone(), *sub_sequence_number),
        (LeaseCheckpoint::Latest | LeaseCheckpoint::AtTimestamp, Some(time)) => {
            IteratorStart::AtTimestamp(time).into()
        }
        (LeaseCheckpoint::Latest, None) => IteratorStart::Latest.into(),
        _ => IteratorStart::TrimHorizon.into(),
    }
}

fn decode_one<R: KinesisRecord>(
    read: &UserRecord,
    behind_latest: Option<Duration>,
) -> Result<Record<R>, GetError> {
    let encoded = &read.encoded;
    match R::decode(encoded) {
        Ok(data) => {
            let key = encoded.partition_key.clone();
            let mut record = Record::new(data, key, read.position.clone(), read.arrived_at);
            record.explicit_hash_key = encoded.explicit_hash_key;
            record.behind_latest = behind_latest;
            record.encryption_type = read.encryption_type;
            Ok(record)
        }
        Err(source) => Err(GetError::Decode {
            position: Box::new(read.position.clone()),
            raw: encoded.data.clone(),
            partition_key: encoded.partition_key.clone(),
            arrived_at: read.arrived_at,
            source: Box::new(source),
        }),
    }
}

/// The shard's id is all that a lease needs to be told apart.
impl<P> std::fmt::Debug for ShardConsumer<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id: &ShardId = &self.lease.shard_id;
        f.debug_tuple("ShardConsumer").field(id).finish()
    }
}
