//! The health of a worker: a pure function of the noted facts and `now`.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

use crate::{fleet::lease::LeaseCheckpoint, service::ErrorClass, shard::ShardId};

/// The phase of a worker's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerPhase {
    /// It was built, but does not run yet.
    Built,
    /// It runs, but has not listed the leases yet.
    Starting,
    /// It has listed the leases and takes its share.
    Working,
    /// It was told to stop and gives its leases back.
    Stopping,
    /// It has ended.
    Stopped,
}

/// The state of a worker: see [`WorkerHandle::health`](crate::WorkerHandle::health).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerHealth {
    /// The phase of the worker's life.
    pub phase: WorkerPhase,
    /// The shards whose leases the worker holds. A worker of several streams names them by their lease keys: see
    /// [`StreamIdentifier`](crate::StreamIdentifier).
    pub shards: BTreeMap<ShardId, ShardHealth>,
    /// The number of unfinished leases in the whole fleet, as last listed; `None` before the first list.
    pub fleet_shards: Option<usize>,
    /// The number of workers that hold them.
    pub fleet_workers: Option<usize>,
    /// The time since the last list of the leases.
    pub since_listed: Option<Duration>,
}

/// The state of a shard that a worker reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardHealth {
    /// Whether the lease was renewed in time, so that no other worker can have taken it.
    pub is_renewed: bool,
    /// The time without progress while records wait for the processor or for their ack, or while the processor fails to
    /// begin. `None` if it is shorter than [`WorkerBuilder::stalled_after`](crate::WorkerBuilder::stalled_after).
    pub stalled_for: Option<Duration>,
    /// The lag of the processor behind the newest record of the shard; `None` before the first page. For a batch in the
    /// processor it is the batch's lag when it was read, plus the time since then.
    pub lag: Option<Duration>,
    /// The error of the last call for records; `None` after one that succeeded.
    pub failing: Option<ErrorClass>,
    /// The checkpoint that was saved last.
    pub checkpoint: LeaseCheckpoint,
    /// The time since this worker saved a checkpoint; `None` if it has not saved one.
    pub since_checkpoint: Option<Duration>,
}

impl WorkerHealth {
    /// Whether the worker has not stopped, all its leases are renewed, and no shard is stalled.
    ///
    /// A worker without a working lease store becomes unhealthy, though a restart does not help. Use a liveness probe
    /// that is slower than such outages.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let is_well = |shard: &ShardHealth| shard.is_renewed && shard.stalled_for.is_none();
        self.phase != WorkerPhase::Stopped && self.shards.values().all(is_well)
    }

    /// Whether the worker has listed the leases and is not stopping or stopped.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == WorkerPhase::Working
    }

    /// Returns the lag of this worker's shard that is farthest behind; `None` if no lag is known.
    #[must_use]
    pub fn lag_max(&self) -> Option<Duration> {
        self.shards.values().filter_map(|shard| shard.lag).max()
    }

    /// Returns the number of workers that the fleet should have: one for each `shards_per_worker` open shards, or one
    /// more than now if a shard of this worker is more than `lag_max` behind, whichever is greater. At least 1, and at
    /// most one for each shard.
    #[must_use]
    pub fn desired_workers(&self, shards_per_worker: usize, lag_max: Duration) -> usize {
        let shards = self.fleet_shards.unwrap_or(0);
        let by_shards = shards.div_ceil(shards_per_worker.max(1));
        let is_late = self.lag_max().is_some_and(|lag| lag > lag_max);
        let by_lag = if is_late {
            self.fleet_workers.unwrap_or(0) + 1
        } else {
            0
        };
        by_shards.max(by_lag).min(shards).max(1)
    }
}

/// The recorded facts about a shard.
#[derive(Clone, Debug)]
pub(super) struct ShardFacts {
    pub(super) is_renewed: bool,
    /// The time at which the oldest batch in the processor began, and its lag then.
    pub(super) at_work: Option<(Instant, Duration)>,
    /// Whether records wait for their ack.
    pub(super) waits_for_acks: bool,
    /// The time of the last progress: a finished batch, a saved checkpoint, or the beginning of work after an idle
    /// time.
    pub(super) progress_at: Instant,
    /// The lag of the last page.
    pub(super) read_lag: Option<Duration>,
    pub(super) failing: Option<ErrorClass>,
    pub(super) checkpoint: LeaseCheckpoint,
    pub(super) checkpoint_at: Option<Instant>,
}

/// Derives the health of a shard from the facts.
pub(super) fn judge(facts: ShardFacts, now: Instant, stalled_after: Duration) -> ShardHealth {
    let waits = facts.at_work.is_some() || facts.waits_for_acks;
    let idle_for = now.duration_since(facts.progress_at);
    let at_work = facts
        .at_work
        .map(|(begun, lag)| lag.saturating_add(now.duration_since(begun)));
    ShardHealth {
        is_renewed: facts.is_renewed,
        stalled_for: (waits && idle_for >= stalled_after).then_some(idle_for),
        lag: at_work.max(facts.read_lag),
        failing: facts.failing,
        checkpoint: facts.checkpoint,
        since_checkpoint: facts.checkpoint_at.map(|at| now.duration_since(at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn facts(now: Instant) -> ShardFacts {
        ShardFacts {
            is_renewed: true,
            at_work: None,
            waits_for_acks: false,
            progress_at: now,
            read_lag: Some(Duration::ZERO),
            failing: None,
            checkpoint: LeaseCheckpoint::TrimHorizon,
            checkpoint_at: None,
        }
    }

    fn health(shards: Vec<ShardHealth>, fleet: (usize, usize)) -> WorkerHealth {
        let ids = (0..).map(|number| ShardId::from(format!("shardId-{number:012}")));
        WorkerHealth {
            phase: WorkerPhase::Working,
            shards: ids.zip(shards).collect(),
            fleet_shards: Some(fleet.0),
            fleet_workers: Some(fleet.1),
            since_listed: Some(SECOND),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_shard_stalls_when_records_wait_and_none_is_finished() {
        let begun = crate::Clock::system().instant();
        let judged = |facts: &ShardFacts, seconds| {
            judge(facts.clone(), begun + seconds * SECOND, 10 * SECOND).stalled_for
        };
        let idle = facts(begun);
        assert_eq!(judged(&idle, 1_000), None);
        let busy = ShardFacts {
            at_work: Some((begun, Duration::ZERO)),
            ..idle.clone()
        };
        assert_eq!(judged(&busy, 9), None);
        assert_eq!(judged(&busy, 10), Some(10 * SECOND));
        let unacked = ShardFacts {
            waits_for_acks: true,
            ..idle
        };
        assert_eq!(judged(&unacked, 11), Some(11 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn the_lag_of_a_batch_at_work_grows_though_the_reader_is_at_the_tip() {
        let begun = crate::Clock::system().instant();
        let mut facts = facts(begun);
        assert_eq!(
            judge(facts.clone(), begun, SECOND).lag,
            Some(Duration::ZERO)
        );
        facts.at_work = Some((begun, 2 * SECOND));
        assert_eq!(
            judge(facts.clone(), begun + 5 * SECOND, SECOND).lag,
            Some(7 * SECOND)
        );
        facts.read_lag = Some(60 * SECOND);
        assert_eq!(judge(facts, begun, SECOND).lag, Some(60 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fleet_has_its_part_of_the_shards_and_one_worker_more_while_it_is_late() {
        let now = crate::Clock::system().instant();
        let shard = |lag| ShardHealth {
            lag: Some(lag * SECOND),
            ..judge(facts(now), now, SECOND)
        };
        let desired =
            |lag, fleet| health(vec![shard(0), shard(lag)], fleet).desired_workers(4, 60 * SECOND);
        assert_eq!(desired(60, (9, 2)), 3);
        assert_eq!(desired(61, (9, 2)), 3);
        assert_eq!(desired(61, (9, 3)), 4);
        assert_eq!(desired(61, (9, 9)), 9);
        assert_eq!(desired(0, (0, 0)), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_is_healthy_while_its_leases_are_renewed_and_its_shards_go_on() {
        let now = crate::Clock::system().instant();
        let well = judge(facts(now), now, SECOND);
        let late = ShardHealth {
            is_renewed: false,
            ..well.clone()
        };
        let stalled = ShardHealth {
            stalled_for: Some(SECOND),
            ..well.clone()
        };
        assert!(health(vec![well.clone()], (1, 1)).is_healthy());
        assert!(!health(vec![well.clone(), late], (1, 1)).is_healthy());
        assert!(!health(vec![well.clone(), stalled], (1, 1)).is_healthy());
        let mut ended = health(vec![], (1, 1));
        assert!(ended.is_healthy() && ended.is_ready());
        ended.phase = WorkerPhase::Stopped;
        assert!(!ended.is_healthy() && !ended.is_ready());
    }
}
