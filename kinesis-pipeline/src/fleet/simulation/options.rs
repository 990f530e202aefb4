use std::{collections::HashSet, ops::Range};

use super::{Scenario, SimulationFailure, SimulationReport, runner};

const SEEDS: u64 = 50;
const STEPS: usize = 60;
const WORKERS_MAX: usize = 8;
const STREAMS_MAX: usize = 2;

/// A kind of disturbance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Disturbance {
    /// Workers are killed.
    Kill,
    /// Workers are stopped, and others are started.
    Stop,
    /// Workers stand still, also for longer than the fail-over time, and then continue as if nothing had happened.
    Pause,
    /// Calls to the lease table are throttled, their answers are lost, and writes land late.
    LeaseTable,
    /// Calls to the stream fail, and iterators expire.
    Stream,
    /// Rows of the lease table are deleted.
    DeletedRows,
    /// Shards are split and merged.
    Reshard,
    /// The wall clocks of workers are changed by up to a day.
    ClockStep,
    /// A worker of KCL 2 steals leases, or a leader of KCL 3 assigns them. Records that the KCL 2 worker processes do
    /// not reach your processor.
    ForeignWorkers,
}

/// A simulation of a fleet: see the [module](crate::simulation) for an example.
///
/// The seed decides everything: the order of events, and the faults of each call. All workers of a run are on one
/// thread and on virtual time; several seeds run at once, on all cores. Besides your own [`Scenario::check`], the run
/// is checked against the library's promises: no record is skipped, the order of each key holds, no checkpoint passes
/// an unfinished record or comes from a worker that has lost its lease, no child shard is read before its parents end,
/// a dead worker is replaced in time, and the leases end in balance.
#[derive(Clone, Debug)]
#[must_use = "a simulation does nothing until it runs"]
pub struct FleetSimulation {
    pub(super) seeds: Range<u64>,
    pub(super) steps: usize,
    pub(super) workers_max: usize,
    pub(super) shards_max: Option<usize>,
    pub(super) streams_max: usize,
    pub(super) without: HashSet<Disturbance>,
}

impl FleetSimulation {
    /// Makes a simulation of 50 seeds with all kinds of disturbance.
    pub fn new() -> Self {
        Self {
            seeds: 0..SEEDS,
            steps: STEPS,
            workers_max: WORKERS_MAX,
            shards_max: None,
            streams_max: 1,
            without: HashSet::new(),
        }
    }

    /// Sets the seeds.
    pub fn seeds(mut self, seeds: Range<u64>) -> Self {
        self.seeds = seeds;
        self
    }

    /// Sets the number of steps in one run. Default: 60, which is some minutes of virtual time.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// Sets the largest number of workers at the same time, at least one. Default: 8.
    pub fn workers_max(mut self, workers: usize) -> Self {
        self.workers_max = workers.max(1);
        self
    }

    /// Sets the largest number of open shards, at least one. By default each seed draws 4 to 64.
    pub fn shards_max(mut self, shards: usize) -> Self {
        self.shards_max = Some(shards.max(1));
        self
    }

    /// Sets the largest number of streams of a worker, 1 or 2. Each seed draws a number up to it. Default: 1.
    ///
    /// With two streams, take the stream from [`ShardStart::stream`](crate::ShardStart::stream): the shards of both
    /// have the same ids, and their records may have the same positions.
    pub fn streams_max(mut self, streams: usize) -> Self {
        self.streams_max = streams.clamp(1, STREAMS_MAX);
        self
    }

    /// Leaves a kind of disturbance out.
    pub fn without(mut self, disturbance: Disturbance) -> Self {
        self.without.insert(disturbance);
        self
    }

    /// Runs all seeds, each with a scenario that `scenario` makes for it. Blocks until all are done or one fails.
    ///
    /// The environment variable `KINESIS_PIPELINE_SEED` runs one seed alone.
    ///
    /// # Errors
    /// [`SimulationFailure`]: the first seed that failed. Its text tells how to run it again.
    pub fn run<S: Scenario>(
        self,
        scenario: impl Fn(u64) -> S + Sync,
    ) -> Result<SimulationReport, SimulationFailure> {
        runner::run(&self, &scenario)
    }
}

impl Default for FleetSimulation {
    fn default() -> Self {
        Self::new()
    }
}
