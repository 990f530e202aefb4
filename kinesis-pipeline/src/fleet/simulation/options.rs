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
    /// Workers stand still, for longer than the fail-over time too, and then go on as if nothing had happened.
    Pause,
    /// The lease table throttles, loses answers, and makes writes late.
    LeaseTable,
    /// Calls of the stream fail, and iterators expire.
    Stream,
    /// Rows of the lease table are deleted.
    DeletedRows,
    /// Shards are split and merged.
    Reshard,
    /// The wall clocks of workers are set, by up to a day.
    ClockStep,
    /// A worker of KCL 2 steals leases, and a leader of KCL 3 assigns them. What the former processes does not come to
    /// your processor.
    ForeignWorkers,
}

/// A simulation of a fleet: see the [module](crate::simulation) for an example.
///
/// Each seed decides everything: what happens when, and how the calls fail. All workers run on one thread and on
/// virtual time; seeds run on all cores. Besides your own [`Scenario::check`], the history is held against the library's
/// promises: nothing is skipped, the order of each key holds, no checkpoint passes a record that is not finished or is
/// made by a worker that has lost its lease, no child is read before its parents end, a dead worker is replaced in time,
/// and the leases end in balance.
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
    /// Makes a simulation of 50 seeds with all disturbances.
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

    /// Sets how many things happen in one run, seconds apart. 60 by default: some minutes.
    pub fn steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    /// Sets the most workers that run at the same time, at least one. 8 by default.
    pub fn workers_max(mut self, workers: usize) -> Self {
        self.workers_max = workers.max(1);
        self
    }

    /// Sets the most shards that are open at the same time, at least one. By default each seed draws 4 to 64.
    pub fn shards_max(mut self, shards: usize) -> Self {
        self.shards_max = Some(shards.max(1));
        self
    }

    /// Sets the most streams of a worker, 1 or 2: each seed draws 1 up to so many. 1 by default.
    ///
    /// With two, your processor learns its stream from [`ShardStart::stream`](crate::ShardStart::stream): shards of both
    /// have the same ids, and records of both the same positions at times.
    pub fn streams_max(mut self, streams: usize) -> Self {
        self.streams_max = streams.clamp(1, STREAMS_MAX);
        self
    }

    /// Leaves a kind of disturbance out.
    pub fn without(mut self, disturbance: Disturbance) -> Self {
        self.without.insert(disturbance);
        self
    }

    /// Runs all seeds, `scenario` made anew for each. Blocks until they are done or one fails.
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
