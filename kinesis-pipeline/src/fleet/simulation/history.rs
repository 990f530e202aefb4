//! The recorded history of one run, and the checks of the library's promises against it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    PartitionKey, Position, SequenceNumber, ShardId,
    fleet::{
        lease::{Lease, LeaseCheckpoint, WorkerId},
        worker::LeaseKeys,
    },
    service::StreamId,
};

/// The longest wait for the lease of a dead worker: two fail-over times, one round, and the calls of a round.
const TAKE_OVER_MAX: Duration = Duration::from_secs(32);
/// The longest wait if workers must exceed their target to take the lease: two fail-over times, after which they do,
/// two rounds, and the calls of a round.
const OVER_TARGET_MAX: Duration = Duration::from_secs(42);
/// The longest wait for a deleted row: three rounds and their calls until it is missed; then its lease is free.
const MADE_AGAIN_MAX: Duration = Duration::from_secs(40);
/// The time after the end of faults within which delayed writes may still land.
const LATE_MAX: Duration = Duration::from_secs(10);
/// The time after a deletion within which a fencing token may repeat: a late write, one round until the row that it
/// made is seen, and the calls of that round.
const LATE_TOKEN_MAX: Duration = Duration::from_secs(30);

/// The place of a user record in its shard.
type Place = (SequenceNumber, u64);

/// A batch as it is given to a processor.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) worker: &'a WorkerId,
    pub(super) shard_id: &'a ShardId,
    pub(super) records: &'a [(Position, PartitionKey)],
    pub(super) attempt: u32,
    /// Whether several processors work on the shard.
    pub(super) has_lanes: bool,
}

#[derive(Default)]
pub(super) struct History {
    pub(super) shards: HashMap<ShardId, ShardHistory>,
    pub(super) violations: Vec<String>,
    /// The streams, each with the keys of its leases.
    pub(super) streams: Vec<(StreamId, LeaseKeys)>,
    /// The last batch of each processor that has its shard alone: the index of its first record, and that of the next
    /// batch.
    pub(super) holdings: HashMap<(WorkerId, ShardId), (usize, usize)>,
    /// The fencing tokens that processors have had.
    pub(super) tokens: HashSet<(ShardId, u64)>,
    /// The number of running processors, by worker and shard.
    pub(super) running: HashMap<(WorkerId, ShardId), usize>,
    /// The times at which rows were deleted by hand, and the holders of their leases at that time.
    pub(super) deletions: HashMap<ShardId, Vec<(Instant, Option<WorkerId>)>>,
    /// The times at which shards were finished in the table.
    pub(super) ended: HashMap<ShardId, Instant>,
    /// Deleted rows that must be made again in time, each with the time from which a worker can miss it.
    pub(super) missing: HashMap<ShardId, Instant>,
    /// The times at which workers died, or the later times from which the remaining workers can have seen it.
    pub(super) deaths: HashMap<WorkerId, Instant>,
    /// The last time at which a stopped worker was still finishing its batches.
    pub(super) drained_at: Option<Instant>,
    /// The times at which old owners finished hand-overs. Until then a live worker held the shard, even if the next
    /// owner was dead already.
    pub(super) handed_over: HashMap<ShardId, Instant>,
    /// The time at which the last worker joined.
    pub(super) joined_at: Option<Instant>,
    /// The hand-overs under way, each with the worker that will get the lease.
    pub(super) handing_over: HashMap<ShardId, WorkerId>,
    /// The end of the last hand-over to each worker.
    pub(super) handed_to: HashMap<WorkerId, Instant>,
    /// The start of the present time without faults, if there are none now.
    pub(super) calm_since: Option<Instant>,
    /// Whether actors take leases from live workers without asking, or hand over to workers that never act.
    pub(super) has_rude_actors: bool,
    pub(super) takes: usize,
    pub(super) repeated: u64,
    pub(super) given: u64,
}

#[derive(Default)]
pub(super) struct ShardHistory {
    pub(super) parents: Vec<ShardId>,
    /// The index of each record, in the order of the shard.
    pub(super) places: BTreeMap<Place, usize>,
    pub(super) is_finished: Vec<bool>,
    /// The index of the previous record with the same key, for each record.
    pub(super) before: Vec<Option<usize>>,
    pub(super) last_of_key: HashMap<PartitionKey, usize>,
    pub(super) first_unfinished: usize,
}

impl ShardHistory {
    fn is_all_finished(&self) -> bool {
        self.first_unfinished == self.is_finished.len()
    }

    pub(super) fn finish(&mut self, index: usize) {
        self.is_finished[index] = true;
        while self.is_finished.get(self.first_unfinished) == Some(&true) {
            self.first_unfinished += 1;
        }
    }

    /// Adds a record that was put. Returns `false` if there is one at its position already.
    pub(super) fn store(&mut self, position: &Position, key: &PartitionKey) -> bool {
        let (place, index) = (place_of(position), self.is_finished.len());
        if self.places.insert(place, index).is_some() {
            return false;
        }
        self.is_finished.push(false);
        let before = self.last_of_key.insert(key.clone(), index);
        self.before.push(before);
        true
    }

    pub(super) fn index(&self, position: &Position) -> Option<usize> {
        self.places.get(&place_of(position)).copied()
    }
}

fn place_of(position: &Position) -> Place {
    (
        position.sequence_number.clone(),
        position.sub_sequence_number,
    )
}

impl History {
    /// Notes that a record of this lease key's shard is finished. Without a key, the shard is found by the record's
    /// position. Streams have equal shard ids and may have equal sequence numbers, so two matches are a violation.
    pub(super) fn finish(&mut self, key: Option<&ShardId>, position: &Position) {
        let keys = self
            .streams
            .iter()
            .map(|(_, keys)| keys.key(&position.shard_id));
        let keys = key.map_or_else(|| keys.collect(), |key| vec![key.clone()]);
        let has = |key: &ShardId| self.shards.get(key).and_then(|shard| shard.index(position));
        let found: Vec<_> = keys
            .into_iter()
            .filter_map(|key| has(&key).map(|index| (key, index)))
            .collect();
        if let [(key, index)] = &*found
            && let Some(shard) = self.shards.get_mut(key)
        {
            shard.finish(*index);
        } else if !found.is_empty() {
            self.violations.push(format!(
                "two streams have a record at {position}: call `finished` of the run that `Scenario::processor` got"
            ));
        }
    }

    /// Notes that a processor begins. `token` is the fencing token of its lease, if it has the shard alone.
    pub(super) fn on_processor(
        &mut self,
        worker: &WorkerId,
        shard_id: &ShardId,
        token: Option<u64>,
        now: Instant,
    ) {
        let entry = (worker.clone(), shard_id.clone());
        self.holdings.remove(&entry);
        *self.running.entry(entry).or_default() += 1;
        let Some(token) = token else { return };
        // A repeated token is allowed for a while after a deletion by hand. A late write, begun before the deletion,
        // may make the row again with a counter that it had before: a counter is set when a write begins, not when it
        // lands.
        let deletions = self.deletions.get(shard_id).into_iter().flatten();
        let is_recent = deletions
            .map(|(at, _)| now - *at)
            .any(|age| age < LATE_TOKEN_MAX);
        if !self.tokens.insert((shard_id.clone(), token)) && !is_recent {
            let text = format!("{worker} has the token {token} of {shard_id} again");
            self.violations.push(text);
        }
    }

    pub(super) fn begin(&mut self, given: Given<'_>) {
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

    /// Checks that a batch begins at the end of the one before it.
    fn check_batch(&mut self, given: Given<'_>, begin: usize, indexes: &[usize]) -> Vec<String> {
        let (shard_id, shard) = (given.shard_id, &self.shards[given.shard_id]);
        let (end, mut violations) = (begin + indexes.len(), Vec::new());
        if !indexes.iter().copied().eq(begin..end) {
            violations.push(format!("a batch of {shard_id} has the records {indexes:?}"));
        }
        let holding = (given.worker.clone(), shard_id.clone());
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

    pub(super) fn check_checkpoint(&mut self, shard_id: &ShardId, to: &LeaseCheckpoint) {
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

    pub(super) fn check_take_over(
        &mut self,
        shard_id: &ShardId,
        before: Option<&Lease>,
        now: Instant,
    ) {
        let Some(owner) = before.and_then(Lease::holder) else {
            return;
        };
        let (Some(death), Some(calm)) = (self.deaths.get(owner), self.calm_since) else {
            return;
        };
        // Only workers that were there in the meantime can have noticed that the owner is silent.
        let mut since = (*death).max(calm + LATE_MAX);
        if let Some(handed_over) = self.handed_over.get(shard_id) {
            since = since.max(*handed_over);
        }
        // A shard whose parent has not ended, or is read again because its row was deleted, cannot be taken.
        let parents = self.shards.get(shard_id).into_iter();
        let parents = parents.flat_map(|shard| &shard.parents);
        let ends = parents.filter_map(|parent| self.ended.get(parent));
        since = ends.copied().fold(since, Instant::max);
        // The other workers leave a share of the leases free for a worker that drains, for one that has just joined and
        // has not seen the silence, and for a dead one as long as its old owner still renews a lease for it. They do so
        // for at most two fail-over times and a round.
        let awaited = self.handing_over.values().any(|to| to == owner);
        let counted = [
            self.drained_at,
            self.joined_at,
            self.handed_to.get(owner).copied(),
        ];
        let counted = counted.into_iter().chain([awaited.then_some(now)]);
        let drained = counted.flatten().fold(since, Instant::max);
        let waited = now.saturating_duration_since(since);
        let is_late =
            waited > OVER_TARGET_MAX || now.saturating_duration_since(drained) > TAKE_OVER_MAX;
        if is_late && !self.has_rude_actors {
            let text = format!("{shard_id} of the dead {owner} waited for {waited:?}");
            self.violations.push(text);
        }
    }

    /// Notes that a hand-over has ended: it was finished, or the lease was taken by force.
    pub(super) fn on_hand_over_ended(&mut self, shard_id: &ShardId, now: Instant) {
        if let Some(to) = self.handing_over.remove(shard_id) {
            self.handed_to.insert(to, now);
        }
    }

    /// Notes that a shard has begun: its parents are finished, and their rows are not needed any more.
    pub(super) fn on_begun(&mut self, shard_id: &ShardId) {
        for parent in self
            .shards
            .get(shard_id)
            .iter()
            .flat_map(|shard| &shard.parents)
        {
            self.missing.remove(parent);
        }
    }

    /// Checks that deleted rows are made again in time.
    pub(super) fn check_missing(&mut self, now: Instant) {
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
    /// Checks that each record comes after the previous one of its key: that one is finished, or earlier in the same
    /// batch.
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
