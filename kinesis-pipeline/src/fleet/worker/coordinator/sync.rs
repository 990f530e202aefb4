use std::{collections::HashSet, time::Duration};

use tokio::time::timeout;

use super::{coordinator::LeaseCoordinator, streams::FleetStream};
use crate::{
    fleet::{
        lease::{
            Lease, LeaseChange, LeaseWrite,
            sync::{Sync, has_hole},
        },
        worker::WorkerError,
    },
    get::list_whole,
    shard::ShardId,
};

/// The age limit of a list of shards that is used to decide about a lease whose shard is not in it.
const SHARDS_AGE_MAX: Duration = Duration::from_mins(1);

/// The comparison of leases and shards.
impl<F> LeaseCoordinator<F> {
    /// Makes missing leases and deletes leases that are not needed any more, for all streams.
    pub(super) async fn sync(&mut self, leases: &mut Vec<Lease>) -> Result<(), WorkerError> {
        let mut others = std::mem::take(leases);
        for index in 0..self.streams.len() {
            let stream = &self.streams[index];
            let is_own = |lease: &Lease| stream.has(&lease.shard_id);
            let (mut own, rest) = others.into_iter().partition(is_own);
            others = rest;
            if stream.is_open() {
                self.sync_stream(index, &mut own).await?;
            }
            leases.append(&mut own);
        }
        if self.leads(leases) {
            self.remove_former(&others).await;
        }
        leases.append(&mut others);
        Ok(())
    }

    /// Makes and deletes the leases of one stream.
    async fn sync_stream(
        &mut self,
        index: usize,
        leases: &mut Vec<Lease>,
    ) -> Result<(), WorkerError> {
        let is_fresh = Sync::new(&[], leases).is_fresh();
        // A lease with an owner may be one of many whose rows were deleted. Their holders make those rows again.
        let is_new = is_fresh && leases.iter().all(|lease| lease.owner.is_none());
        let (has_hole, now) = (has_hole(leases), self.clock.now());
        let lacks_parents = !self.orphans(leases).is_empty();
        let stream = &mut self.streams[index];
        let is_hole = stream.holes.observe(has_hole || lacks_parents) || (is_new && has_hole);
        let is_needed = is_hole || stream.lacks_shards(leases);
        let is_first = stream.shards.is_none();
        if (is_needed || is_first) && !self.list_shards(index).await? {
            return Ok(());
        }
        let Some(list) = &self.streams[index].shards else {
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

    /// Lists the shards of a stream. Returns whether this was done.
    async fn list_shards(&mut self, index: usize) -> Result<bool, WorkerError> {
        let asked_at = self.clock.instant();
        let is_alone = self.streams.len() == 1;
        let stream = &mut self.streams[index];
        if !stream.may_list(asked_at) {
            return Ok(false);
        }
        // The first leases are made by this list. Of a shard that comes later, a reader that begins at the newest record
        // would skip what was put meanwhile.
        let listed = list_whole(&stream.target);
        let listed = if is_alone {
            Some(listed.await)
        } else {
            timeout(self.settings.failover, listed).await.ok()
        };
        let id = stream.target.stream.clone();
        match listed {
            Some(Ok(shards)) => {
                stream.on_listed(shards, asked_at);
                Ok(true)
            }
            Some(Err(error))
                if error.is_retryable() || self.running.keys().any(|key| stream.has(key)) =>
            {
                tracing::warn!(stream = %id, %error, "shards cannot be listed");
                Ok(false)
            }
            Some(Err(source)) => {
                let error = WorkerError::Read { stream: id, source };
                self.on_stream_failed(index, error)?;
                Ok(false)
            }
            None => {
                stream.on_not_listed_in_time(self.clock.instant());
                Ok(false)
            }
        }
    }

    /// Whether this worker cleans up: it has the least id of the workers that own some of these leases, or no lease has
    /// an owner.
    fn leads(&self, leases: &[Lease]) -> bool {
        let least = leases.iter().filter_map(|lease| lease.owner.as_ref()).min();
        least.is_none_or(|least| self.settings.me <= *least)
    }

    /// Returns the leases that must wait for the lease of a parent, by the lists of shards.
    pub(super) fn orphans(&self, leases: &[Lease]) -> HashSet<ShardId> {
        let lists = self.streams.iter().filter_map(|s| s.shards.as_ref());
        lists
            .flat_map(|list| Sync::new(&list.shards, leases).orphans())
            .collect()
    }
}

impl FleetStream {
    /// Whether a lease depends on a shard that is not in the list yet.
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
}
