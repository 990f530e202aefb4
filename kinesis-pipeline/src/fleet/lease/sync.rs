use std::{
    collections::{HashMap, HashSet},
    time::SystemTime,
};

use super::{Lease, LeaseCheckpoint};
use crate::clock::epoch_millis;
use crate::shard::{HashKey, HashKeyRange, Shard, ShardId};

/// The number of consecutive rounds in which a hole must be seen before leases are made for it. A split or merge makes
/// a hole for a moment.
const HOLE_SIGHTINGS: u32 = 3;

/// The position at which an application begins in a stream that it has not read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fleet) enum Initial {
    TrimHorizon,
    Latest,
    Timestamp(SystemTime),
}

/// The comparison of a lease table with the shards of its stream.
///
/// The counter of a new lease begins at the wall-clock time in milliseconds. So if a row is deleted and made again, its
/// counter is greater than before, and so is the fencing token of its next holder.
#[derive(Clone, Copy)]
pub(in crate::fleet) struct Sync<'a> {
    /// All retained shards, sorted by id. Parents come before their children.
    shards: &'a [Shard],
    leases: &'a [Lease],
}

/// The lease and the shard of each id.
struct Index<'a> {
    shards: HashMap<&'a ShardId, &'a Shard>,
    leases: HashMap<&'a ShardId, &'a Lease>,
    children: HashMap<&'a ShardId, Vec<&'a Shard>>,
}

impl<'a> Sync<'a> {
    pub(in crate::fleet) fn new(shards: &'a [Shard], leases: &'a [Lease]) -> Self {
        Self { shards, leases }
    }

    /// Whether no lease has begun: the table is empty, or a worker was interrupted while filling it.
    pub(in crate::fleet) fn is_fresh(&self) -> bool {
        !self.leases.iter().any(|lease| lease.checkpoint.has_begun())
    }

    /// Returns the leases that a fresh table lacks. For `Latest` they are of all open shards, otherwise of the oldest
    /// shards; the leases of their children are made when these end.
    pub(in crate::fleet) fn first_leases(&self, initial: Initial, now: SystemTime) -> Vec<Lease> {
        let index = self.index();
        let is_first = |shard: &Shard| match initial {
            Initial::Latest => shard.is_open(),
            _ => shard
                .parents()
                .all(|parent| !index.shards.contains_key(parent)),
        };
        let firsts = self.shards.iter().filter(|shard| is_first(shard));
        // The stream was resharded after the table was begun. The lease is made at the ancestor's end.
        let lacking = firsts.filter(|shard| !index.has_leased_ancestor(shard));
        let lacking = lacking.filter(|shard| !index.leases.contains_key(&shard.id));
        lacking
            .map(|shard| first_lease(shard, initial, now))
            .collect()
    }

    /// Returns the leases that a table in use lacks, because their rows were deleted or never written.
    ///
    /// A shard begins at its oldest record once its parents are finished. A parent without a lease counts as finished
    /// if a child of it has begun. Otherwise the parent's own lease is made first.
    pub(in crate::fleet) fn missing_leases(&self, now: SystemTime) -> Vec<Lease> {
        let index = self.index();
        let mut missing = Missing {
            index: &index,
            now,
            visited: HashSet::new(),
            found: Vec::new(),
        };
        for shard in self.shards.iter().filter(|shard| shard.is_open()) {
            missing.visit(shard);
        }
        for shard in self.shards {
            let lease = index.leases.get(&shard.id);
            if lease.is_some_and(|lease| index.is_orphan(lease)) {
                missing.visit_parents(shard);
            }
        }
        missing.found
    }

    /// Returns leases that have not begun and must wait: a retained parent has no lease and is not known to be
    /// finished.
    pub(in crate::fleet) fn orphans(&self) -> HashSet<ShardId> {
        let index = self.index();
        let orphans = self.leases.iter().filter(|lease| index.is_orphan(lease));
        orphans.map(|lease| lease.shard_id.clone()).collect()
    }

    /// Returns the leases to make before this shard's lease is finished: those of its children. A child with another
    /// parent that has no lease yet is left out: its lease is made when that parent ends.
    pub(in crate::fleet) fn children_leases(
        &self,
        ended: &Lease,
        now: SystemTime,
    ) -> (Vec<ShardId>, Vec<Lease>) {
        let index = self.index();
        let children = index.children.get(&ended.shard_id);
        let children: Vec<_> = children.into_iter().flatten().copied().collect();
        let ids = children.iter().map(|child| child.id.clone()).collect();
        let lacking = children.into_iter().filter(|child| {
            let is_settled =
                |parent| index.leases.contains_key(parent) || !index.shards.contains_key(parent);
            !index.leases.contains_key(&child.id)
                && child
                    .parents()
                    .all(|p| *p == ended.shard_id || is_settled(p))
        });
        (
            ids,
            lacking
                .map(|child| child_lease(child, ended, now))
                .collect(),
        )
    }

    /// Returns the finished leases that can be removed: all children have begun, or the shard has expired.
    pub(in crate::fleet) fn finished_leases(&self) -> Vec<Lease> {
        let index = self.index();
        let finished = self.leases.iter().filter(|lease| lease.is_finished());
        finished
            .filter(|lease| index.is_of_no_use(lease))
            .cloned()
            .collect()
    }

    /// Returns the leases of an earlier stream with the same name. They are recognized by sequence numbers outside of
    /// their shards' ranges.
    pub(in crate::fleet) fn former_leases(&self) -> Vec<Lease> {
        let index = self.index();
        if !self.leases.iter().any(|lease| index.is_former(lease)) {
            return Vec::new();
        }
        let is_old = |lease: &&Lease| {
            index.is_former(lease)
                || lease.is_finished()
                || !index.shards.contains_key(&lease.shard_id)
        };
        self.leases.iter().filter(is_old).cloned().collect()
    }

    fn index(&self) -> Index<'a> {
        let mut children: HashMap<_, Vec<_>> = HashMap::new();
        for shard in self.shards {
            for parent in shard.parents() {
                children.entry(parent).or_default().push(shard);
            }
        }
        Index {
            shards: self.shards.iter().map(|s| (&s.id, s)).collect(),
            leases: self.leases.iter().map(|l| (&l.shard_id, l)).collect(),
            children,
        }
    }
}

impl<'a> Index<'a> {
    fn has_leased_ancestor(&self, shard: &Shard) -> bool {
        let mut to_visit: Vec<_> = shard.parents().collect();
        let mut visited = HashSet::new();
        while let Some(id) = to_visit.pop() {
            if self.leases.contains_key(id) {
                return true;
            }
            if visited.insert(id)
                && let Some(ancestor) = self.shards.get(id)
            {
                to_visit.extend(ancestor.parents());
            }
        }
        false
    }

    fn has_begun(&self, id: &ShardId) -> bool {
        self.leases
            .get(id)
            .is_some_and(|lease| lease.checkpoint.has_begun())
    }

    /// Whether the table shows that the shard is finished, even if its own lease was removed.
    fn is_finished(&self, id: &ShardId) -> bool {
        if let Some(lease) = self.leases.get(id) {
            return lease.is_finished();
        }
        let children = self.children.get(id).into_iter().flatten();
        !self.shards.contains_key(id) || children.into_iter().any(|child| self.has_begun(&child.id))
    }

    /// Returns the retained parents of a shard that are not finished.
    fn unfinished_parents<'b>(&'b self, shard: &'b Shard) -> impl Iterator<Item = &'a Shard> + 'b {
        let unfinished = shard.parents().filter(|parent| !self.is_finished(parent));
        unfinished.filter_map(|parent| self.shards.get(parent).copied())
    }

    fn is_orphan(&self, lease: &Lease) -> bool {
        let is_lost = |parent: &ShardId| {
            !self.leases.contains_key(parent)
                && self.shards.contains_key(parent)
                && !self.is_finished(parent)
        };
        lease.checkpoint == LeaseCheckpoint::TrimHorizon && lease.parents.iter().any(is_lost)
    }

    fn is_of_no_use(&self, lease: &Lease) -> bool {
        let children = self.children.get(&lease.shard_id);
        let is_done = |child: &ShardId| match self.leases.get(child) {
            Some(lease) => lease.checkpoint.has_begun(),
            None => self.is_finished(child),
        };
        if !self.shards.contains_key(&lease.shard_id) {
            return lease.children.iter().all(is_done);
        }
        // A closed shard has children. If the list has none, it is older than the lease.
        children.is_some_and(|children| children.iter().all(|child| is_done(&child.id)))
    }

    fn is_former(&self, lease: &Lease) -> bool {
        let (
            Some(shard),
            LeaseCheckpoint::After {
                sequence_number, ..
            },
        ) = (self.shards.get(&lease.shard_id), &lease.checkpoint)
        else {
            return false;
        };
        let end = shard.ending_sequence_number.as_ref();
        *sequence_number < shard.starting_sequence_number
            || end.is_some_and(|end| sequence_number > end)
    }
}

/// A walk from a shard to its oldest ancestors that were not read.
struct Missing<'a> {
    index: &'a Index<'a>,
    now: SystemTime,
    visited: HashSet<ShardId>,
    found: Vec<Lease>,
}

impl Missing<'_> {
    /// Visits a shard after its ancestors. Without recursion: there may be as many generations as shards are retained.
    fn visit(&mut self, shard: &Shard) {
        let index = self.index;
        let mut next = vec![(shard, false)];
        while let Some((shard, are_parents_visited)) = next.pop() {
            if are_parents_visited {
                self.lease_if_next(shard);
            } else if !index.leases.contains_key(&shard.id) && self.visited.insert(shard.id.clone())
            {
                next.push((shard, true));
                let parents = index.unfinished_parents(shard);
                let first = next.len();
                next.extend(parents.map(|parent| (parent, false)));
                next[first..].reverse();
            }
        }
    }

    fn visit_parents(&mut self, shard: &Shard) {
        let index = self.index;
        for parent in index.unfinished_parents(shard) {
            self.visit(parent);
        }
    }

    /// Makes a lease of the shard if all of its parents are finished.
    fn lease_if_next(&mut self, shard: &Shard) {
        let mut parents = shard.parents();
        if parents.all(|parent| self.index.is_finished(parent)) {
            let lease = Lease::of_shard(shard, LeaseCheckpoint::TrimHorizon);
            self.found.push(Lease {
                counter: epoch_millis(self.now),
                ..lease
            });
        }
    }
}

fn first_lease(shard: &Shard, initial: Initial, now: SystemTime) -> Lease {
    let (checkpoint, begun_at) = match initial {
        Initial::TrimHorizon => (LeaseCheckpoint::TrimHorizon, None),
        Initial::Latest => (LeaseCheckpoint::Latest, Some(now)),
        Initial::Timestamp(time) => (LeaseCheckpoint::AtTimestamp, Some(time)),
    };
    Lease {
        // A time that the user gave may be older than any record.
        current_at: begun_at.filter(|_| initial == Initial::Latest),
        begun_at,
        counter: epoch_millis(now),
        ..Lease::of_shard(shard, checkpoint)
    }
}

/// Returns the lease of a child. It begins at the child's oldest record. If nothing of the parent was read and reading
/// begins at a time, it begins at that time.
fn child_lease(child: &Shard, parent: &Lease, now: SystemTime) -> Lease {
    let begun_at = match parent.checkpoint {
        LeaseCheckpoint::AtTimestamp => parent.begun_at,
        _ => None,
    };
    let checkpoint = match begun_at {
        Some(_) => LeaseCheckpoint::AtTimestamp,
        None => LeaseCheckpoint::TrimHorizon,
    };
    Lease {
        begun_at,
        counter: epoch_millis(now),
        ..Lease::of_shard(child, checkpoint)
    }
}

/// Whether the hash-key ranges of the unfinished leases leave a hole. `false` if a row has no range.
pub(in crate::fleet) fn has_hole(leases: &[Lease]) -> bool {
    let active = leases.iter().filter(|lease| !lease.is_finished());
    let Some(mut ranges) = active
        .map(|lease| lease.hash_key_range)
        .collect::<Option<Vec<HashKeyRange>>>()
    else {
        return false;
    };
    ranges.sort_by_key(|range| range.start);
    let mut next = Some(HashKey::MIN);
    for range in ranges {
        match next {
            None => return false,
            Some(next) if range.start > next => return true,
            Some(key) if range.end >= key => {
                next = range.end.value().checked_add(1).map(HashKey::new);
            }
            Some(_) => {}
        }
    }
    next.is_some()
}

/// A counter of consecutive rounds with a hole.
#[derive(Debug, Default)]
pub(in crate::fleet) struct HoleWatch {
    sightings: u32,
}

impl HoleWatch {
    /// Takes in whether a list shows a hole. Returns whether leases must be made for it.
    pub(in crate::fleet) fn observe(&mut self, has_hole: bool) -> bool {
        self.sightings = if has_hole { self.sightings + 1 } else { 0 };
        if self.sightings < HOLE_SIGHTINGS {
            return false;
        }
        self.sightings = 0;
        true
    }
}

#[cfg(test)]
mod tests;
