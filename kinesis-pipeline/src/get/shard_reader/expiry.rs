use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::shard_reader::ShardState;
use crate::{get::checkpoint::Checkpoint, service::RecordPage, shard::ShardId};

/// The time after its begin in which a shard may lose records to retention without a report. The oldest records expire
/// while a reader that begins there reads them; a slightly later begin would have missed them too.
const RACE_MAX: Duration = Duration::from_mins(5);

/// The time up to which a shard was read, by the arrival of its records.
#[derive(Clone, Copy, Debug)]
pub(in crate::get) struct ReadUntil {
    /// The time before which everything that arrived was fetched. `None` before the first page that tells.
    pub(in crate::get) time: Option<SystemTime>,
    /// The time at which the shard was begun, or the first of the shards that it descends from.
    begun_at: Instant,
    /// The time at which the shard itself was begun.
    begun_wall: SystemTime,
}

impl ReadUntil {
    pub(super) fn begun(now: Instant, wall: SystemTime) -> Self {
        Self {
            time: None,
            begun_at: now,
            begun_wall: wall,
        }
    }

    pub(super) fn resumed(self, finished_until: Option<SystemTime>) -> Self {
        Self {
            time: finished_until,
            ..self
        }
    }

    /// Takes a page that was asked for at `asked_wall`, or an event that was current then.
    ///
    /// A page has the lag of its end behind the tip. The last page of a shard has not: the service does not say when the
    /// shard was closed.
    pub(super) fn on_page(
        &mut self,
        page: &RecordPage,
        asked_wall: Option<SystemTime>,
        is_last: bool,
    ) {
        let arrived_at = page.records.last().map(|record| record.arrived_at);
        let behind = match page.behind_latest {
            None if page.records.is_empty() => Some(Duration::ZERO),
            behind => behind,
        };
        let told = asked_wall.zip(behind).filter(|_| !is_last);
        let told = told.and_then(|(wall, behind)| wall.checked_sub(behind));
        self.time = self.time.max(arrived_at).max(told);
    }
}

/// A shard that may be read more slowly than its records expire.
impl ShardState {
    /// Sets the time at which the shard was begun.
    pub(in crate::get) fn begun_at(mut self, wall: SystemTime) -> Self {
        self.read_until.begun_wall = wall;
        self
    }

    /// Takes over the times of the parents: the shard's first records may be as old as their last.
    pub(in crate::get) fn after_parents(mut self, parents: &[ReadUntil]) -> Self {
        for parent in parents {
            let read_until = &mut self.read_until;
            read_until.time = read_until.time.max(parent.time);
            read_until.begun_at = read_until.begun_at.min(parent.begun_at);
        }
        self
    }

    pub(in crate::get) fn read_until(&self) -> ReadUntil {
        self.read_until
    }

    /// Returns the time up to which everything that arrived was fetched, if the shard is past its first minutes. Records
    /// that arrived later and have expired were skipped.
    pub(in crate::get) fn is_read_until(&self, now: Instant) -> Option<SystemTime> {
        let ReadUntil {
            time,
            begun_at,
            begun_wall,
        } = self.read_until;
        let is_racing = now.saturating_duration_since(begun_at) < RACE_MAX;
        (!is_racing).then_some(time.unwrap_or(begun_wall))
    }

    /// Returns the fetched position, as a checkpoint.
    pub(in crate::get) fn fetched(&self, shard_id: &ShardId) -> Checkpoint {
        let mut checkpoint = Checkpoint::new(shard_id.clone(), self.place());
        checkpoint.arrived_at = self.arrived_at;
        checkpoint.current_at = self.read_until.time;
        checkpoint
    }
}
