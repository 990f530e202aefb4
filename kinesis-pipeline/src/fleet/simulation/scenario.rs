use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use super::world::World;
use crate::{
    Clock, KinesisRecord, Position, Processor, Record, ShardId, WorkerBuilder,
    fleet::dead_letters::BoxError, service::StreamId,
};

/// Your part of a simulation: the records, the processors, and the check at the end.
pub trait Scenario: Send + Sync + 'static {
    /// The type of the records.
    type Record: KinesisRecord + Send + 'static;
    /// Your processor.
    type Processor: Processor<Record = Self::Record> + 'static;

    /// Returns the record of this number, counted from 0. Records of many keys reach many shards.
    fn record(&self, number: u64) -> Self::Record;

    /// Returns the processor of a shard, as the function given to [`Worker::run`](crate::Worker::run) does. Keep in the
    /// scenario all data that must survive a worker, such as the table that the processor writes to.
    fn processor(&self, shard_id: &ShardId, run: &SimulatedRun) -> Self::Processor;

    /// Returns the worker with your settings. The simulation sets leases, id, start and fail-over time.
    fn worker(&self, builder: WorkerBuilder<Self::Record>) -> WorkerBuilder<Self::Record> {
        builder
    }

    /// Checks the result after all faults have ended and every record is processed.
    ///
    /// # Errors
    /// Any error fails the seed.
    fn check(&self, run: &SimulatedRun) -> Result<(), BoxError> {
        let _ = run;
        Ok(())
    }
}

/// The run of one seed, for use by your scenario. Cheap to clone.
#[derive(Clone)]
pub struct SimulatedRun {
    pub(super) seed: u64,
    pub(super) world: Arc<World>,
    /// The lease key of the processor that has this run. Set when the processor is initialized.
    pub(super) key: Arc<OnceLock<ShardId>>,
}

impl SimulatedRun {
    /// Returns a copy of the run for a new processor.
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

    /// Returns the positions of all records that were put so far, by stream and shard, in order.
    ///
    /// Records of two streams may have the same position: with two streams use [`put_to`](Self::put_to).
    #[must_use]
    pub fn put(&self) -> Vec<Position> {
        let streams = self.streams();
        let put = streams.iter().flat_map(|stream| self.put_to(stream));
        put.collect()
    }

    /// Returns the positions of all records that were put into one stream so far, by shard, in order.
    #[must_use]
    pub fn put_to(&self, stream: &StreamId) -> Vec<Position> {
        self.world.put_to(stream)
    }

    /// Notes that your processor has finished a record. Call it before the record's ack, or before the checkpoint that
    /// covers it. Call it on the run that [`Scenario::processor`] got for this processor, as only that one knows the
    /// processor's stream. With [`Checkpointing::Automatic`](crate::Checkpointing::Automatic) the simulation calls it
    /// itself.
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
