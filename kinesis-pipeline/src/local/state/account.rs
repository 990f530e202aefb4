//! The account: its streams, and its commitment to a throughput.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{changes::Marks, stream::Stream};
use crate::local::locks;

/// The latest second of a creation in the numbers of deleted streams, by name.
///
/// A stream that is made again has later numbers. On the service that takes seconds, here it can be the same second.
pub(in crate::local) type Deleted = BTreeMap<String, u64>;

/// The streams of the account, and its settings.
#[derive(Debug)]
pub(in crate::local) struct Account {
    pub(in crate::local) streams: RwLock<BTreeMap<String, Arc<Stream>>>,
    /// The generation that the next stream gets.
    next_generation: AtomicU64,
    /// The time since which the account is committed to a minimum throughput.
    commitment: Mutex<Option<u64>>,
    deleted: Mutex<Deleted>,
    pub(in crate::local) marks: Marks,
}

impl Account {
    /// Makes an account without streams.
    pub(in crate::local) fn new(marks: Marks) -> Self {
        Self::restore(BTreeMap::new(), 1, None, Deleted::new(), marks)
    }

    /// Makes an account as it was.
    pub(in crate::local) fn restore(
        streams: BTreeMap<String, Arc<Stream>>,
        next_generation: u64,
        commitment: Option<u64>,
        deleted: Deleted,
        marks: Marks,
    ) -> Self {
        Self {
            streams: RwLock::new(streams),
            next_generation: AtomicU64::new(next_generation),
            commitment: Mutex::new(commitment),
            deleted: Mutex::new(deleted),
            marks,
        }
    }

    /// Returns a generation that no stream ever had.
    pub(in crate::local) fn take_generation(&self) -> u64 {
        let generation = self.next_generation.fetch_add(1, Ordering::Relaxed);
        self.mark();
        generation
    }

    /// Returns the generation that the next stream gets.
    #[cfg(feature = "local-durable")]
    pub(in crate::local) fn next_generation(&self) -> u64 {
        self.next_generation.load(Ordering::Relaxed)
    }

    /// Returns the time since which the account is committed to a minimum throughput.
    pub(in crate::local) fn commitment(&self) -> Option<u64> {
        *locks::lock(&self.commitment)
    }

    /// Begins or ends the account's commitment.
    pub(in crate::local) fn set_commitment(&self, is_on: bool, now_millis: u64) {
        let mut commitment = locks::lock(&self.commitment);
        *commitment = is_on.then(|| commitment.unwrap_or(now_millis));
        drop(commitment);
        self.mark();
    }

    /// Remembers the latest second in the numbers of a stream that is being deleted, until it has passed.
    pub(in crate::local) fn set_deleted(&self, name: &str, latest_seconds: u64, now_millis: u64) {
        let mut deleted = locks::lock(&self.deleted);
        deleted.retain(|_, seconds| *seconds >= now_millis / 1000);
        let seconds = deleted.entry(name.to_owned()).or_default();
        *seconds = latest_seconds.max(*seconds);
        drop(deleted);
        self.mark();
    }

    /// Returns the latest second in the numbers of deleted streams of this name. One that has passed may be forgotten.
    pub(in crate::local) fn deleted_seconds(&self, name: &str) -> Option<u64> {
        locks::lock(&self.deleted).get(name).copied()
    }

    /// Returns what is remembered of deleted streams.
    #[cfg(feature = "local-durable")]
    pub(in crate::local) fn deleted(&self) -> Deleted {
        locks::lock(&self.deleted).clone()
    }

    fn mark(&self) {
        if let Some(changes) = &self.marks {
            changes.mark_account();
        }
    }
}
