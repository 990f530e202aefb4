use std::{collections::HashSet, time::Duration};

use super::coordinator::{LeaseCoordinator, ShardList};
use crate::{
    fleet::{
        lease::{
            Lease, LeaseChange, LeaseWrite,
            sync::{Sync, has_hole},
        },
        worker::WorkerError,
    },
    get::list_shards,
    shard::ShardId,
};

/// The largest age of a list of shards that decides about a lease whose shard is not in it.
const SHARDS_AGE_MAX: Duration = Duration::from_mins(1);

/// The shards beside the leases.
impl<F> LeaseCoordinator<F> {
    /// Makes missing leases and deletes useless ones.
    pub(super) async fn sync(&mut self, leases: &mut Vec<Lease>) -> Result<(), WorkerError> {
        let is_fresh = Sync::new(&[], leases).is_fresh();
        // A lease with an owner may be one of many whose rows were deleted: their holders make them again.
        let is_new = is_fresh && leases.iter().all(|lease| lease.owner.is_none());
        let (has_hole, now) = (has_hole(leases), self.target.clock.now());
        let lacks_parents = !self.orphans(leases).is_empty();
        let is_hole = self.holes.observe(has_hole || lacks_parents) || (is_new && has_hole);
        let is_needed = is_hole || self.lacks_shards(leases);
        let is_first = self.shards.is_none();
        if (is_needed || is_first) && !self.list_shards().await? {
            return Ok(());
        }
        let Some(list) = &self.shards else {
            return Ok(());
        };
        let sync = Sync::new(&list.shards, leases);
        let mut missing = Vec::new();
        let mut useless = Vec::new();
        if is_needed || is_first {
            useless = sync.former_leases();
        }
        if useless.is_empty() && is_hole {
            missing = if is_fresh {
                sync.first_leases(self.settings.initial, now)
            } else {
                sync.missing_leases(now)
            };
        }
        if self.leads(leases) {
            useless.extend(sync.finished_leases());
        }
        let deleted = useless
            .into_iter()
            .map(|lease| LeaseWrite::new(lease, LeaseChange::Delete));
        let written = self.write_all(deleted).await;
        leases.retain(|lease| written.iter().all(|gone| gone.shard_id != lease.shard_id));
        let made = self.write_all(missing.into_iter().map(LeaseWrite::create));
        leases.extend(made.await);
        Ok(())
    }

    /// Whether a lease depends on a shard that this worker's list does not have yet.
    fn lacks_shards(&self, leases: &[Lease]) -> bool {
        let known = self.shards.as_ref();
        let is_known = |id: &ShardId| {
            known.is_some_and(|list| list.shards.iter().any(|shard| shard.id == *id))
        };
        let by_id: HashSet<_> = leases.iter().map(|lease| &lease.shard_id).collect();
        let hangs = leases.iter().any(|lease| {
            let is_lost = |parent| !by_id.contains(parent);
            !lease.checkpoint.has_begun()
                && lease.parents.iter().any(is_lost)
                && !is_known(&lease.shard_id)
        });
        let now = self.target.clock.instant();
        let is_old = known.is_none_or(|list| now - list.asked_at >= SHARDS_AGE_MAX);
        hangs || (is_old && leases.iter().any(Lease::is_finished))
    }

    /// Lists the shards. Returns whether that succeeded.
    async fn list_shards(&mut self) -> Result<bool, WorkerError> {
        let asked_at = self.target.clock.instant();
        match list_shards(&self.target).await {
            Ok(shards) => {
                self.shards = Some(ShardList { shards, asked_at });
                Ok(true)
            }
            Err(error) if error.is_retryable() || !self.running.is_empty() => {
                tracing::warn!(stream = %self.target.stream, %error, "shards cannot be listed");
                Ok(false)
            }
            Err(source) => {
                let stream = self.target.stream.clone();
                Err(WorkerError::Read { stream, source })
            }
        }
    }

    /// Whether this worker cleans up: the one with the least id among those that hold leases.
    fn leads(&self, leases: &[Lease]) -> bool {
        let least = leases.iter().filter_map(|lease| lease.owner.as_ref()).min();
        least.is_none_or(|least| self.settings.me <= *least)
    }

    /// Returns leases that must wait for the lease of a parent, by the list of shards.
    pub(super) fn orphans(&self, leases: &[Lease]) -> HashSet<ShardId> {
        let list = self.shards.as_ref();
        list.map_or_else(HashSet::new, |list| {
            Sync::new(&list.shards, leases).orphans()
        })
    }
}
