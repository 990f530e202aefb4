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

/// The streams of the account, and its settings.
#[derive(Debug)]
pub(in crate::local) struct Account {
    pub(in crate::local) streams: RwLock<BTreeMap<String, Arc<Stream>>>,
    /// The generation that the next stream gets.
    next_generation: AtomicU64,
    /// The time since which the account is committed to a minimum throughput.
    commitment: Mutex<Option<u64>>,
    pub(in crate::local) marks: Marks,
}

impl Account {
    /// Makes an account without streams.
    pub(in crate::local) fn new(marks: Marks) -> Self {
        Self::restore(BTreeMap::new(), 1, None, marks)
    }

    /// Makes an account as it was.
    pub(in crate::local) fn restore(
        streams: BTreeMap<String, Arc<Stream>>,
        next_generation: u64,
        commitment: Option<u64>,
        marks: Marks,
    ) -> Self {
        Self {
            streams: RwLock::new(streams),
            next_generation: AtomicU64::new(next_generation),
            commitment: Mutex::new(commitment),
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

    fn mark(&self) {
        if let Some(changes) = &self.marks {
            changes.mark_account();
        }
    }
}
