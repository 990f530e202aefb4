//! The throughput of a shard: an exponentially weighted moving average, written with renewals.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The shortest time of one sample of the average.
const SAMPLE_TIME_MIN: Duration = Duration::from_secs(3);

/// A counter of the bytes of processed records, shared by a consumer and its lanes. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct ProcessedBytes(Arc<AtomicU64>);

impl ProcessedBytes {
    pub(super) fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// The average throughput of a lease, kept by its renewer. The newest sample counts half.
#[derive(Debug)]
pub(super) struct Throughput {
    processed: ProcessedBytes,
    /// The count at the last sample, and the time of that sample.
    sampled: (u64, Instant),
    /// The average in bytes a second; `None` before the first sample.
    average: Option<u64>,
}

impl Throughput {
    pub(super) fn new(processed: ProcessedBytes, now: Instant) -> Self {
        Self {
            processed,
            sampled: (0, now),
            average: None,
        }
    }

    /// Returns the average in bytes a second. Takes a new sample if the last one is old enough.
    pub(super) fn bytes_per_second(&mut self, now: Instant) -> Option<u64> {
        let (before, since) = self.sampled;
        let time = now.duration_since(since);
        if time >= SAMPLE_TIME_MIN {
            let count = self.processed.0.load(Ordering::Relaxed);
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let newest = (count - before).saturating_mul(1_000) / millis;
            let average = self.average.unwrap_or(newest);
            self.average = Some(average.midpoint(newest));
            self.sampled = (count, now);
        }
        self.average
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_average_follows_the_newest_sample_by_half_and_is_known_after_the_first() {
        let begun = crate::Clock::system().instant();
        let processed = ProcessedBytes::default();
        let mut throughput = Throughput::new(processed.clone(), begun);
        let mut at = |seconds| throughput.bytes_per_second(begun + Duration::from_secs(seconds));
        processed.add(4_000);
        assert_eq!(at(2), None);
        assert_eq!(at(4), Some(1_000));
        assert_eq!(at(5), Some(1_000), "too early for a sample");
        assert_eq!(at(8), Some(500));
        processed.add(12_000);
        assert_eq!(at(12), Some(1_750));
        assert_eq!(at(1_000), Some(875));
    }
}
