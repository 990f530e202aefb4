//! One shard: where it stands in its stream's history, and its records.

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use bytestring::ByteString;
use tokio::sync::{Notify, futures::Notified};

use super::{log::Log, sequence::Number};
use crate::{
    local::{limits::ShardRates, locks::lock},
    shard::HashKeyRange,
};

/// The greatest index of a shard, as its id has 12 digits and its sequence numbers 32 bits.
const SHARD_INDEX_MAX: u32 = i32::MAX as u32;

/// A shard of a stream.
#[derive(Debug)]
pub(in crate::local) struct Shard {
    pub(in crate::local) index: u32,
    pub(in crate::local) id: ByteString,
    pub(in crate::local) range: HashKeyRange,
    /// The first parent's index, then the second's.
    pub(in crate::local) parents: Vec<u32>,
    pub(in crate::local) created_millis: u64,
    /// The second of the creation in the shard's sequence numbers: later than its parents'.
    pub(in crate::local) created_seconds: u64,
    pub(in crate::local) closed: Option<Closed>,
    log: Mutex<Log>,
    rates: Mutex<ShardRates>,
    /// Wakes the subscriptions of this shard.
    changed: Arc<Notify>,
    /// The number of subscriptions that look at the shard.
    watchers: Arc<AtomicUsize>,
    /// The counter of the first record that is not on disk yet, as far as the keeper has reported.
    kept_next: AtomicU64,
}

/// The end of a shard.
#[derive(Clone, Debug)]
pub(in crate::local) struct Closed {
    pub(in crate::local) at_millis: u64,
    /// The shards that took over its keys.
    pub(in crate::local) children: Vec<u32>,
}

impl Shard {
    /// Makes an open shard without records.
    pub(in crate::local) fn new(
        index: u32,
        range: HashKeyRange,
        parents: Vec<u32>,
        created_millis: u64,
        created_seconds: u64,
    ) -> Self {
        Self {
            index,
            id: shard_id(index),
            range,
            parents,
            created_millis,
            created_seconds,
            closed: None,
            log: Mutex::new(Log::new(created_millis)),
            rates: Mutex::new(ShardRates::new()),
            changed: Arc::default(),
            watchers: Arc::default(),
            kept_next: AtomicU64::new(0),
        }
    }

    /// Restores the shard's end, if it has one, and its records.
    #[cfg(feature = "local-durable")]
    pub(super) fn restored(mut self, closed: Option<Closed>, log: Log) -> Self {
        self.closed = closed;
        self.log = Mutex::new(log);
        self
    }

    /// Whether the records before this counter are on disk for sure.
    pub(in crate::local) fn is_kept(&self, counter: u64) -> bool {
        self.kept_next.load(Ordering::Acquire) >= counter
    }

    /// Notes that the records before this counter are on disk.
    #[cfg(feature = "local-durable")]
    pub(in crate::local) fn set_kept(&self, counter: u64) {
        self.kept_next.store(counter, Ordering::Release);
    }

    pub(in crate::local) fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    pub(in crate::local) fn starting_number(&self) -> Number {
        Number::starting(self.created_seconds, self.index)
    }

    /// Returns the ending sequence number of a closed shard.
    pub(in crate::local) fn ending_number(&self) -> Option<Number> {
        let closed = self.closed.as_ref()?;
        let seconds = closed.at_millis / 1000;
        Some(Number::ending(self.created_seconds, self.index, seconds))
    }

    /// Returns the number of a record of this shard.
    pub(in crate::local) fn number(&self, counter: u64, arrived_millis: u64) -> Number {
        let seconds = arrived_millis / 1000;
        Number::of_record(self.created_seconds, self.index, counter, seconds)
    }

    /// Returns the shard's records, those that expired before `horizon_millis` forgotten.
    pub(in crate::local) fn log(&self, horizon_millis: u64) -> MutexGuard<'_, Log> {
        let mut log = lock(&self.log);
        log.trim(horizon_millis);
        log
    }

    /// Begins to watch the shard: every later change wakes the watcher.
    ///
    /// A put does not wake a shard without watchers. A subscription that begins at the same time still gets its record:
    ///
    /// ```text
    ///   subscription                               put
    ///   W1  watchers += 1                          P1  record into the log (locked)
    ///   W2  enables the wait for a change          P2  reads watchers, wakes them if there are any
    ///   W3  reads the log (locked)
    /// ```
    ///
    /// If P1 comes before W3, the subscription reads the record. If P1 comes after W3, the lock orders W1 and W2 before P2:
    /// the put finds the watcher and wakes it.
    pub(in crate::local) fn watch(&self) -> Watcher {
        self.watchers.fetch_add(1, Ordering::SeqCst);
        Watcher {
            changed: self.changed.clone(),
            watchers: self.watchers.clone(),
        }
    }

    /// Wakes the watchers of the shard. Each put calls it: without watchers it costs one load.
    pub(in crate::local) fn wake(&self) {
        if self.watchers.load(Ordering::SeqCst) > 0 {
            self.changed.notify_waiters();
        }
    }

    /// Returns the token buckets of the shard, which are used if limits are enforced.
    pub(in crate::local) fn rates(&self) -> MutexGuard<'_, ShardRates> {
        lock(&self.rates)
    }

    /// Whether the shard closed before this time, so that none of its records is retained.
    pub(in crate::local) fn is_expired(&self, horizon_millis: u64) -> bool {
        self.closed
            .as_ref()
            .is_some_and(|closed| closed.at_millis < horizon_millis)
    }
}

/// A watcher of a shard, such as a subscription.
#[derive(Debug)]
pub(in crate::local) struct Watcher {
    changed: Arc<Notify>,
    watchers: Arc<AtomicUsize>,
}

impl Watcher {
    /// Waits for the next change. Changes count from the moment at which the future is enabled.
    pub(in crate::local) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.watchers.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Returns the id of the shard with this index, such as `shardId-000000000003`.
pub(in crate::local) fn shard_id(index: u32) -> ByteString {
    format!("shardId-{index:012}").into()
}

/// Returns the index in a shard's id. As on the service, the zeros may be left out: `shardId-3`, or `3`.
pub(in crate::local) fn shard_index(id: &str) -> Option<u32> {
    let digits = id.split_once('-').map_or(id, |(_, digits)| digits);
    let plain = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let index = plain.then(|| digits.parse::<u32>().ok()).flatten()?;
    (index <= SHARD_INDEX_MAX).then_some(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_and_its_index_name_the_same_shard() {
        assert_eq!(shard_id(7), "shardId-000000000007");
        for id in ["shardId-000000000007", "shardId-7", "7"] {
            assert_eq!(shard_index(id), Some(7), "{id}");
        }
        for id in ["", "shardId-", "shardId-x", "shardId-2147483648", "a-+1"] {
            assert_eq!(shard_index(id), None, "{id}");
        }
    }
}
