use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use super::metrics::GetMetrics;
use crate::{
    service::{ErrorClass, RecordPage, ServiceError, StreamId},
    shard::ShardId,
};

/// The counters of a reader, and its lag: see [`Records::stats`](crate::Records::stats).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReaderStats {
    /// The shards that are being read, by id.
    pub shards: BTreeMap<ShardId, ShardStats>,
    /// Pages that were fetched, empty ones included.
    pub pages: u64,
    /// Kinesis records that were fetched. An [aggregate](crate::guide::words) counts as one.
    pub records: u64,
    /// Bytes of data in these records.
    pub data_bytes: u64,
    /// User records that were given out, with those that could not be decoded. They are counted page by page, when the last
    /// record of a page is given out or the page is dropped.
    pub user_records: u64,
    /// User records that could not be decoded.
    pub undecodable_records: u64,
    /// [Strays](crate::guide::words): records of aggregates that do not belong to the aggregate's shard. Counted when their
    /// page is taken.
    pub stray_records: u64,
    /// Calls that the service refused because they came too fast.
    pub throttled_calls: u64,
    /// Other calls that failed and were retried.
    pub failed_calls: u64,
    /// Expired positions, after each of which records may be missing.
    pub gaps: u64,
    /// Shards that were read to their end.
    pub shards_ended: u64,
}

/// The counters of one shard that is being read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardStats {
    /// The lag of the last page behind the tip; `None` before the first page or if the service did not say.
    pub behind_latest: Option<Duration>,
    /// The time of the last page.
    pub last_page_at: Option<SystemTime>,
    /// Kinesis records that were fetched.
    pub records: u64,
    /// The error of the last call; `None` after one that succeeded.
    pub failing: Option<ErrorClass>,
}

impl ReaderStats {
    /// Returns the lag of the shard that is farthest behind; `None` if no shard tells.
    #[must_use]
    pub fn behind_latest_max(&self) -> Option<Duration> {
        self.shards
            .values()
            .filter_map(|shard| shard.behind_latest)
            .max()
    }

    fn add_page(&mut self, shard_id: &ShardId, page: &RecordPage, now: SystemTime) {
        let records = page.records.len() as u64;
        let data_bytes = page.records.iter().map(|record| record.data.len() as u64);
        self.pages += 1;
        self.records += records;
        self.data_bytes += data_bytes.sum::<u64>();
        if let Some(shard) = self.shards.get_mut(shard_id) {
            shard.behind_latest = page.behind_latest;
            shard.last_page_at = Some(now);
            shard.records += records;
            shard.failing = None;
        }
    }
}

/// The counters of one reader, and the metrics that follow them. The lock is held for an update or a copy only.
#[derive(Clone, Debug)]
pub(super) struct Counters(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stats: Mutex<ReaderStats>,
    metrics: GetMetrics,
}

/// A view of a reader of one shard, for another task.
#[derive(Debug)]
pub(crate) struct ReaderGauge {
    counters: Counters,
    shard_id: ShardId,
}

impl ReaderGauge {
    pub(super) fn new(counters: Counters, shard_id: ShardId) -> Self {
        Self { counters, shard_id }
    }

    /// Returns the last page's lag and the last call's error; empty once the shard is not read any more.
    pub(crate) fn shard(&self) -> ShardStats {
        let stats = self.counters.lock();
        let shard = stats.shards.get(&self.shard_id);
        shard.cloned().unwrap_or_default()
    }
}

impl Counters {
    pub(super) fn new(stream: &StreamId) -> Self {
        Self(Arc::new(Inner {
            stats: Mutex::default(),
            metrics: GetMetrics::new(stream),
        }))
    }

    pub(super) fn stats(&self) -> ReaderStats {
        self.lock().clone()
    }

    pub(super) fn metrics(&self) -> &GetMetrics {
        &self.0.metrics
    }

    pub(super) fn on_begun(&self, shard_id: &ShardId) {
        self.update(|stats| {
            stats.shards.insert(shard_id.clone(), ShardStats::default());
            self.metrics().on_open_shards(stats.shards.len());
        });
    }

    pub(super) fn on_page(&self, shard_id: &ShardId, page: &RecordPage, now: SystemTime) {
        self.update(|stats| stats.add_page(shard_id, page, now));
        self.metrics().on_page(shard_id, page.behind_latest);
    }

    pub(super) fn on_error(&self, shard_id: &ShardId, error: &ServiceError) {
        self.metrics().on_error(error.class);
        self.update(|stats| {
            match error.class {
                ErrorClass::Throttled => stats.throttled_calls += 1,
                _ => stats.failed_calls += 1,
            }
            if let Some(shard) = stats.shards.get_mut(shard_id) {
                shard.failing = Some(error.class);
            }
        });
    }

    /// Counts the records that were given out of a page that is finished or dropped.
    pub(super) fn on_given(&self, records: u64) {
        self.update(|stats| stats.user_records += records);
    }

    pub(super) fn on_undecodable(&self) {
        self.update(|stats| stats.undecodable_records += 1);
    }

    pub(super) fn on_strays(&self, count: u64) {
        self.update(|stats| stats.stray_records += count);
    }

    pub(super) fn on_gap(&self) {
        self.update(|stats| stats.gaps += 1);
    }

    /// Notes a shard that was read to its end, or is not read any more.
    pub(super) fn on_left(&self, shard_id: &ShardId, is_ended: bool) {
        self.metrics().on_left(shard_id);
        self.update(|stats| {
            stats.shards.remove(shard_id);
            stats.shards_ended += u64::from(is_ended);
            self.metrics().on_open_shards(stats.shards.len());
        });
    }

    fn update(&self, change: impl FnOnce(&mut ReaderStats)) {
        let mut stats = self.lock();
        change(&mut stats);
        self.metrics().publish(&stats);
    }

    fn lock(&self) -> MutexGuard<'_, ReaderStats> {
        self.0.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
