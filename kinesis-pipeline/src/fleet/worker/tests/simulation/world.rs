//! What happened, held against the promises.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    Clock, SequenceNumber, ShardId,
    fleet::lease::{
        Lease, LeaseChange, LeaseCheckpoint, LeaseStore as _, LeaseWrite, LeaseWritten,
        MemoryLeases, WorkerId,
    },
};

pub(super) const APP: &str = "app";
pub(super) const FAILOVER: Duration = Duration::from_secs(10);
/// Two fail-over times, one round, and what the calls of a round take.
const TAKE_OVER_MAX: Duration = Duration::from_secs(32);

/// Writes of before may land for so long after the calls are no longer disturbed.
const LATE_MAX: Duration = Duration::from_secs(10);

/// The place of a user record in its shard.
pub(super) type Place = (SequenceNumber, u64);

pub(super) struct World {
    pub(super) leases: MemoryLeases,
    pub(super) clock: Clock,
    random: Mutex<fastrand::Rng>,
    history: Mutex<History>,
}

#[derive(Default)]
struct History {
    shards: HashMap<ShardId, ShardHistory>,
    violations: Vec<String>,
    /// The last batch of each holding: where it began, and where the next one begins.
    holdings: HashMap<(ShardId, u64), (usize, usize)>,
    /// Who has a processor of which shard.
    running: HashSet<(WorkerId, ShardId)>,
    /// When rows were deleted by hand.
    deletions: HashMap<ShardId, Instant>,
    /// When workers went down, and whether all was well since.
    deaths: HashMap<WorkerId, Instant>,
    /// Since when nothing disturbs the calls.
    calm_since: Option<Instant>,
    /// Actors that take leases from live workers without asking, or hand over to nobody.
    has_rude_actors: bool,
    pub(super) takes: usize,
    pub(super) repeated: usize,
    pub(super) given: usize,
}

#[derive(Default)]
struct ShardHistory {
    parents: Vec<ShardId>,
    /// The index of each record, in order.
    places: BTreeMap<Place, usize>,
    is_finished: Vec<bool>,
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
}

impl World {
    pub(super) fn new(leases: MemoryLeases, clock: Clock, seed: u64) -> Arc<Self> {
        let random = Mutex::new(fastrand::Rng::with_seed(seed));
        let history = Mutex::default();
        Arc::new(Self {
            leases,
            clock,
            random,
            history,
        })
    }

    pub(super) fn random<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.random.lock().unwrap())
    }

    pub(super) fn check(&self) {
        let history = self.history.lock().unwrap();
        assert!(history.violations.is_empty(), "{:#?}", history.violations);
    }

    pub(super) fn add_shard(&self, id: &ShardId, parents: Vec<ShardId>) {
        let mut history = self.history.lock().unwrap();
        history.shards.entry(id.clone()).or_default().parents = parents;
    }

    pub(super) fn store(&self, shard_id: &ShardId, place: Place) {
        let mut history = self.history.lock().unwrap();
        let shard = history.shards.entry(shard_id.clone()).or_default();
        let index = shard.is_finished.len();
        shard.places.insert(place, index);
        shard.is_finished.push(false);
    }

    pub(super) fn set_calm(&self, is_calm: bool) {
        let now = self.clock.instant();
        let since = &mut self.history.lock().unwrap().calm_since;
        *since = is_calm.then(|| since.unwrap_or(now));
    }

    pub(super) fn on_rude_actor(&self) {
        self.history.lock().unwrap().has_rude_actors = true;
    }

    /// A worker goes down, or leaves. Those that are left count its silence from now on, and that of others anew if
    /// it was this worker that had seen theirs.
    pub(super) fn on_gone(&self, worker: WorkerId, was_killed: bool) {
        let now = self.clock.instant();
        let deaths = &mut self.history.lock().unwrap().deaths;
        for death in deaths.values_mut() {
            *death = now;
        }
        if was_killed {
            deaths.insert(worker, now);
        }
    }

    /// Nobody is there to see a silence.
    pub(super) fn on_empty(&self) {
        self.history.lock().unwrap().deaths.clear();
    }

    pub(super) fn on_deletion(&self, shard_id: ShardId) {
        let now = self.clock.instant();
        let mut history = self.history.lock().unwrap();
        // A write that is late may create the row with a counter that it had before.
        history.holdings.retain(|(id, _), _| *id != shard_id);
        history.deletions.insert(shard_id, now);
    }

    pub(super) fn set_running(&self, worker: &WorkerId, shard_id: &ShardId, is_running: bool) {
        let running = &mut self.history.lock().unwrap().running;
        let entry = (worker.clone(), shard_id.clone());
        if is_running {
            running.insert(entry);
        } else {
            running.remove(&entry);
        }
    }

    pub(super) fn takes(&self) -> usize {
        self.history.lock().unwrap().takes
    }

    /// How many records were given out, and how many of them again after they were finished.
    pub(super) fn counts(&self) -> (usize, usize) {
        let history = self.history.lock().unwrap();
        (history.given, history.repeated)
    }

    /// A processor begins with a batch under a lease that it takes for valid.
    pub(super) fn begin(
        &self,
        worker: &WorkerId,
        shard_id: &ShardId,
        token: u64,
        places: &[Place],
        attempt: u32,
    ) {
        let stored = self.leases.get(APP, shard_id);
        let mut history = self.history.lock().unwrap();
        let holder = stored.as_ref().and_then(Lease::holder);
        let now = self.clock.instant();
        // The row was made anew before its holder's next renewal.
        let is_deleted = history.deletions.get(shard_id);
        let is_deleted = is_deleted.is_some_and(|at| now - *at < FAILOVER);
        let is_sure = !history.has_rude_actors && !is_deleted;
        if is_sure && holder.is_some_and(|holder| holder != worker) {
            let text = format!("{worker} begins a batch of {shard_id}, which {holder:?} holds");
            history.violations.push(text);
        }
        if history
            .deletions
            .get(shard_id)
            .is_some_and(|at| now - *at < 3 * FAILOVER)
        {
            // A write that is late may create the row anew with a counter that it had before.
            history.holdings.remove(&(shard_id.clone(), token));
        }
        history.begin(shard_id, token, places, attempt);
    }

    pub(super) fn finish(&self, shard_id: &ShardId, places: &[Place]) {
        let mut history = self.history.lock().unwrap();
        let shard = history.shards.get_mut(shard_id).unwrap();
        for place in places {
            let index = shard.places[place];
            shard.finish(index);
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
        let written = self.leases.write(app, write.clone()).await.unwrap();
        let after = self.leases.get(app, &write.seen.shard_id);
        if before != after {
            self.on_written(worker, before.as_ref(), write);
        }
        written
    }

    fn on_written(&self, worker: &WorkerId, before: Option<&Lease>, write: &LeaseWrite) {
        let mut history = self.history.lock().unwrap();
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
            LeaseChange::Take(by) => {
                history.takes += 1;
                if history.running.contains(&(by.clone(), shard_id.clone())) {
                    let text = format!("{by} takes {shard_id}, which it holds");
                    history.violations.push(text);
                }
                history.check_take_over(shard_id, before, self.clock.instant());
            }
            _ => {}
        }
    }

    /// Everything that was stored is finished.
    pub(super) fn check_complete(&self) {
        self.check();
        let history = self.history.lock().unwrap();
        for (shard_id, shard) in &history.shards {
            let (finished, stored) = (shard.first_unfinished, shard.is_finished.len());
            let lease = self.leases.get(APP, shard_id);
            assert_eq!(
                finished, stored,
                "records of {shard_id} are missing: {lease:?}"
            );
        }
    }
}

impl History {
    fn begin(&mut self, shard_id: &ShardId, token: u64, places: &[Place], attempt: u32) {
        let Some(first) = places.first() else { return };
        let shard = &self.shards[shard_id];
        let indexes: Vec<_> = places.iter().map(|place| shard.places[place]).collect();
        let (begin, end) = (shard.places[first], shard.places[first] + places.len());
        let mut violations = Vec::new();
        if !indexes.iter().copied().eq(begin..end) {
            violations.push(format!("a batch of {shard_id} has the records {indexes:?}"));
        }
        let holding = (shard_id.clone(), token);
        match self.holdings.get(&holding) {
            None if begin > shard.first_unfinished => {
                let first = shard.first_unfinished;
                violations.push(format!(
                    "{shard_id} begins at {begin}, but {first} is unfinished"
                ));
            }
            Some((before, _)) if attempt > 0 && begin == *before => {}
            Some((_, next)) if begin != *next => {
                violations.push(format!("{shard_id} goes on at {begin} instead of {next}"));
            }
            _ => {}
        }
        for parent in &shard.parents {
            if self
                .shards
                .get(parent)
                .is_some_and(|parent| !parent.is_all_finished())
            {
                violations.push(format!("{shard_id} is read before the end of {parent}"));
            }
        }
        self.given += places.len();
        self.repeated += indexes
            .iter()
            .filter(|index| shard.is_finished[**index])
            .count();
        self.holdings.insert(holding, (begin, end));
        self.violations.extend(violations);
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
}
