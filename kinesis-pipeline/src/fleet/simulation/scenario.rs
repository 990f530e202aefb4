use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use super::world::World;
use crate::{
    Clock, KinesisRecord, Position, Processor, Record, ShardId, WorkerBuilder,
    fleet::dead_letters::BoxError, service::StreamId,
};

/// The part of a simulation that is yours: records, processors, and what must be true at the end.
pub trait Scenario: Send + Sync + 'static {
    /// The type of the records.
    type Record: KinesisRecord + Send + 'static;
    /// Your processor.
    type Processor: Processor<Record = Self::Record> + 'static;

    /// Returns the record of this number, counted from 0. Records of many keys reach many shards.
    fn record(&self, number: u64) -> Self::Record;

    /// Returns the processor of a shard, as the function given to [`Worker::run`](crate::Worker::run) does. Keep what
    /// outlives a worker, such as the table that it writes to, in the scenario.
    fn processor(&self, shard_id: &ShardId, run: &SimulatedRun) -> Self::Processor;

    /// Returns the worker with your settings. Leases, id, start and fail-over time are the simulation's.
    fn worker(&self, builder: WorkerBuilder<Self::Record>) -> WorkerBuilder<Self::Record> {
        builder
    }

    /// Checks the end, when all disturbance is over and every record is processed.
    ///
    /// # Errors
    /// Any error fails the seed.
    fn check(&self, run: &SimulatedRun) -> Result<(), BoxError> {
        let _ = run;
        Ok(())
    }
}

/// One seed's run, as your scenario sees it. Cheap to clone.
#[derive(Clone)]
pub struct SimulatedRun {
    pub(super) seed: u64,
    pub(super) world: Arc<World>,
    /// The key of the lease of the processor that has this run, once it is initialized.
    pub(super) key: Arc<OnceLock<ShardId>>,
}

impl SimulatedRun {
    /// The run for one processor more.
    pub(super) fn of_processor(&self) -> Self {
        Self {
            key: Arc::default(),
            ..self.clone()
        }
    }

    /// Returns the seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns the clock of the embedded Kinesis.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.world.clock
    }

    /// Returns the streams of the workers: one, or up to
    /// [`streams_max`](super::FleetSimulation::streams_max).
    #[must_use]
    pub fn streams(&self) -> Vec<StreamId> {
        self.world.streams()
    }

    /// Returns the positions of all records that were put so far, by stream, by shard and in their order.
    ///
    /// Records of two streams may have the same position: use [`put_to`](Self::put_to) there.
    #[must_use]
    pub fn put(&self) -> Vec<Position> {
        let streams = self.streams();
        let put = streams.iter().flat_map(|stream| self.put_to(stream));
        put.collect()
    }

    /// Returns the positions of all records that were put into one stream so far, by shard and in their order.
    #[must_use]
    pub fn put_to(&self, stream: &StreamId) -> Vec<Position> {
        self.world.put_to(stream)
    }

    /// Notes that your processor has finished a record. Call it before the record's ack, or before the checkpoint that
    /// covers it, on the run that [`Scenario::processor`] got for the processor: it knows the processor's stream. With [`Checkpointing::Automatic`](crate::Checkpointing::Automatic) the simulation notes it.
    pub fn finished<R>(&self, record: &Record<R>) {
        self.world.finish(self.key.get(), &[record.position()]);
    }
}

impl fmt::Debug for SimulatedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatedRun")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
