//! The history of one run, held against the promises.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::history::{Given, History, ShardHistory};
use crate::{
    Clock, MemoryLeases, PartitionKey, Position, ShardId,
    fleet::lease::{Lease, LeaseChange, LeaseStore as _, LeaseWrite, LeaseWritten, WorkerId},
};

pub(super) const APP: &str = "app";
pub(super) const FAILOVER: Duration = Duration::from_secs(10);
pub(super) struct World {
    pub(super) leases: MemoryLeases,
    pub(super) clock: Clock,
    random: Mutex<fastrand::Rng>,
    history: Mutex<History>,
}

/// Returns a test that panics with the lock fails anyway.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub(super) fn new(clock: Clock, seed: u64) -> Arc<Self> {
        Arc::new(Self {
            leases: MemoryLeases::new(),
            clock,
            random: Mutex::new(fastrand::Rng::with_seed(seed)),
            history: Mutex::default(),
        })
    }

    pub(super) fn random<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut lock(&self.random))
    }

    pub(super) fn check(&self) -> Result<(), Vec<String>> {
        let mut history = lock(&self.history);
        history.check_missing(self.clock.instant());
        if history.violations.is_empty() {
            return Ok(());
        }
        Err(history.violations.clone())
    }

    pub(super) fn add_shard(&self, id: &ShardId, parents: Vec<ShardId>) {
        let mut history = lock(&self.history);
        history.shards.entry(id.clone()).or_default().parents = parents;
    }

    pub(super) fn store(&self, position: &Position, key: &PartitionKey) {
        let mut history = lock(&self.history);
        let shard = history.shards.entry(position.shard_id.clone());
        let shard = shard.or_default();
        let index = shard.is_finished.len();
        let place = (
            position.sequence_number.clone(),
            position.sub_sequence_number,
        );
        shard.places.insert(place, index);
        shard.is_finished.push(false);
        let before = shard.last_of_key.insert(key.clone(), index);
        shard.before.push(before);
    }

    /// Returns the positions of all records that were put.
    pub(super) fn put(&self) -> Vec<Position> {
        let history = lock(&self.history);
        let positions = |(id, shard): (&ShardId, &ShardHistory)| {
            let places = shard.places.keys().cloned();
            let id = id.clone();
            let position =
                move |(number, sub)| Position::new(id.clone(), number).at_sub_sequence_number(sub);
            places.map(position).collect::<Vec<_>>()
        };
        history.shards.iter().flat_map(positions).collect()
    }

    /// Returns the position of the last record that was put into a shard.
    pub(super) fn last_of(&self, shard_id: &ShardId) -> Option<Position> {
        let history = lock(&self.history);
        let (number, sub) = history.shards.get(shard_id)?.places.keys().last()?.clone();
        Some(Position::new(shard_id.clone(), number).at_sub_sequence_number(sub))
    }

    /// Another application has processed the whole shard, as far as there is anything.
    pub(super) fn finish_all(&self, shard_id: &ShardId) {
        if let Some(shard) = lock(&self.history).shards.get_mut(shard_id) {
            for index in 0..shard.is_finished.len() {
                shard.finish(index);
            }
        }
    }

    pub(super) fn set_calm(&self, is_calm: bool) {
        let now = self.clock.instant();
        let since = &mut lock(&self.history).calm_since;
        *since = is_calm.then(|| since.unwrap_or(now));
    }

    pub(super) fn on_rude_actor(&self) {
        lock(&self.history).has_rude_actors = true;
    }

    /// A worker goes down, or leaves. Those that are left count its silence from now on.
    pub(super) fn on_gone(&self, worker: WorkerId, was_killed: bool) {
        self.on_fewer();
        let now = self.clock.instant();
        if was_killed {
            lock(&self.history).deaths.insert(worker, now);
        }
    }

    /// There are fewer workers. Those that are left count the silence of others anew if it was one that is gone that
    /// had seen theirs, and so do they with rows that are missing.
    pub(super) fn on_fewer(&self) {
        let now = self.clock.instant();
        let mut history = lock(&self.history);
        let History {
            deaths, missing, ..
        } = &mut *history;
        for since in deaths.values_mut().chain(missing.values_mut()) {
            *since = now;
        }
    }

    /// No worker is there to see a silence, or to miss a row.
    pub(super) fn on_empty(&self) {
        let mut history = lock(&self.history);
        history.deaths.clear();
        history.missing.clear();
    }

    /// A row is deleted by hand.
    pub(super) fn on_deletion(&self, lease: &Lease, is_missed: bool) {
        let (now, shard_id) = (self.clock.instant(), lease.shard_id.clone());
        let mut history = lock(&self.history);
        // A write that is late may create the row with a counter that it had before.
        history.holdings.retain(|(id, _), _| *id != shard_id);
        history.deletions.insert(shard_id.clone(), now);
        if is_missed {
            history.missing.insert(shard_id, now);
        }
    }

    pub(super) fn on_processor(&self, worker: &WorkerId, shard_id: &ShardId, is_made: bool) {
        let running = &mut lock(&self.history).running;
        let entry = (worker.clone(), shard_id.clone());
        let count = running.entry(entry.clone()).or_default();
        *count = if is_made { *count + 1 } else { *count - 1 };
        if *count == 0 {
            running.remove(&entry);
        }
    }

    pub(super) fn takes(&self) -> usize {
        lock(&self.history).takes
    }

    /// Returns the number of records that were given out, and of those among them that had been finished before.
    pub(super) fn counts(&self) -> (u64, u64) {
        let history = lock(&self.history);
        (history.given, history.repeated)
    }

    /// A processor begins with a batch under a lease that it takes for valid.
    pub(super) fn begin(&self, given: Given<'_>) {
        let (shard_id, worker) = (given.shard_id, given.worker);
        let stored = self.leases.get(APP, shard_id);
        let mut history = lock(&self.history);
        let holder = stored.as_ref().and_then(Lease::holder);
        let now = self.clock.instant();
        let deleted_for = history.deletions.get(shard_id).map(|at| now - *at);
        // The row was made anew before its holder's next renewal.
        let is_deleted = deleted_for.is_some_and(|time| time < FAILOVER);
        let is_sure = !history.has_rude_actors && !is_deleted;
        if is_sure && holder.is_some_and(|holder| holder != worker) {
            let text = format!("{worker} begins a batch of {shard_id}, which {holder:?} holds");
            history.violations.push(text);
        }
        if deleted_for.is_some_and(|time| time < 3 * FAILOVER) {
            // A write that is late may create the row anew with a counter that it had before.
            history.holdings.remove(&(shard_id.clone(), given.token));
        }
        history.begin(given);
    }

    pub(super) fn finish(&self, positions: &[&Position]) {
        let mut history = lock(&self.history);
        for position in positions {
            if let Some(shard) = history.shards.get_mut(&position.shard_id)
                && let Some(index) = shard.index(position)
            {
                shard.finish(index);
            }
        }
    }

    /// Makes a write and holds it against the promises.
    pub(super) async fn write(
        &self,
        worker: &WorkerId,
        app: &str,
        write: &LeaseWrite,
    ) -> LeaseWritten {
        let before = self.leases.get(app, &write.seen.shard_id);
        let written = self.leases.write(app, write.clone()).await;
        let after = self.leases.get(app, &write.seen.shard_id);
        if before != after {
            self.on_written(worker, before.as_ref(), write);
        }
        // A store in memory does not fail.
        written.unwrap_or(LeaseWritten::Refused(before))
    }

    fn on_written(&self, worker: &WorkerId, before: Option<&Lease>, write: &LeaseWrite) {
        let mut history = lock(&self.history);
        let shard_id = &write.seen.shard_id;
        match &write.change {
            LeaseChange::Checkpoint { to, children } => {
                if before.and_then(Lease::holder) != Some(worker) {
                    let text = format!("a checkpoint of {shard_id} by the fenced {worker}");
                    history.violations.push(text);
                }
                if before.is_some_and(|before| to.is_before(&before.checkpoint)) {
                    let text = format!("a checkpoint of {shard_id} goes back to {to:?}");
                    history.violations.push(text);
                }
                if to.is_end() && children.is_empty() {
                    let text = format!("the end of {shard_id} names no children");
                    history.violations.push(text);
                }
                history.check_checkpoint(shard_id, to);
            }
            LeaseChange::FinishHandOver => {
                let now = self.clock.instant();
                history.handed_over.insert(shard_id.clone(), now);
            }
            LeaseChange::Create => {
                history.missing.remove(shard_id);
            }
            LeaseChange::Take(by) => {
                history.takes += 1;
                let holding = (by.clone(), shard_id.clone());
                if history.running.contains_key(&holding) {
                    let text = format!("{by} takes {shard_id}, which it holds");
                    history.violations.push(text);
                }
                history.check_take_over(shard_id, before, self.clock.instant());
            }
            _ => {}
        }
    }

    /// Checks that everything that was stored is finished.
    pub(super) fn check_complete(&self) -> Result<(), Vec<String>> {
        self.check()?;
        let history = lock(&self.history);
        for (shard_id, shard) in &history.shards {
            let (finished, stored) = (shard.first_unfinished, shard.is_finished.len());
            if finished != stored {
                let lease = self.leases.get(APP, shard_id);
                let text = format!("{finished} of {stored} of {shard_id} are finished: {lease:?}");
                return Err(vec![text]);
            }
        }
        Ok(())
    }
}
