use std::time::Duration;

use crate::{
    metrics::{Counter, Gauge, Histogram, Registry, Unit},
    service::StreamId,
};

/// The metrics of a worker, with the names of [`crate::metrics`]. Its readers have metrics of their own.
#[derive(Debug)]
pub(crate) struct WorkerMetrics {
    held: Gauge,
    pub(super) taken: Counter,
    pub(super) lost: Counter,
    pub(super) handed_over: Counter,
    pub(super) write_errors: Counter,
    pub(super) late_renewals: Counter,
    pub(super) batches: Counter,
    pub(super) records: Counter,
    processing_time: Histogram,
    pub(super) failures: Counter,
    pub(super) dead_letters: Counter,
    pub(super) skipped: Counter,
}

impl WorkerMetrics {
    pub(super) fn new(stream: &StreamId) -> Self {
        let registry = Registry::new(stream);
        let count = |name, help| registry.counter(name, Unit::Count, help);
        Self {
            held: registry.gauge(
                "kinesis_pipeline_leases_held",
                Unit::Count,
                "Leases that are held",
            ),
            taken: count(
                "kinesis_pipeline_leases_taken_total",
                "Leases that were taken",
            ),
            lost: count(
                "kinesis_pipeline_leases_lost_total",
                "Leases that another worker took without a hand-over",
            ),
            handed_over: count(
                "kinesis_pipeline_leases_handed_over_total",
                "Leases that were handed over to another worker",
            ),
            write_errors: count(
                "kinesis_pipeline_lease_write_errors_total",
                "Writes of a held lease that failed or were not answered in time",
            ),
            late_renewals: count(
                "kinesis_pipeline_lease_renewals_late_total",
                "Renewals after the fail-over time, when another worker may have taken the lease",
            ),
            batches: count(
                "kinesis_pipeline_batches_processed_total",
                "Batches that were finished, those that became dead letters or were skipped included",
            ),
            records: count(
                "kinesis_pipeline_batch_records_processed_total",
                "User records of these",
            ),
            processing_time: registry.histogram(
                "kinesis_pipeline_processing_time_seconds",
                Unit::Seconds,
                "Time from the begin of a batch to its end, all tries and pauses included",
            ),
            failures: count(
                "kinesis_pipeline_processor_failures_total",
                "Calls of a processor that failed on a batch",
            ),
            dead_letters: count(
                "kinesis_pipeline_dead_letters_total",
                "User records that became dead letters",
            ),
            skipped: count(
                "kinesis_pipeline_records_skipped_total",
                "User records that were skipped by the error policy",
            ),
        }
    }

    /// Sets the number of held leases.
    pub(super) fn on_held(&self, leases: usize) {
        self.held.publish(leases as u64);
    }

    pub(super) fn on_batch(&self, records: usize, time: Duration) {
        self.batches.add(1);
        self.records.add(records as u64);
        self.processing_time.record(time.as_secs_f64());
    }
}
