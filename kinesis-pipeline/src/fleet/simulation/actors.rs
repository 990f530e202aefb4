//! Simulated workers of other libraries in the same lease table: a KCL 2 worker and a KCL 3 leader.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use super::world::{APP, FAILOVER, World, lock};
use crate::{
    KinesisStream, LeaseCheckpoint, LeaseStore as _,
    fleet::lease::{
        Lease, LeaseChange, LeaseWrite, LeaseWritten, WorkerId, plan::can_start,
        sightings::Sightings, sync::Sync,
    },
};

/// KCL's pause between two renewals.
const RENEW_INTERVAL: Duration = Duration::from_secs(3);
/// Renewals between two attempts of KCL to take leases.
const LOOK_RENEWALS: u32 = 7;

/// A KCL 2.x worker. It renews, processes and checkpoints its leases, and takes free and expired ones. It steals one
/// lease at a time from the worker with most leases, without asking for a hand-over.
pub(super) struct Stealer<R> {
    id: WorkerId,
    world: Arc<World>,
    stream: KinesisStream<R>,
    sightings: Sightings,
}

impl<R> Stealer<R> {
    pub(super) fn new(world: Arc<World>, stream: KinesisStream<R>) -> Self {
        Self {
            id: "kcl-2".into(),
            world,
            stream,
            sightings: Sightings::default(),
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            for _ in 0..LOOK_RENEWALS {
                tokio::time::sleep(RENEW_INTERVAL).await;
                self.work().await;
            }
            self.take().await;
        }
    }

    async fn list(&mut self) -> Vec<Lease> {
        let asked_at = self.world.clock.instant();
        let leases = self.world.leases.list(APP).await.unwrap_or_default();
        self.sightings.observe(&leases, asked_at, asked_at);
        leases
    }

    /// Processes all records that each held shard has, and writes a checkpoint or a renewal.
    async fn work(&mut self) {
        for lease in self.list().await {
            // A KCL 2 worker knows no hand-overs: it keeps working on a lease that it was asked to hand over.
            if lease.holder() != Some(&self.id) || lease.is_finished() {
                continue;
            }
            let shard_id = lease.shard_id.clone();
            let last = self.world.last_of(&shard_id);
            let to = last.as_ref().map(LeaseCheckpoint::after);
            let change = match to {
                Some(to) if lease.checkpoint.is_before(&to) => LeaseChange::Checkpoint {
                    to,
                    children: Vec::new(),
                },
                _ => LeaseChange::Renew,
            };
            self.world.finish_all(&shard_id);
            let write = LeaseWrite::new(lease, change);
            if let LeaseWritten::Done(lease) = self.world.write(&self.id, APP, &write).await {
                self.end(lease).await;
            }
        }
    }

    /// Finishes a shard that is closed and fully read. The leases of its children are created first.
    async fn end(&self, lease: Lease) {
        let (Ok(shards), Ok(leases)) = (
            self.stream.shards().await,
            self.world.leases.list(APP).await,
        ) else {
            return;
        };
        let now = self.world.clock.now();
        let (children, lacking) = Sync::new(&shards, &leases).children_leases(&lease, now);
        let last = self.world.last_of(&lease.shard_id);
        let is_read = last.is_none_or(|last| lease.checkpoint == LeaseCheckpoint::after(&last));
        if children.is_empty() || !is_read {
            return;
        }
        for child in lacking {
            let create = LeaseWrite::create(child);
            self.world.write(&self.id, APP, &create).await;
        }
        let to = LeaseCheckpoint::ShardEnd;
        let end = LeaseWrite::new(lease, LeaseChange::Checkpoint { to, children });
        self.world.write(&self.id, APP, &end).await;
    }

    /// Takes leases that are free or expired up to the target, else steals one.
    async fn take(&mut self) {
        let leases = self.list().await;
        // KCL treats a shard without a row as finished, and reads its children. If the row was deleted by hand, KCL
        // loses the rest of the shard. This library does not promise to prevent that, so the simulated worker waits as
        // our workers do.
        let shards = self.stream.shards().await.unwrap_or_default();
        let orphans = Sync::new(&shards, &leases).orphans();
        let is_ready =
            |lease: &Lease| can_start(lease, &by_id(&leases)) && !orphans.contains(&lease.shard_id);
        let ready: Vec<_> = leases.iter().filter(|lease| is_ready(lease)).collect();
        let is_expired = |lease: &Lease| self.sightings.silence(&lease.shard_id) >= FAILOVER;
        let mut loads: BTreeMap<&WorkerId, Vec<&Lease>> = BTreeMap::new();
        let mut free = Vec::new();
        for lease in &ready {
            match &lease.owner {
                Some(owner) if !is_expired(lease) || *owner == self.id => {
                    loads.entry(owner).or_default().push(lease);
                }
                _ => free.push(*lease),
            }
        }
        let mine = loads.remove(&self.id).map_or(0, |leases| leases.len());
        let target = ready.len().div_ceil(loads.len() + 1);
        let wanted = target.saturating_sub(mine);
        let most = loads.values().max_by_key(|leases| leases.len());
        let stolen = most.filter(|leases| free.is_empty() && leases.len() > target);
        let stolen = stolen.and_then(|leases| leases.first().copied());
        let taken: Vec<_> = free
            .into_iter()
            .chain(stolen)
            .take(wanted)
            .cloned()
            .collect();
        for lease in taken {
            let take = LeaseWrite::take(lease, self.id.clone());
            self.world.write(&self.id, APP, &take).await;
        }
    }
}

fn by_id(leases: &[Lease]) -> std::collections::HashMap<&crate::ShardId, &Lease> {
    leases
        .iter()
        .map(|lease| (&lease.shard_id, lease))
        .collect()
}

/// A leader as in KCL 3.5: it assigns free and expired leases to the workers with the fewest leases, and moves one
/// lease at a time by a graceful hand-over.
pub(super) struct Leader {
    pub(super) world: Arc<World>,
    /// The workers whose metrics row is fresh.
    pub(super) workers: Arc<Mutex<Vec<WorkerId>>>,
    pub(super) sightings: Sightings,
}

impl Leader {
    pub(super) async fn run(mut self) {
        loop {
            tokio::time::sleep(FAILOVER).await;
            self.assign().await;
        }
    }

    async fn assign(&mut self) {
        let asked_at = self.world.clock.instant();
        let leases = self.world.leases.list(APP).await.unwrap_or_default();
        self.sightings.observe(&leases, asked_at, asked_at);
        let workers = lock(&self.workers).clone();
        let mut loads: BTreeMap<WorkerId, Vec<Lease>> = workers
            .into_iter()
            .map(|worker| (worker, Vec::new()))
            .collect();
        let mut free = Vec::new();
        for lease in leases.into_iter().filter(|lease| !lease.is_finished()) {
            let is_expired = self.sightings.silence(&lease.shard_id) >= FAILOVER;
            match lease.owner.as_ref().and_then(|owner| loads.get_mut(owner)) {
                Some(load) if !is_expired => load.push(lease),
                _ if lease.owner.is_none() || is_expired => free.push(lease),
                _ => {}
            }
        }
        for lease in free {
            let Some((least, load)) = loads.iter_mut().min_by_key(|(_, load)| load.len()) else {
                return;
            };
            let take = LeaseWrite::take(lease.clone(), least.clone());
            let _ = self.world.leases.write(APP, take).await;
            load.push(lease);
        }
        self.move_one(&loads).await;
    }

    /// Moves one lease from the worker with most leases to the worker with fewest.
    async fn move_one(&self, loads: &BTreeMap<WorkerId, Vec<Lease>>) {
        let least = loads.iter().min_by_key(|(_, load)| load.len());
        let most = loads.values().max_by_key(|load| load.len());
        let (Some((least, few)), Some(many)) = (least, most) else {
            return;
        };
        let settled = many.iter().find(|lease| lease.checkpoint_owner.is_none());
        if let (Some(lease), true) = (settled, many.len() >= few.len() + 2) {
            let hand_over = LeaseChange::HandOver(least.clone());
            let write = LeaseWrite::new(lease.clone(), hand_over);
            let _ = self.world.leases.write(APP, write).await;
        }
    }
}
