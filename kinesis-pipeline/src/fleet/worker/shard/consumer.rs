use std::{fmt, sync::Arc};

use super::{
    context::{Halt, PAUSE_MIN, ShardContext},
    decode::{after, after_record, begin_at},
    gather::{Gather, Gathered, RawBatch},
    lane::Lane,
    lanes::Lanes,
    process::Work,
};
use crate::{
    GetError, KinesisRecord,
    fleet::{
        lease::{Lease, LeaseCheckpoint, LeaseStore},
        worker::{Processor, ShardStart, WorkerError, hold::Phase, lease_command::LeaseCommand},
    },
    get::{Begin, RawShardReader, SingleShard},
    shard::Position,
};

/// The end of the work on a shard.
#[derive(Debug)]
pub(in crate::fleet::worker) enum Outcome {
    /// The whole shard is finished.
    Ended,
    /// Another worker has taken the lease.
    Lost,
    /// The lease was given back.
    Released,
    /// The lease was handed over to the worker that asked for it.
    HandedOver,
    Failed(WorkerError),
}

/// The consumer of one shard: it reads records, gives batches to the processors, and saves checkpoints.
pub(in crate::fleet::worker) struct ShardConsumer<P> {
    /// The processors, one for each lane; moved out when the work begins.
    pub(in crate::fleet::worker) processors: Vec<P>,
    pub(in crate::fleet::worker) store: Arc<dyn LeaseStore>,
    pub(in crate::fleet::worker) consumer_arn: Option<Arc<str>>,
    pub(in crate::fleet::worker) lease: Lease,
    pub(in crate::fleet::worker) shard: ShardContext,
}

/// The processors of a shard.
pub(super) enum Processing<P> {
    /// A single processor, called on the consumer's task.
    Inline(Box<Lane<P>>),
    Lanes(Box<Lanes>),
}

impl<R, P> Processing<P>
where
    R: KinesisRecord + Send,
    P: Processor<Record = R> + 'static,
{
    fn new(mut processors: Vec<P>, shard: &ShardContext, start: &ShardStart) -> Self {
        if processors.len() != 1 {
            let lanes = Lanes::start(processors, shard, start);
            return Self::Lanes(Box::new(lanes));
        }
        let processor = processors.remove(0);
        let shard = shard.clone();
        Self::Inline(Box::new(Lane { processor, shard }))
    }

    async fn initialize(&mut self, start: &ShardStart) -> Result<(), Halt> {
        match self {
            Self::Inline(lane) => lane.initialize(start).await,
            // Each lane initializes its processor on its own task.
            Self::Lanes(_) => Ok(()),
        }
    }

    /// Returns the position after which the processor wants to begin, if it keeps one.
    fn start_after(&self) -> Option<Position> {
        match self {
            Self::Inline(lane) => lane.processor.start_after(),
            // Lanes do not support a position of the processor.
            Self::Lanes(_) => None,
        }
    }

    /// Waits until a lane has halted by itself.
    async fn halted(&mut self) -> Halt {
        match self {
            Self::Inline(_) => std::future::pending().await,
            Self::Lanes(lanes) => lanes.halted().await,
        }
    }

    /// Processes a batch, or dispatches it to the lanes as they have room.
    async fn take(&mut self, batch: RawBatch) -> Result<(), Halt> {
        match self {
            Self::Inline(lane) => {
                let mut work = Work::of(batch);
                lane.begin_acks(&mut work).await?;
                lane.process(work).await
            }
            Self::Lanes(lanes) => lanes.dispatch(batch).await,
        }
    }

    /// Waits until all batches are processed.
    pub(super) async fn drain(&mut self) -> Result<(), Halt> {
        match self {
            Self::Inline(_) => Ok(()),
            Self::Lanes(lanes) => lanes.drain().await,
        }
    }

    /// Notifies the processors that the shard has ended.
    pub(super) async fn shard_ended(&mut self) -> Result<(), Halt> {
        match self {
            Self::Inline(lane) => lane.shard_ended().await,
            Self::Lanes(lanes) => lanes.shard_ended().await,
        }
    }

    /// Ends the processors' work. `is_asked` is true if the worker was asked to leave the shard, false after a failure.
    /// Returns a lane's failure.
    async fn shut_down(&mut self, is_asked: bool) -> Option<WorkerError> {
        match self {
            Self::Inline(lane) if is_asked => {
                lane.shutdown_requested().await;
                None
            }
            Self::Inline(_) => None,
            Self::Lanes(lanes) => lanes.shut_down(is_asked).await,
        }
    }

    async fn lease_lost(&mut self) {
        match self {
            Self::Inline(lane) => lane.lease_lost().await,
            Self::Lanes(lanes) => lanes.lease_lost().await,
        }
    }
}

impl<R, P> ShardConsumer<P>
where
    R: KinesisRecord + Send,
    P: Processor<Record = R> + 'static,
{
    /// Works until the shard ends, the lease is lost, or the worker leaves.
    pub(in crate::fleet::worker) async fn run(mut self) -> Outcome {
        let outcome = self.run_to_outcome().await;
        // Checkpointers may be used after the consumer's end, so they must see the loss.
        self.shard.hold.lose();
        outcome
    }

    async fn run_to_outcome(&mut self) -> Outcome {
        let start = ShardStart {
            stream: self.shard.target.stream.clone(),
            stream_identifier: self.shard.keys.identifier().cloned(),
            shard_id: self.shard.shard_id.clone(),
            checkpoint: self.lease.checkpoint.clone(),
            pending: self.lease.pending.clone(),
        };
        let processors = std::mem::take(&mut self.processors);
        let mut processing = Processing::new(processors, &self.shard, &start);
        let hold = self.shard.hold.clone();
        let halt = tokio::select! {
            biased;
            () = hold.lost() => Halt::Lost,
            halt = self.work(&mut processing, &start) => halt,
        };
        let left = match halt {
            Halt::Ended => return Outcome::Ended,
            Halt::Lost => None,
            Halt::Leave | Halt::Failed(_) => tokio::select! {
                biased;
                () = hold.lost() => None,
                left = self.leave(&mut processing, &halt) => Some(left),
            },
        };
        match (halt, left) {
            (Halt::Failed(error), _) | (_, Some(Err(Halt::Failed(error)))) => {
                Outcome::Failed(error)
            }
            (_, Some(Ok(()))) if hold.phase() == Phase::AskedFor => Outcome::HandedOver,
            (_, Some(Ok(()))) => Outcome::Released,
            _ => {
                processing.lease_lost().await;
                Outcome::Lost
            }
        }
    }

    async fn work(&mut self, processing: &mut Processing<P>, start: &ShardStart) -> Halt {
        let worked = match processing.initialize(start).await {
            Ok(()) => self.read(processing).await,
            Err(halt) => Err(halt),
        };
        worked.map_or_else(|halt| halt, |()| Halt::Ended)
    }

    /// Reads to the shard's end. After a retryable error it continues behind the last record.
    async fn read(&mut self, processing: &mut Processing<P>) -> Result<(), Halt> {
        let own = processing.start_after();
        let mut last = own.as_ref().map(LeaseCheckpoint::after);
        let mut begin = self.first_begin(own.as_ref());
        let mut pause = PAUSE_MIN;
        loop {
            let opened = tokio::select! {
                biased;
                () = self.shard.leaves() => return Err(Halt::Leave),
                halt = processing.halted() => return Err(halt),
                opened = RawShardReader::open(self.reading(begin.clone())) => opened,
            };
            let mut reader = match opened {
                Ok((reader, again)) => {
                    begin = again;
                    reader
                }
                Err(error) => {
                    self.rest_after(error, processing, &mut pause).await?;
                    continue;
                }
            };
            let (observer, key) = (&self.shard.observer, &self.lease.shard_id);
            observer.on_reader(key, reader.gauge());
            let limits = self.shard.settings.gather_limits();
            let mut gather = Gather::new(limits, self.shard.target.clock.clone(), &reader);
            let error = loop {
                let gathered = tokio::select! {
                    biased;
                    () = self.shard.leaves() => return Err(Halt::Leave),
                    halt = processing.halted() => return Err(halt),
                    gathered = gather.next(&mut reader) => gathered,
                };
                match gathered {
                    Gathered::Batch(batch) => {
                        pause = PAUSE_MIN;
                        if let Some(record) = batch.records.last() {
                            begin = after_record(record);
                            last = Some(LeaseCheckpoint::after(&record.position));
                        }
                        self.note_times(&batch);
                        processing.take(batch).await?;
                    }
                    Gathered::Tip(time) => {
                        begin = begin.finished_until(&self.shard.shard_id, time);
                        self.shard.read_times.on_tip(last.as_ref(), time);
                    }
                    Gathered::End => return self.end(processing).await,
                    Gathered::Failed(error) => break error,
                }
            };
            drop(reader);
            self.rest_after(error, processing, &mut pause).await?;
        }
    }

    async fn rest_after(
        &mut self,
        error: GetError,
        processing: &mut Processing<P>,
        pause: &mut std::time::Duration,
    ) -> Result<(), Halt> {
        if !error.is_retryable() {
            return Err(self.shard.failed(error));
        }
        self.shard.warn(&error, "read");
        tokio::select! {
            biased;
            halt = processing.halted() => Err(halt),
            rested = self.shard.rest(pause) => rested,
        }
    }

    /// Returns the start of the reading: after the processor's own position, or at the lease's. The time of the lease
    /// belongs to its own checkpoint only.
    fn first_begin(&self, own: Option<&Position>) -> Begin {
        let lease = &self.lease;
        let is_lease = own.is_none_or(|own| LeaseCheckpoint::after(own) == lease.checkpoint);
        let begin = own.map_or_else(|| begin_at(lease), after);
        match lease.current_at.filter(|_| is_lease) {
            Some(time) => begin.finished_until(&self.shard.shard_id, time),
            None => begin,
        }
    }

    fn note_times(&self, batch: &RawBatch) {
        let records = batch.records.iter().map(|record| {
            let place = || LeaseCheckpoint::after(&record.position);
            (record.arrived_at, place)
        });
        self.shard.read_times.on_records(records);
    }

    fn reading(&self, begin: Begin) -> SingleShard {
        let mut options = self.shard.settings.reader.clone();
        options.is_leased = true;
        SingleShard {
            target: self.shard.target.clone(),
            shard_id: self.shard.shard_id.clone(),
            range: self.lease.hash_key_range,
            begin,
            options,
            consumer_arn: self.consumer_arn.clone(),
        }
    }

    /// Shuts the processors down, saves the finished position, and gives the lease back or hands it over.
    async fn leave(&mut self, processing: &mut Processing<P>, halt: &Halt) -> Result<(), Halt> {
        let failed = processing.shut_down(matches!(halt, Halt::Leave)).await;
        let checkpointer = &self.shard.checkpointer;
        let released = checkpointer.command(|reply| LeaseCommand::Release { reply });
        let released = released.await;
        match failed {
            Some(error) => Err(Halt::Failed(error)),
            None => released.map_err(|_| Halt::Lost),
        }
    }
}

/// Formats the shard's id only.
impl<P> fmt::Debug for ShardConsumer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.lease.shard_id;
        f.debug_tuple("ShardConsumer").field(id).finish()
    }
}
