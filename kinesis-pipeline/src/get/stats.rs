use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use crate::{
    service::{ErrorClass, RecordPage, ServiceError},
    shard::ShardId,
};

/// What a reader has done so far, and how far it is behind: see [`Records::stats`](super::Records::stats).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReaderStats {
    /// The shards that are being read, by id.
    pub shards: BTreeMap<ShardId, ShardStats>,
    /// Pages fetched, empty ones included.
    pub pages: u64,
    /// Kinesis records fetched; an aggregate counts as one.
    pub records: u64,
    /// Bytes of data in these records.
    pub data_bytes: u64,
    /// Records of aggregates that do not belong to the shard that the aggregate is in, counted when the page
    /// was taken.
    pub stray_records: u64,
    /// Calls that the service refused because they came too fast.
    pub throttled_calls: u64,
    /// Other calls that failed and were made again.
    pub failed_calls: u64,
    /// Places to go on from that had expired: behind each, records may be missing.
    pub gaps: u64,
    /// Shards that were read to their end.
    pub shards_ended: u64,
}

/// One shard that is being read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardStats {
    /// How far the last page was behind the tip; `None` before the first page or if the service did not say.
    pub behind_latest: Option<Duration>,
    /// When the last page came.
    pub last_page_at: Option<SystemTime>,
    /// Kinesis records fetched.
    pub records: u64,
    /// Why the last call failed; `None` after one that succeeded.
    pub failing: Option<ErrorClass>,
}

impl ReaderStats {
    /// How far the shard that is farthest behind is; `None` if no shard tells.
    #[must_use]
    pub fn behind_latest_max(&self) -> Option<Duration> {
        self.shards
            .values()
            .filter_map(|shard| shard.behind_latest)
            .max()
    }
}

/// The numbers of one reader, counted by its driver. Locked for the length of an update or a copy only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(Arc<Mutex<ReaderStats>>);

impl Counters {
    pub(crate) fn stats(&self) -> ReaderStats {
        self.lock().clone()
    }

    pub(crate) fn on_begun(&self, shard_id: &ShardId) {
        self.lock()
            .shards
            .insert(shard_id.clone(), ShardStats::default());
    }

    pub(crate) fn on_page(&self, shard_id: &ShardId, page: &RecordPage, now: SystemTime) {
        let mut stats = self.lock();
        let records = page.records.len() as u64;
        stats.pages += 1;
        stats.records += records;
        stats.data_bytes += page
            .records
            .iter()
            .map(|record| record.data.len() as u64)
            .sum::<u64>();
        if let Some(shard) = stats.shards.get_mut(shard_id) {
            shard.behind_latest = page.behind_latest;
            shard.last_page_at = Some(now);
            shard.records += records;
            shard.failing = None;
        }
    }

    pub(crate) fn on_error(&self, shard_id: &ShardId, error: &ServiceError) {
        let mut stats = self.lock();
        match error.class {
            ErrorClass::Throttled => stats.throttled_calls += 1,
            _ => stats.failed_calls += 1,
        }
        if let Some(shard) = stats.shards.get_mut(shard_id) {
            shard.failing = Some(error.class);
        }
    }

    pub(crate) fn on_strays(&self, count: u64) {
        self.lock().stray_records += count;
    }

    pub(crate) fn on_gap(&self) {
        self.lock().gaps += 1;
    }

    /// The shard was read to its end, or is not read any more.
    pub(crate) fn on_left(&self, shard_id: &ShardId, is_ended: bool) {
        let mut stats = self.lock();
        stats.shards.remove(shard_id);
        stats.shards_ended += u64::from(is_ended);
    }

    fn lock(&self) -> MutexGuard<'_, ReaderStats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
