//! The service's rates, enforced on request: token buckets that fill by the clock.

use std::{collections::HashMap, sync::Mutex};

use super::locks::lock;

const MIB: u64 = 1024 * 1024;
/// The rates of a shard, in a second: bytes and records that it takes, reads and bytes that it gives, and iterators.
const PUT_BYTES: u64 = MIB;
const PUT_RECORDS: u64 = 1_000;
const READ_CALLS: u64 = 5;
const READ_BYTES: u64 = 2 * MIB;
const ITERATORS: u64 = 5;
/// The number of buckets above which full ones are removed: a full bucket is the same as none.
const BUCKETS_MAX: usize = 10_000;

/// A token bucket with the capacity of one second.
///
/// A full bucket allows more than its capacity at once, for a record or page that is larger than a second's rate. Its
/// level is then negative, and it allows nothing until it has filled up again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    per_second: u64,
    /// The level in thousandths of a token: at a rate of n tokens a second, n of them come each millisecond.
    level_thousandths: i64,
    at_millis: u64,
}

impl Bucket {
    /// Makes a full bucket.
    pub(super) fn new(per_second: u64) -> Self {
        Self {
            per_second,
            level_thousandths: thousandths(per_second),
            at_millis: 0,
        }
    }

    fn fill(&mut self, now_millis: u64) {
        let elapsed = now_millis.saturating_sub(self.at_millis);
        let added = i64::try_from(elapsed.saturating_mul(self.per_second)).unwrap_or(i64::MAX);
        let level = self.level_thousandths.saturating_add(added);
        self.level_thousandths = level.min(thousandths(self.per_second));
        self.at_millis = self.at_millis.max(now_millis);
    }

    /// Whether the bucket has this amount, or is full.
    fn has(&mut self, amount: u64, now_millis: u64) -> bool {
        self.fill(now_millis);
        self.level_thousandths >= thousandths(amount.min(self.per_second))
    }

    /// Takes this amount, also if the level becomes negative.
    fn take(&mut self, amount: u64) {
        self.level_thousandths = self.level_thousandths.saturating_sub(thousandths(amount));
    }

    fn try_take(&mut self, amount: u64, now_millis: u64) -> bool {
        let has = self.has(amount, now_millis);
        if has {
            self.take(amount);
        }
        has
    }
}

fn thousandths(amount: u64) -> i64 {
    i64::try_from(amount.saturating_mul(1_000)).unwrap_or(i64::MAX)
}

/// The rates of one shard.
#[derive(Clone, Copy, Debug)]
pub(super) struct ShardRates {
    put_bytes: Bucket,
    put_records: Bucket,
    read_calls: Bucket,
    read_bytes: Bucket,
    iterators: Bucket,
}

impl ShardRates {
    pub(super) fn new() -> Self {
        Self {
            put_bytes: Bucket::new(PUT_BYTES),
            put_records: Bucket::new(PUT_RECORDS),
            read_calls: Bucket::new(READ_CALLS),
            read_bytes: Bucket::new(READ_BYTES),
            iterators: Bucket::new(ITERATORS),
        }
    }

    /// Whether a record of this size is taken now.
    pub(super) fn allow_put(&mut self, bytes: usize, now_millis: u64) -> bool {
        let bytes = bytes as u64;
        let allowed = self.put_bytes.has(bytes, now_millis) && self.put_records.has(1, now_millis);
        if allowed {
            self.put_bytes.take(bytes);
            self.put_records.take(1);
        }
        allowed
    }

    /// Whether a page is given now; its size is not known yet.
    pub(super) fn allow_read(&mut self, now_millis: u64) -> bool {
        self.read_bytes.has(1, now_millis) && self.read_calls.try_take(1, now_millis)
    }

    /// Counts the page that was given: after 10 MiB the shard gives nothing for 4 to 5 seconds.
    pub(super) fn count_read(&mut self, bytes: usize) {
        self.read_bytes.take(bytes as u64);
    }

    /// Whether an iterator is given now.
    pub(super) fn allow_iterator(&mut self, now_millis: u64) -> bool {
        self.iterators.try_take(1, now_millis)
    }
}

/// The rates of control calls, by operation and, for a rate of streams, by stream.
#[derive(Debug, Default)]
pub(super) struct Rates {
    buckets: Mutex<HashMap<(&'static str, Option<String>), Bucket>>,
}

impl Rates {
    /// Takes one call of an operation, on this stream or in the whole account, from its bucket.
    pub(super) fn try_take(
        &self,
        operation: &'static str,
        stream: Option<&str>,
        calls_per_second: u32,
        now_millis: u64,
    ) -> bool {
        let mut buckets = lock(&self.buckets);
        if buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| !bucket.has(u64::MAX, now_millis));
        }
        buckets
            .entry((operation, stream.map(str::to_owned)))
            .or_insert_with(|| Bucket::new(calls_per_second.into()))
            .try_take(1, now_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_a_seconds_worth_and_fills_by_the_millisecond() {
        let mut bucket = Bucket::new(5);
        let taken = (0..7).filter(|_| bucket.try_take(1, 1_000)).count();
        assert_eq!(taken, 5);
        assert!(!bucket.try_take(1, 1_199));
        assert!(bucket.try_take(1, 1_200));
        assert_eq!((0..9).filter(|_| bucket.try_take(1, 90_000)).count(), 5);
    }

    #[test]
    fn a_record_bigger_than_a_seconds_worth_is_paid_back() {
        let mut rates = ShardRates::new();
        assert!(rates.allow_put(10 * 1024 * 1024, 0));
        assert!(!rates.allow_put(1, 8_999));
        assert!(rates.allow_put(1, 9_001));
    }

    #[test]
    fn after_ten_mebibytes_a_shard_gives_nothing_for_seconds() {
        let mut rates = ShardRates::new();
        assert!(rates.allow_read(0));
        rates.count_read(10 * 1024 * 1024);
        assert!(!rates.allow_read(3_999));
        assert!(rates.allow_read(4_100));
    }

    #[test]
    fn the_clock_of_a_bucket_never_goes_back() {
        let mut bucket = Bucket::new(1);
        assert!(bucket.try_take(1, 10_000));
        assert!(!bucket.try_take(1, 5_000));
        assert!(!bucket.try_take(1, 10_500));
    }
}
