//! The metrics of a pipeline, under the names of [`crate::metrics`].
//!
//! Nothing here runs when a record is put or gets its receipt: totals are read from [`ProducerStats`] at requests
//! and answers, and samples are of Kinesis records and requests.

use tokio::time::Instant;

use super::stats::ProducerStats;
use crate::{
    Clock,
    metrics::{Counter, CounterByLabel, Gauge, Histogram, IS_ON, Registry, Stopwatch, Unit},
    put::error::{AttemptError, Outage},
    service::{PutRecordsAnswer, StreamId},
};

/// The metrics of one pipeline.
#[derive(Debug)]
pub(crate) struct PutMetrics {
    totals: Totals,
    kinesis_records_put: Counter,
    kinesis_records_data_put: Counter,
    errors_by_code: CounterByLabel,
    retries: Histogram,
    buffering_time: Histogram,
    request_time: Histogram,
    user_records_per_kinesis_record: Histogram,
    kinesis_records_per_request: Histogram,
}

/// A Kinesis record of a request: an aggregate, or a user record that goes alone.
pub(in crate::put) struct SentRecord {
    /// The number of attempts, the one under way included.
    pub(in crate::put) attempts: u32,
    /// The time at which the oldest user record was accepted.
    pub(in crate::put) entered_at: Option<Instant>,
    pub(in crate::put) user_records: usize,
    pub(in crate::put) bytes: usize,
}

impl SentRecord {
    /// Returns the time at which the oldest user record was accepted, if this attempt is the first.
    fn first_sent(self) -> Option<Instant> {
        (self.attempts == 1).then_some(self.entered_at).flatten()
    }
}

/// The metrics that repeat the numbers of [`ProducerStats`].
#[derive(Debug)]
struct Totals {
    received: Counter,
    pending: Gauge,
    put: Counter,
    data_put: Counter,
    failed: Counter,
    expired: Counter,
    put_again: Counter,
    all_errors: Counter,
}

impl PutMetrics {
    pub(crate) fn new(stream: &StreamId, aggregates: bool) -> Self {
        let registry = Registry::new(stream);
        let counter = |name, unit, help| registry.counter(name, unit, help);
        let histogram = |name, unit, help| registry.histogram(name, unit, help);
        Self {
            totals: Totals::new(&registry),
            kinesis_records_put: counter(
                "kinesis_pipeline_kinesis_records_put_total",
                Unit::Count,
                "Kinesis records that were stored: aggregates, and user records that went alone",
            ),
            kinesis_records_data_put: counter(
                "kinesis_pipeline_kinesis_records_data_put_bytes_total",
                Unit::Bytes,
                "Bytes of the Kinesis records that were stored, partition keys included",
            ),
            errors_by_code: registry.counter_by(
                "code",
                "kinesis_pipeline_errors_by_code_total",
                "Attempts to store a Kinesis record that failed, by the code of the service",
            ),
            retries: histogram(
                "kinesis_pipeline_retries_per_record",
                Unit::Count,
                "Attempts before the one that stored a Kinesis record",
            ),
            buffering_time: histogram(
                "kinesis_pipeline_buffering_time_seconds",
                Unit::Seconds,
                "Time from the put of the oldest user record that a request is the first to send",
            ),
            request_time: histogram(
                "kinesis_pipeline_request_time_seconds",
                Unit::Seconds,
                "Time from a PutRecords request to its answer, error or time-out",
            ),
            user_records_per_kinesis_record: if aggregates {
                user_records_per_kinesis_record(&registry)
            } else {
                Histogram::silent()
            },
            kinesis_records_per_request: histogram(
                "kinesis_pipeline_kinesis_records_per_put_records_request",
                Unit::Count,
                "Kinesis records in a PutRecords request",
            ),
        }
    }

    /// Adds what has changed since the last call.
    pub(super) fn publish(&self, stats: impl FnOnce() -> ProducerStats) {
        if IS_ON {
            self.totals.publish(&stats());
        }
    }

    /// Notes a request that is about to be sent.
    pub(in crate::put) fn request_sent(
        &self,
        records: impl ExactSizeIterator<Item = SentRecord>,
        clock: &Clock,
    ) -> Stopwatch {
        let stopwatch = Stopwatch::start(clock);
        if IS_ON {
            self.kinesis_records_per_request
                .record(as_value(records.len()));
            if let Some(since) = records.filter_map(SentRecord::first_sent).min() {
                self.buffering_time.record(stopwatch.seconds_since(since));
            }
        }
        stopwatch
    }

    /// Notes the answer to a request, or its failure. A request that `is_halved` is sent again in two parts, so its
    /// failure is not counted for any record.
    pub(in crate::put) fn answered(
        &self,
        stopwatch: Stopwatch,
        clock: &Clock,
        records: impl ExactSizeIterator<Item = SentRecord>,
        outcome: &Result<PutRecordsAnswer, AttemptError>,
        is_halved: bool,
    ) {
        if !IS_ON {
            return;
        }
        stopwatch.stop(clock, &self.request_time);
        match outcome {
            Ok(answer) if answer.results.len() == records.len() => self.stored(records, answer),
            Ok(_) => self.failed("WrongAnswer", records.len()),
            Err(_) if is_halved => {}
            Err(failure) => self.failed(code(failure), records.len()),
        }
    }

    fn stored(&self, sent: impl Iterator<Item = SentRecord>, answer: &PutRecordsAnswer) {
        let (mut records, mut bytes) = (0, 0);
        let (mut retries, mut failures) = (Vec::new(), Vec::new());
        for (record, result) in sent.zip(&answer.results) {
            match result {
                Ok(_) => {
                    records += 1;
                    bytes += record.bytes as u64;
                    count(&mut retries, record.attempts.saturating_sub(1));
                    self.user_records_per_kinesis_record
                        .record(as_value(record.user_records));
                }
                Err(failure) => count(&mut failures, failure.code.as_str()),
            }
        }
        self.kinesis_records_put.add(records);
        self.kinesis_records_data_put.add(bytes);
        for (times, of_records) in retries {
            self.retries.record_many(f64::from(times), of_records);
        }
        for (code, times) in failures {
            self.failed(code, times);
        }
    }

    pub(crate) fn failed(&self, code: &str, kinesis_records: usize) {
        self.errors_by_code.add(code, kinesis_records as u64);
    }
}

impl Totals {
    fn new(registry: &Registry) -> Self {
        let count = |name, help| registry.counter(name, Unit::Count, help);
        Self {
            received: count(
                "kinesis_pipeline_user_records_received_total",
                "User records that were accepted",
            ),
            pending: registry.gauge(
                "kinesis_pipeline_user_records_pending",
                Unit::Count,
                "User records that were accepted and have no result yet",
            ),
            put: count(
                "kinesis_pipeline_user_records_put_total",
                "User records that were stored",
            ),
            data_put: registry.counter(
                "kinesis_pipeline_user_records_data_put_bytes_total",
                Unit::Bytes,
                "Bytes of data of the user records that were stored, without keys and aggregation",
            ),
            failed: count(
                "kinesis_pipeline_user_records_failed_total",
                "User records that were accepted and ended in an error",
            ),
            expired: count(
                "kinesis_pipeline_user_records_expired_total",
                "User records that were not stored within their time to live",
            ),
            put_again: count(
                "kinesis_pipeline_user_records_put_again_total",
                "User records that were put again because a reshard left them in a shard that does not take them",
            ),
            all_errors: count(
                "kinesis_pipeline_all_errors_total",
                "Attempts to store a Kinesis record that failed",
            ),
        }
    }

    fn publish(&self, stats: &ProducerStats) {
        self.received.publish(stats.records_accepted);
        self.pending.publish(stats.records_pending);
        self.put.publish(stats.records_stored);
        self.data_put.publish(stats.data_bytes_stored);
        self.failed.publish(stats.records_failed);
        self.expired.publish(stats.records_expired);
        self.put_again.publish(stats.records_put_again);
        self.all_errors.publish(stats.kinesis_records_failed);
    }
}

fn user_records_per_kinesis_record(registry: &Registry) -> Histogram {
    registry.histogram(
        "kinesis_pipeline_user_records_per_kinesis_record",
        Unit::Count,
        "User records in a Kinesis record that a pipeline with aggregation stored",
    )
}

/// Counts a value in a list of few different ones: most records of a request have the same number of attempts.
fn count<T: PartialEq>(counts: &mut Vec<(T, usize)>, value: T) {
    match counts.iter_mut().find(|(known, _)| *known == value) {
        Some((_, count)) => *count += 1,
        None => counts.push((value, 1)),
    }
}

/// Returns the service's error code, or a name for a failure without one.
fn code(failure: &AttemptError) -> &str {
    match failure {
        AttemptError::TimedOut { .. } => "TimedOut",
        AttemptError::WrongAnswer { .. } => "WrongAnswer",
        AttemptError::WrongShard { .. } => "WrongShard",
        _ => failure.code().unwrap_or(match failure.outage() {
            Some(Outage::Credentials) => "NoCredentials",
            Some(Outage::Unreachable) => "Unreached",
            None => "NoAnswer",
        }),
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a request has far fewer records than 2^53"
)]
fn as_value(records: usize) -> f64 {
    records as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::service::{ErrorClass, ServiceError};

    #[test]
    fn a_failure_without_a_code_is_counted_by_how_far_the_request_came() {
        let mut lost = ServiceError::unanswered("PutRecords", "x", ErrorClass::Transient, "reset");
        let unreached =
            ServiceError::unanswered("PutRecords", "x", ErrorClass::Transient, "refused");
        lost.may_have_been_done = true;
        for (error, name) in [
            (lost, "NoAnswer"),
            (unreached, "Unreached"),
            (
                ServiceError::unsigned("PutRecords", "x", "busy"),
                "NoCredentials",
            ),
            (
                ServiceError::answered("PutRecords", "x", "ExpiredTokenException", ""),
                "ExpiredTokenException",
            ),
        ] {
            assert_eq!(code(&AttemptError::Request(Arc::new(error))), name);
        }
    }
}
