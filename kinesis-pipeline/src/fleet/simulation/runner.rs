use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use super::{FleetSimulation, Scenario, engine::Simulation};

/// The environment variable that selects one seed to run alone.
const SEED_VARIABLE: &str = "KINESIS_PIPELINE_SEED";

/// The report of a simulation in which all seeds passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SimulationReport {
    /// The number of seeds that ran.
    pub seeds: u64,
    /// Records that were given to processors, with repetitions.
    pub records_given: u64,
    /// Records that were given to processors again after they had been finished.
    pub records_repeated: u64,
}

/// A seed that broke a promise, or failed the check of its scenario.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "seed {seed} failed: {}\nrun it again with {SEED_VARIABLE}={seed}",
    .violations.join("\n")
)]
#[non_exhaustive]
pub struct SimulationFailure {
    /// The seed.
    pub seed: u64,
    /// The broken promises, in the order in which they were found.
    pub violations: Vec<String>,
}

/// The seeds that are left, and the result of those that ran.
struct Seeds {
    next: AtomicU64,
    end: u64,
    result: Mutex<Result<SimulationReport, SimulationFailure>>,
}

pub(super) fn run<S: Scenario>(
    simulation: &FleetSimulation,
    scenario: &(impl Fn(u64) -> S + Sync),
) -> Result<SimulationReport, SimulationFailure> {
    let alone = std::env::var(SEED_VARIABLE).ok();
    let alone = alone.and_then(|seed| seed.parse().ok());
    let range = alone.map_or_else(|| simulation.seeds.clone(), |seed| seed..seed + 1);
    let seeds = Seeds {
        next: AtomicU64::new(range.start),
        end: range.end,
        result: Mutex::new(Ok(SimulationReport::default())),
    };
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = seeds.next() {
                    seeds.on_run(seed, run_seed(simulation, scenario, seed));
                }
            });
        }
    });
    seeds
        .result
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner)
}

impl Seeds {
    /// Returns the next seed, or `None` after a failure.
    fn next(&self) -> Option<u64> {
        let seed = self.next.fetch_add(1, Ordering::Relaxed);
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        (seed < self.end && result.is_ok()).then_some(seed)
    }

    fn on_run(&self, seed: u64, run: Result<(u64, u64), Vec<String>>) {
        let mut result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut *result, run) {
            (Ok(report), Ok((given, repeated))) => {
                report.seeds += 1;
                report.records_given += given;
                report.records_repeated += repeated;
            }
            (Ok(_), Err(violations)) => *result = Err(SimulationFailure { seed, violations }),
            // The first failure is kept.
            (Err(_), _) => {}
        }
    }
}

/// Returns the number of records that were given out and how many of these had been finished before, or the broken
/// promises.
fn run_seed<S: Scenario>(
    simulation: &FleetSimulation,
    scenario: &impl Fn(u64) -> S,
    seed: u64,
) -> Result<(u64, u64), Vec<String>> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| vec![error.to_string()])?;
    // The library draws its pauses and jitter from the thread's generator.
    fastrand::seed(seed);
    let run = catch_unwind(AssertUnwindSafe(|| {
        let scenario = Arc::new(scenario(seed));
        runtime.block_on(async {
            Simulation::start(simulation, scenario, seed)
                .await?
                .run()
                .await
        })
    }));
    run.unwrap_or_else(|panic| Err(vec![text_of(&*panic)]))
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a panic: {}", text.unwrap_or_default())
}
