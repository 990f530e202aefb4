//! The metrics of a reader, under the names of [`crate::metrics`].
//!
//! No code here runs for a single record: totals are read from [`ReaderStats`] when those change.

use std::{future::Future, time::Duration};

use super::stats::ReaderStats;
use crate::{
    Clock,
    metrics::{Counter, CounterByLabel, Gauge, GaugeByLabel, Histogram, Registry, Stopwatch, Unit},
    service::{ErrorClass, StreamId},
    shard::ShardId,
};

/// The metrics of one reader.
#[derive(Debug)]
pub(crate) struct GetMetrics {
    totals: Totals,
    open_shards: Gauge,
    prefetched: Gauge,
    behind_latest: GaugeByLabel,
    errors: CounterByLabel,
    get_records_time: Histogram,
}

/// The metrics that repeat the numbers of [`ReaderStats`].
#[derive(Debug)]
struct Totals {
    processed: Counter,
    undecodable: Counter,
    kinesis_records: Counter,
    data: Counter,
    pages: Counter,
    strays: Counter,
    gaps: Counter,
    ended: Counter,
}

impl GetMetrics {
    pub(crate) fn new(stream: &StreamId) -> Self {
        let registry = Registry::new(stream);
        Self {
            totals: Totals::new(&registry),
            open_shards: registry.gauge(
                "kinesis_pipeline_open_shards",
                Unit::Count,
                "Shards that are being read",
            ),
            prefetched: registry.gauge(
                "kinesis_pipeline_prefetched_bytes",
                Unit::Bytes,
                "Memory of the pages that are being fetched or wait to be taken",
            ),
            behind_latest: registry.gauge_by(
                "shard",
                "kinesis_pipeline_behind_latest_seconds",
                Unit::Seconds,
                "How far the last page of a shard was behind its tip; 0 for a shard that is read no more",
            ),
            errors: registry.counter_by(
                "kind",
                "kinesis_pipeline_get_errors_total",
                "Calls about a shard that failed",
            ),
            get_records_time: registry.histogram(
                "kinesis_pipeline_get_records_time_seconds",
                Unit::Seconds,
                "Time from a GetRecords call to its page, error or time-out",
            ),
        }
    }

    /// Adds what has changed since the last call.
    pub(super) fn publish(&self, stats: &ReaderStats) {
        self.totals.publish(stats);
    }

    /// Sets the number of shards that are being read.
    pub(super) fn on_open_shards(&self, count: usize) {
        self.open_shards.publish(count as u64);
    }

    /// Makes a `GetRecords` call and measures its time.
    pub(super) async fn timed<F: Future>(&self, clock: &Clock, call: F) -> F::Output {
        let stopwatch = Stopwatch::start(clock);
        let answer = call.await;
        stopwatch.stop(clock, &self.get_records_time);
        answer
    }

    /// Notes a page of a shard.
    pub(crate) fn on_page(&self, shard_id: &ShardId, behind_latest: Option<Duration>) {
        if let Some(behind) = behind_latest {
            self.behind_latest
                .set(shard_id.as_str(), behind.as_secs_f64());
        }
    }

    pub(crate) fn on_error(&self, class: ErrorClass) {
        self.errors.add(kind(class), 1);
    }

    /// Sets the number of bytes of the prefetch budget that are used.
    pub(super) fn on_prefetched(&self, bytes: usize) {
        self.prefetched.publish(bytes as u64);
    }

    /// Notes that a shard is not read any more.
    pub(super) fn on_left(&self, shard_id: &ShardId) {
        self.behind_latest.leave(shard_id.as_str());
    }

    /// Notes the end of fetching.
    pub(super) fn on_end(&self) {
        self.open_shards.publish(0);
        self.prefetched.publish(0);
        self.behind_latest.leave_all();
    }
}

impl Totals {
    fn new(registry: &Registry) -> Self {
        let count = |name, help| registry.counter(name, Unit::Count, help);
        Self {
            processed: count(
                "kinesis_pipeline_records_processed_total",
                "User records that were given out, those that could not be decoded included",
            ),
            undecodable: count(
                "kinesis_pipeline_decode_errors_total",
                "User records that could not be decoded",
            ),
            kinesis_records: count(
                "kinesis_pipeline_kinesis_records_fetched_total",
                "Kinesis records that were fetched; an aggregate counts as one",
            ),
            data: registry.counter(
                "kinesis_pipeline_data_processed_bytes_total",
                Unit::Bytes,
                "Bytes of data of the Kinesis records that were fetched",
            ),
            pages: count(
                "kinesis_pipeline_pages_fetched_total",
                "Pages and events of subscriptions, empty ones included",
            ),
            strays: count(
                "kinesis_pipeline_stray_records_total",
                "Records of aggregates that do not belong to the shard that the aggregate is in",
            ),
            gaps: count(
                "kinesis_pipeline_gaps_total",
                "Places to go on from that had expired: records may be missing",
            ),
            ended: count(
                "kinesis_pipeline_shards_ended_total",
                "Shards that were read to their end",
            ),
        }
    }

    fn publish(&self, stats: &ReaderStats) {
        self.processed.publish(stats.user_records);
        self.undecodable.publish(stats.undecodable_records);
        self.kinesis_records.publish(stats.records);
        self.data.publish(stats.data_bytes);
        self.pages.publish(stats.pages);
        self.strays.publish(stats.stray_records);
        self.gaps.publish(stats.gaps);
        self.ended.publish(stats.shards_ended);
    }
}

fn kind(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Throttled => "throttled",
        ErrorClass::Transient => "transient",
        ErrorClass::IteratorExpired => "iterator_expired",
        ErrorClass::NotFound => "not_found",
        ErrorClass::InUse => "in_use",
        ErrorClass::LimitExceeded => "limit_exceeded",
        ErrorClass::AccessDenied => "access_denied",
        ErrorClass::Invalid => "invalid",
        ErrorClass::Other => "other",
    }
}
