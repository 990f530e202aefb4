//! The bodies of the health server's answers.

use std::time::Duration;

use serde::Serialize;

use super::observe::{ShardHealth, WorkerHealth, WorkerPhase};
use crate::ShardId;

/// An answer with a problem only.
#[derive(Serialize)]
pub(super) struct Problem {
    pub(super) error: &'static str,
}

/// The size of the fleet, for a platform that scales it.
#[derive(Serialize)]
pub(super) struct ScaleBody {
    lag_seconds: f64,
    shards: usize,
    workers: usize,
    desired_workers: usize,
    since_listed_seconds: f64,
}

impl ScaleBody {
    /// Returns the size as the leases show it. `None` before they were listed, and before the first worker has made
    /// them.
    pub(super) fn of(
        health: &WorkerHealth,
        shards_per_worker: usize,
        lag_max: Duration,
    ) -> Option<Self> {
        Some(Self {
            lag_seconds: health.lag_max().unwrap_or_default().as_secs_f64(),
            shards: health.fleet_shards.filter(|shards| *shards > 0)?,
            workers: health.fleet_workers?,
            desired_workers: health.desired_workers(shards_per_worker, lag_max),
            since_listed_seconds: health.since_listed?.as_secs_f64(),
        })
    }
}

/// A worker's health.
#[derive(Serialize)]
pub(super) struct HealthBody {
    is_healthy: bool,
    is_ready: bool,
    phase: &'static str,
    lag_seconds: Option<f64>,
    since_listed_seconds: Option<f64>,
    shards: Vec<ShardBody>,
}

#[derive(Serialize)]
struct ShardBody {
    shard_id: String,
    is_renewed: bool,
    stalled_seconds: Option<f64>,
    lag_seconds: Option<f64>,
    failing: Option<String>,
    since_checkpoint_seconds: Option<f64>,
}

impl HealthBody {
    pub(super) fn of(health: &WorkerHealth) -> Self {
        Self {
            is_healthy: health.is_healthy(),
            is_ready: health.is_ready(),
            phase: match health.phase {
                WorkerPhase::Built => "built",
                WorkerPhase::Starting => "starting",
                WorkerPhase::Working => "working",
                WorkerPhase::Stopping => "stopping",
                WorkerPhase::Stopped => "stopped",
            },
            lag_seconds: seconds(health.lag_max()),
            since_listed_seconds: seconds(health.since_listed),
            shards: health.shards.iter().map(ShardBody::of).collect(),
        }
    }
}

impl ShardBody {
    fn of((shard_id, shard): (&ShardId, &ShardHealth)) -> Self {
        Self {
            shard_id: shard_id.to_string(),
            is_renewed: shard.is_renewed,
            stalled_seconds: seconds(shard.stalled_for),
            lag_seconds: seconds(shard.lag),
            failing: shard.failing.map(|class| format!("{class:?}")),
            since_checkpoint_seconds: seconds(shard.since_checkpoint),
        }
    }
}

fn seconds(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}
