use std::sync::Arc;

use super::{budget::Budget, metrics::PutMetrics, record_limit::RecordLimit, stats::Counters};
use crate::{put::options::PutOptions, target::Target};

/// The part of a put pipeline that all its parts share: settings that never change, and state behind atomics.
#[derive(Debug)]
pub(in crate::put) struct Shared {
    pub(in crate::put) target: Target,
    pub(in crate::put) endpoint: Arc<str>,
    pub(in crate::put) options: PutOptions,
    pub(in crate::put) budget: Arc<Budget>,
    pub(in crate::put) limit: RecordLimit,
    pub(in crate::put) counters: Counters,
    pub(in crate::put) metrics: PutMetrics,
}

impl Shared {
    pub(in crate::put) fn new(target: Target, options: PutOptions) -> Self {
        Self {
            endpoint: target.service.endpoint().into(),
            budget: Arc::new(Budget::new(
                options.in_flight_records_max,
                options.in_flight_bytes_max,
            )),
            metrics: PutMetrics::new(&target.stream, options.aggregate),
            target,
            limit: RecordLimit::new(),
            counters: Counters::default(),
            options,
        }
    }

    /// Publishes the counters to the metrics.
    pub(in crate::put) fn publish(&self) {
        self.metrics.publish(|| self.counters.snapshot());
    }
}

/// Publishes the counters a last time: records may complete after the last request of their pipeline.
impl Drop for Shared {
    fn drop(&mut self) {
        self.publish();
    }
}
