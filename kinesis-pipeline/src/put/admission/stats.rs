//! The counters of a pipeline.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{put::error::AttemptError, service::ErrorClass};

/// A counter that only grows. Each has a cache line of its own, so that threads that put and the thread of the driver
/// do not write to the same line (false sharing).
#[derive(Debug, Default)]
#[repr(align(64))]
pub(in crate::put) struct Counter(AtomicU64);

impl Counter {
    pub(in crate::put) fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Adds where only one thread at a time adds: a load and a store, cheaper than an atomic addition.
    fn add_alone(&self, count: usize) {
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(before + count as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds one with sequential consistency: all threads see the same order of it and of the other such accesses.
    pub(in crate::put) fn add_in_order(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// Reads the number with sequential consistency.
    fn get_in_order(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// The counters of one pipeline.
#[derive(Debug, Default)]
pub(in crate::put) struct Counters {
    /// Records that were about to be accepted. Counted before the last check of whether the pipeline is closed: see
    /// `Pipeline::enter`.
    pub(in crate::put) entered: Counter,
    /// Those of them that were not accepted, because the pipeline was closed.
    pub(in crate::put) turned_away: Counter,
    stored: Counter,
    stored_bytes: Counter,
    pub(in crate::put) failed: Counter,
    pub(in crate::put) expired: Counter,
    pub(in crate::put) put_again: Counter,
    requests: Counter,
    kinesis_records: Counter,
    throttled: Counter,
    failures: Counter,
}

impl Counters {
    pub(in crate::put) fn count_request(&self, kinesis_records: usize) {
        self.requests.add(1);
        self.kinesis_records.add(kinesis_records);
    }

    /// Counts stored records. Called by the driver only, of which there is one at a time.
    pub(in crate::put) fn count_stored(&self, user_records: usize, data_bytes: usize) {
        self.stored.add_alone(user_records);
        self.stored_bytes.add_alone(data_bytes);
    }

    pub(in crate::put) fn count_failure(&self, failure: &AttemptError) {
        self.failures.add(1);
        if failure.class() == ErrorClass::Throttled {
            self.throttled.add(1);
        }
    }

    /// Returns the number of accepted records. A record that is being turned away may be counted for a moment.
    pub(in crate::put) fn accepted(&self) -> u64 {
        // A put adds to `entered` before it adds to `turned_away`. Read in the opposite order, each record that is
        // subtracted was counted: the result is never less than the number of accepted records.
        let turned_away = self.turned_away.get_in_order();
        self.entered.get_in_order() - turned_away
    }

    pub(in crate::put) fn snapshot(&self) -> ProducerStats {
        let (stored, failed) = (self.stored.get(), self.failed.get());
        let accepted = self.accepted();
        ProducerStats {
            records_accepted: accepted,
            records_stored: stored,
            records_failed: failed,
            records_expired: self.expired.get(),
            records_pending: accepted.saturating_sub(stored + failed),
            data_bytes_stored: self.stored_bytes.get(),
            records_put_again: self.put_again.get(),
            requests_sent: self.requests.get(),
            kinesis_records_sent: self.kinesis_records.get(),
            kinesis_records_failed: self.failures.get(),
            kinesis_records_throttled: self.throttled.get(),
        }
    }
}

/// The counters of a producer since it was built.
///
/// The numbers are read one by one while the producer works, so their sums may differ by the records that complete
/// meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerStats {
    /// User records that were accepted.
    pub records_accepted: u64,
    /// User records that were stored, and so have a receipt.
    pub records_stored: u64,
    /// User records that were accepted and ended in an error.
    pub records_failed: u64,
    /// Those of them that were not stored within their time to live.
    pub records_expired: u64,
    /// User records that were accepted and have no result yet.
    pub records_pending: u64,
    /// The size of the stored records' data in bytes, without keys and aggregation.
    pub data_bytes_stored: u64,
    /// User records that were put again because a reshard left their [aggregate](crate::guide::words) in a shard that
    /// does not take their hash keys, or whose range of hash keys could not be listed.
    pub records_put_again: u64,
    /// `PutRecords` requests.
    pub requests_sent: u64,
    /// Kinesis records that were sent: aggregates, and user records that went alone. Each attempt counts.
    pub kinesis_records_sent: u64,
    /// Kinesis records whose attempt failed.
    pub kinesis_records_failed: u64,
    /// Kinesis records whose attempt failed because the shard's rate was used up.
    pub kinesis_records_throttled: u64,
}
