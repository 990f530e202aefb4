//! The history of one run, held against the promises.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    Clock, MemoryLeases, PartitionKey, Position, SequenceNumber, ShardId,
    fleet::lease::{
        Lease, LeaseChange, LeaseCheckpoint, LeaseStore as _, LeaseWrite, LeaseWritten, WorkerId,
    },
};

pub(super) const APP: &str = "app";
pub(super) const FAILOVER: Duration = Duration::from_secs(10);
/// Two fail-over times, one round, and the calls of a round.
const TAKE_OVER_MAX: Duration = Duration::from_secs(32);
/// A row that was deleted is missed in three rounds and their calls; then its lease is free.
const MADE_AGAIN_MAX: Duration = Duration::from_secs(40);

/// Writes of before may land for so long after the calls are no longer disturbed.
const LATE_MAX: Duration = Duration::from_secs(10);

/// The place of a user record in its shard.
type Place = (SequenceNumber, u64);

pub(super) struct World {
    pub(super) leases: MemoryLeases,
    pub(super) clock: Clock,
    random: Mutex<fastrand::Rng>,
    history: Mutex<History>,
}

/// A batch that is given to a processor.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) worker: &'a WorkerId,
    pub(super) shard_id: &'a ShardId,
    pub(super) token: u64,
    pub(super) records: &'a [(Position, PartitionKey)],
    pub(super) attempt: u32,
    /// Whether other processors work on the same shard.
    pub(super) has_lanes: bool,
}

#[derive(Default)]
struct History {
    shards: HashMap<ShardId, ShardHistory>,
    violations: Vec<String>,
    /// The last batch of each holding: its begin, and that of the next.
    holdings: HashMap<(ShardId, u64), (usize, usize)>,
    /// The number of processors that each worker has of a shard.
    running: HashMap<(WorkerId, ShardId), usize>,
    /// The times at which rows were deleted by hand.
    deletions: HashMap<ShardId, Instant>,
    /// Deleted rows that must be there again in time, and since when a worker can have missed them.
    missing: HashMap<ShardId, Instant>,
    /// The times at which workers went down, or from which on others can have seen it.
    deaths: HashMap<WorkerId, Instant>,
    /// The time since which nothing disturbs the calls.
    calm_since: Option<Instant>,
    /// Actors that take leases from live workers without asking, or hand over to nobody.
    has_rude_actors: bool,
    takes: usize,
    repeated: u64,
    given: u64,
}

#[derive(Default)]
struct ShardHistory {
    parents: Vec<ShardId>,
    /// The index of each record, in order.
    places: BTreeMap<Place, usize>,
    is_finished: Vec<bool>,
    /// Of each record, the one of the same key before it.
    before: Vec<Option<usize>>,
    last_of_key: HashMap<PartitionKey, usize>,
    first_unfinished: usize,
}

impl ShardHistory {
    fn is_all_finished(&self) -> bool {
        self.first_unfinished == self.is_finished.len()
    }

    fn finish(&mut self, index: usize) {
        self.is_finished[index] = true;
        while self.is_finished.get(self.first_unfinished) == Some(&true) {
            self.first_unfinished += 1;
        }
    }

    fn index(&self, position: &Position) -> Option<usize> {
        let place = (
            position.sequence_number.clone(),
            position.sub_sequence_number,
        );
        self.places.get(&place).copied()
    }
}

/// A test that panics with the lock fails anyway.
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
        match history.violations.is_empty() {
            true => Ok(()),
            false => Err(history.violations.clone()),
        }
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

    /// A worker goes down, or leaves. Those that are left count its silence from now on, and that of others anew if
    /// it was this worker that had seen theirs. So do they with rows that are missing.
    pub(super) fn on_gone(&self, worker: WorkerId, was_killed: bool) {
        let now = self.clock.instant();
        let mut history = lock(&self.history);
        let History {
            deaths, missing, ..
        } = &mut *history;
        for since in deaths.values_mut().chain(missing.values_mut()) {
            *since = now;
        }
        if was_killed {
            deaths.insert(worker, now);
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

impl History {
    fn begin(&mut self, given: Given<'_>) {
        let shard_id = given.shard_id;
        let shard = &self.shards[shard_id];
        let records = given.records.iter();
        let indexes: Option<Vec<_>> = records.map(|(at, _)| shard.index(at)).collect();
        let Some(indexes) = indexes else {
            let text = format!("a batch of {shard_id} has a record that was not put");
            self.violations.push(text);
            return;
        };
        let Some(begin) = indexes.first().copied() else {
            return;
        };
        self.given += indexes.len() as u64;
        let repeated = indexes.iter().filter(|index| shard.is_finished[**index]);
        self.repeated += repeated.count() as u64;
        let mut violations = shard.check_keys(shard_id, &indexes);
        for parent in &shard.parents {
            let parent_history = self.shards.get(parent);
            if parent_history.is_some_and(|parent| !parent.is_all_finished()) {
                violations.push(format!("{shard_id} is read before the end of {parent}"));
            }
        }
        if !given.has_lanes {
            violations.extend(self.check_batch(given, begin, &indexes));
        }
        self.violations.extend(violations);
    }

    /// Checks that a batch goes on where the one before it ended.
    fn check_batch(&mut self, given: Given<'_>, begin: usize, indexes: &[usize]) -> Vec<String> {
        let (shard_id, shard) = (given.shard_id, &self.shards[given.shard_id]);
        let (end, mut violations) = (begin + indexes.len(), Vec::new());
        if !indexes.iter().copied().eq(begin..end) {
            violations.push(format!("a batch of {shard_id} has the records {indexes:?}"));
        }
        let holding = (shard_id.clone(), given.token);
        match self.holdings.get(&holding) {
            None if begin > shard.first_unfinished => {
                let first = shard.first_unfinished;
                let text = format!("{shard_id} begins at {begin}, but {first} is unfinished");
                violations.push(text);
            }
            Some((before, _)) if given.attempt > 0 && begin == *before => {}
            Some((_, next)) if begin != *next => {
                violations.push(format!("{shard_id} goes on at {begin} instead of {next}"));
            }
            _ => {}
        }
        self.holdings.insert(holding, (begin, end));
        violations
    }

    fn check_checkpoint(&mut self, shard_id: &ShardId, to: &LeaseCheckpoint) {
        let shard = self.shards.entry(shard_id.clone()).or_default();
        let passed = match to {
            LeaseCheckpoint::After {
                sequence_number,
                sub_sequence_number,
            } => {
                let place = (sequence_number.clone(), *sub_sequence_number);
                shard.places.get(&place).map_or(0, |index| index + 1)
            }
            LeaseCheckpoint::ShardEnd => shard.is_finished.len(),
            _ => 0,
        };
        if passed > shard.first_unfinished {
            let first = shard.first_unfinished;
            let text = format!("the checkpoint {to:?} of {shard_id} passes the unfinished {first}");
            self.violations.push(text);
        }
    }

    fn check_take_over(&mut self, shard_id: &ShardId, before: Option<&Lease>, now: Instant) {
        let Some(owner) = before.and_then(Lease::holder) else {
            return;
        };
        let (Some(death), Some(calm)) = (self.deaths.get(owner), self.calm_since) else {
            return;
        };
        // Only workers that were there in the meantime can have seen the silence.
        let waited = now.saturating_duration_since((*death).max(calm + LATE_MAX));
        if waited > TAKE_OVER_MAX && !self.has_rude_actors {
            let text = format!("{shard_id} of the dead {owner} waited for {waited:?}");
            self.violations.push(text);
        }
    }

    /// Checks that deleted rows are made again in time.
    fn check_missing(&mut self, now: Instant) {
        let Some(calm) = self.calm_since else { return };
        for (shard_id, since) in &self.missing {
            let waited = now.saturating_duration_since((*since).max(calm + LATE_MAX));
            if waited > MADE_AGAIN_MAX && !self.has_rude_actors {
                let text = format!("the deleted row of {shard_id} is missing for {waited:?}");
                self.violations.push(text);
            }
        }
    }
}

impl ShardHistory {
    /// Checks that no record is given out before the one of the same key before it is finished, or in the same batch.
    fn check_keys(&self, shard_id: &ShardId, indexes: &[usize]) -> Vec<String> {
        let mut violations = Vec::new();
        for (at, index) in indexes.iter().enumerate() {
            if let Some(before) = self.before[*index]
                && !self.is_finished[before]
                && !indexes[..at].contains(&before)
            {
                let text = format!("{index} of {shard_id} overtakes {before} of its key");
                violations.push(text);
            }
        }
        violations
    }
}
