//! The retry queue: records that wait until their back-off is over.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use tokio::time::Instant;

use super::load::Load;
use crate::put::pending::slab::RecordKey;

/// Groups of records that failed together and are sent again together, by due time.
#[derive(Debug, Default)]
pub(in crate::put) struct RetryQueue {
    groups: BinaryHeap<Reverse<Group>>,
    /// The number of groups so far: the order among groups with one due time.
    count: u64,
    load: Load,
}

#[derive(Debug)]
struct Group {
    due: Instant,
    /// Breaks ties: what failed first goes first.
    number: u64,
    users: Vec<RecordKey>,
}

impl RetryQueue {
    pub(in crate::put) fn push(&mut self, users: Vec<RecordKey>, due: Instant) {
        self.count += 1;
        self.load += Load::of(&users);
        self.groups.push(Reverse(Group {
            due,
            number: self.count,
            users,
        }));
    }

    pub(in crate::put) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(in crate::put) fn load(&self) -> Load {
        self.load
    }

    /// Returns the time at which the next group is due.
    pub(in crate::put) fn due(&self) -> Option<Instant> {
        self.groups.peek().map(|Reverse(group)| group.due)
    }

    /// Takes the records that are due, in the order in which they failed.
    pub(in crate::put) fn take_due(&mut self, now: Instant) -> Vec<RecordKey> {
        let mut due = Vec::new();
        while self.due().is_some_and(|at| at <= now) {
            if let Some(Reverse(group)) = self.groups.pop() {
                due.extend(group.users);
            }
        }
        self.load -= Load::of(&due);
        due
    }

    /// Forgets all records.
    pub(in crate::put) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Takes all records.
    pub(in crate::put) fn take_all(&mut self) -> impl Iterator<Item = RecordKey> {
        self.load = Load::default();
        std::mem::take(&mut self.groups)
            .into_iter()
            .flat_map(|Reverse(group)| group.users)
    }
}

impl Group {
    fn order(&self) -> (Instant, u64) {
        (self.due, self.number)
    }
}

impl Ord for Group {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Group {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Group {}
