//! The shared state of one run: the lease table, the clock, and the history that is checked against the promises.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::history::{Given, History, ShardHistory};
use crate::{
    Clock, MemoryLeases, PartitionKey, Position, ShardId,
    fleet::{
        lease::{Lease, LeaseChange, LeaseStore as _, LeaseWrite, LeaseWritten, WorkerId},
        worker::LeaseKeys,
    },
    service::StreamId,
};

pub(super) const APP: &str = "app";
pub(super) const FAILOVER: Duration = Duration::from_secs(10);
pub(super) struct World {
    pub(super) leases: MemoryLeases,
    pub(super) clock: Clock,
    random: Mutex<fastrand::Rng>,
    history: Mutex<History>,
}

/// Locks the mutex. Poisoning is ignored: a test that panics with the lock fails anyway.
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

    pub(super) fn set_streams(&self, streams: Vec<(StreamId, LeaseKeys)>) {
        lock(&self.history).streams = streams;
    }

    /// Returns the key of a shard's lease.
    pub(super) fn key(&self, stream: &StreamId, shard_id: &ShardId) -> ShardId {
        let history = lock(&self.history);
        let found = history.streams.iter().find(|(id, _)| id == stream);
        found.map_or_else(|| shard_id.clone(), |(_, keys)| keys.key(shard_id))
    }

    /// Notes a record that was put into the shard with this lease key.
    pub(super) fn store(&self, shard: ShardId, position: &Position, key: &PartitionKey) {
        let mut history = lock(&self.history);
        let text = format!("two records of {shard} are stored at {position}");
        if !history
            .shards
            .entry(shard)
            .or_default()
            .store(position, key)
        {
            history.violations.push(text);
        }
    }

    /// Returns the streams' ids.
    pub(super) fn streams(&self) -> Vec<StreamId> {
        let history = lock(&self.history);
        history.streams.iter().map(|(id, _)| id.clone()).collect()
    }

    /// Returns the positions of all records that were put into this stream, by shard, in order.
    pub(super) fn put_to(&self, stream: &StreamId) -> Vec<Position> {
        let history = lock(&self.history);
        let Some((_, keys)) = history.streams.iter().find(|(id, _)| id == stream) else {
            return Vec::new();
        };
        let shards = history.shards.iter().filter(|(key, _)| keys.has(key));
        let positions = |(key, shard): (&ShardId, &ShardHistory)| {
            let (id, places) = (keys.shard_id(key), shard.places.keys().cloned());
            let position =
                move |(number, sub)| Position::new(id.clone(), number).at_sub_sequence_number(sub);
            places.map(position).collect::<Vec<_>>()
        };
        shards.flat_map(positions).collect()
    }

    /// Returns the position of the last record that was put into a shard.
    pub(super) fn last_of(&self, shard_id: &ShardId) -> Option<Position> {
        let history = lock(&self.history);
        let (number, sub) = history.shards.get(shard_id)?.places.keys().last()?.clone();
        Some(Position::new(shard_id.clone(), number).at_sub_sequence_number(sub))
    }

    /// Notes that another application has processed all records of the shard so far.
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

    /// Notes that a worker has died or is leaving. The others measure the time of silence from now on.
    pub(super) fn on_gone(&self, worker: WorkerId, was_killed: bool) {
        self.on_fewer();
        let now = self.clock.instant();
        if was_killed {
            lock(&self.history).deaths.insert(worker, now);
        }
    }

    /// Notes that a stopped worker still finishes its batches.
    pub(super) fn on_draining(&self) {
        lock(&self.history).drained_at = Some(self.clock.instant());
    }

    /// Notes that a worker joins. It measures the silence of others from its first look at the table on.
    pub(super) fn on_joined(&self) {
        lock(&self.history).joined_at = Some(self.clock.instant());
    }

    /// Notes that there are fewer workers. If the worker that is gone was the one to notice a silent worker or a
    /// missing row, the others have to notice it from the beginning.
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

    /// Notes that no worker is left to notice a silent worker or a missing row.
    pub(super) fn on_empty(&self) {
        let mut history = lock(&self.history);
        history.deaths.clear();
        history.missing.clear();
    }

    /// Notes that a row is deleted by hand.
    pub(super) fn on_deletion(&self, lease: &Lease, is_missed: bool) {
        let (now, shard_id) = (self.clock.instant(), lease.shard_id.clone());
        let mut history = lock(&self.history);
        let holder = lease.holder().cloned();
        let deletions = history.deletions.entry(shard_id.clone());
        deletions.or_default().push((now, holder));
        // If a child has begun, this shard is finished, and its row is not needed.
        let has_begun = |(child, of): (&ShardId, &ShardHistory)| {
            let lease = of
                .parents
                .contains(&shard_id)
                .then(|| self.leases.get(APP, child));
            lease
                .flatten()
                .is_some_and(|lease| lease.checkpoint.has_begun())
        };
        if is_missed && !history.shards.iter().any(has_begun) {
            history.missing.insert(shard_id, now);
        }
    }

    pub(super) fn on_processor(&self, worker: &WorkerId, shard_id: &ShardId, token: Option<u64>) {
        let now = self.clock.instant();
        lock(&self.history).on_processor(worker, shard_id, token, now);
    }

    pub(super) fn on_processor_gone(&self, worker: &WorkerId, shard_id: &ShardId) {
        let running = &mut lock(&self.history).running;
        let entry = (worker.clone(), shard_id.clone());
        if let Some(count) = running.get_mut(&entry) {
            *count -= 1;
        }
        running.retain(|_, count| *count > 0);
    }

    pub(super) fn takes(&self) -> usize {
        lock(&self.history).takes
    }

    /// Returns the number of records that were given out, and how many of these had been finished before.
    pub(super) fn counts(&self) -> (u64, u64) {
        let history = lock(&self.history);
        (history.given, history.repeated)
    }

    /// Checks a batch that a processor begins under a lease that its worker believes to hold.
    pub(super) fn begin(&self, given: Given<'_>) {
        let (shard_id, worker) = (given.shard_id, given.worker);
        let stored = self.leases.get(APP, shard_id);
        let mut history = lock(&self.history);
        let holder = stored.as_ref().and_then(Lease::holder);
        let now = self.clock.instant();
        // After a deletion by hand, the row may be made again before its holder's next renewal. The holder works on
        // until then, for at most one fail-over time by its own clock. No other worker may do so.
        let is_deleted = history
            .deletions
            .get(shard_id)
            .into_iter()
            .flatten()
            .any(|(at, holder)| now - *at < FAILOVER && holder.as_ref() == Some(worker));
        let is_sure = !history.has_rude_actors && !is_deleted;
        if is_sure && holder.is_some_and(|holder| holder != worker) {
            let text = format!("{worker} begins a batch of {shard_id}, which {holder:?} holds");
            history.violations.push(text);
        }
        history.begin(given);
    }

    /// Notes that records of this lease key's shard are finished.
    pub(super) fn finish(&self, key: Option<&ShardId>, positions: &[&Position]) {
        let mut history = lock(&self.history);
        for position in positions {
            history.finish(key, position);
        }
    }

    /// Makes a write, and checks it against the promises.
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
            if after.is_some_and(|lease| lease.checkpoint.has_begun()) {
                lock(&self.history).on_begun(&write.seen.shard_id);
            }
        }
        // The memory store never fails.
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
                if to.is_end() {
                    let now = self.clock.instant();
                    history.ended.insert(shard_id.clone(), now);
                }
            }
            LeaseChange::HandOver(to) => {
                history.handing_over.insert(shard_id.clone(), to.clone());
            }
            LeaseChange::FinishHandOver => {
                let now = self.clock.instant();
                history.handed_over.insert(shard_id.clone(), now);
                history.on_hand_over_ended(shard_id, now);
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
                let now = self.clock.instant();
                history.check_take_over(shard_id, before, now);
                history.on_hand_over_ended(shard_id, now);
            }
            _ => {}
        }
    }

    /// Checks that every record that was stored is finished.
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
