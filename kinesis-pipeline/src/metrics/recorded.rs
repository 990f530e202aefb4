//! The handles with the feature `metrics`. They send to the recorder that was installed when they were made.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use metrics::Label;
use tokio::time::Instant;

use super::Unit;
use crate::{Clock, service::StreamId};

/// Whether anything is recorded.
pub(crate) const IS_ON: bool = true;

/// The cardinality limit of a label with values from the service. All further values count as `other`.
pub(super) const LABEL_VALUES_MAX: usize = 64;
/// The label's value for all values beyond [`LABEL_VALUES_MAX`].
const OTHER: &str = "other";

/// A factory for the handles of one stream's metrics.
#[derive(Debug)]
pub(crate) struct Registry {
    labels: Vec<Label>,
}

impl Registry {
    pub(crate) fn new(stream: &StreamId) -> Self {
        Self {
            labels: vec![Label::new("stream", stream.as_str().to_owned())],
        }
    }

    pub(crate) fn counter(&self, name: &'static str, unit: Unit, help: &'static str) -> Counter {
        metrics::describe_counter!(name, unit.into(), help);
        Counter {
            handle: metrics::counter!(name, self.labels.clone()),
            published: AtomicU64::new(0),
        }
    }

    pub(crate) fn gauge(&self, name: &'static str, unit: Unit, help: &'static str) -> Gauge {
        metrics::describe_gauge!(name, unit.into(), help);
        Gauge {
            handle: metrics::gauge!(name, self.labels.clone()),
            published: AtomicU64::new(0),
        }
    }

    pub(crate) fn histogram(
        &self,
        name: &'static str,
        unit: Unit,
        help: &'static str,
    ) -> Histogram {
        metrics::describe_histogram!(name, unit.into(), help);
        Histogram(metrics::histogram!(name, self.labels.clone()))
    }

    /// Returns a counter for each value of a label.
    pub(crate) fn counter_by(
        &self,
        label: &'static str,
        name: &'static str,
        help: &'static str,
    ) -> CounterByLabel {
        metrics::describe_counter!(name, Unit::Count.into(), help);
        CounterByLabel(self.series(label, name))
    }

    /// Returns a gauge for each value of a label.
    pub(crate) fn gauge_by(
        &self,
        label: &'static str,
        name: &'static str,
        unit: Unit,
        help: &'static str,
    ) -> GaugeByLabel {
        metrics::describe_gauge!(name, unit.into(), help);
        GaugeByLabel(self.series(label, name))
    }

    fn series<T>(&self, label: &'static str, name: &'static str) -> Series<T> {
        Series {
            name,
            label,
            labels: self.labels.clone(),
            handles: Mutex::default(),
        }
    }
}

impl From<Unit> for metrics::Unit {
    fn from(unit: Unit) -> Self {
        match unit {
            Unit::Count => Self::Count,
            Unit::Bytes => Self::Bytes,
            Unit::Seconds => Self::Seconds,
        }
    }
}

/// A counter, which only grows. Several counters of one stream are summed up.
#[derive(Debug)]
pub(crate) struct Counter {
    handle: metrics::Counter,
    /// The highest total that was published. A thread that raises it adds the difference. Example with two threads: the
    /// totals are 5 and 8. If 5 is published first, 5 and then 3 are added. If 8 is first, 8 and then nothing. The sum
    /// is 8 in either order.
    published: AtomicU64,
}

impl Counter {
    /// Adds to a counter without a total of its own.
    pub(crate) fn add(&self, count: u64) {
        self.handle.increment(count);
    }

    /// Adds the growth of the total since it was last published.
    pub(crate) fn publish(&self, total: u64) {
        let before = self.published.fetch_max(total, Ordering::Relaxed);
        if total > before {
            self.handle.increment(total - before);
        }
    }
}

/// A gauge, which rises and falls. Several gauges of one stream are summed up; a dropped one counts as 0.
#[derive(Debug)]
pub(crate) struct Gauge {
    handle: metrics::Gauge,
    /// The last published level. Each publication adds the difference to the one before, so the differences add up to
    /// the last level. If two threads publish, the one with the older level may come last; the next publication
    /// corrects it.
    published: AtomicU64,
}

impl Gauge {
    #[expect(
        clippy::cast_precision_loss,
        reason = "levels of records, shards and bytes are far below 2^53"
    )]
    pub(crate) fn publish(&self, level: u64) {
        let before = self.published.swap(level, Ordering::Relaxed);
        if level != before {
            self.handle.increment(level as f64 - before as f64);
        }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.publish(0);
    }
}

/// A histogram, registered or silent.
#[derive(Debug)]
pub(crate) struct Histogram(metrics::Histogram);

impl Histogram {
    /// Makes a histogram that is not registered.
    pub(crate) fn silent() -> Self {
        Self(metrics::Histogram::noop())
    }

    pub(crate) fn record(&self, value: f64) {
        self.0.record(value);
    }

    pub(crate) fn record_many(&self, value: f64, times: usize) {
        self.0.record_many(value, times);
    }
}

/// The metrics of one name, which differ in one label.
#[derive(Debug)]
struct Series<T> {
    name: &'static str,
    label: &'static str,
    labels: Vec<Label>,
    /// The metrics, by the value of the label.
    handles: Mutex<HashMap<String, T>>,
}

impl<T> Series<T> {
    fn labels_with(&self, value: &str) -> Vec<Label> {
        let mut labels = self.labels.clone();
        labels.push(Label::new(self.label, value.to_owned()));
        labels
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, T>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A counter for each of at most [`LABEL_VALUES_MAX`] values of a label.
#[derive(Debug)]
pub(crate) struct CounterByLabel(Series<metrics::Counter>);

impl CounterByLabel {
    pub(crate) fn add(&self, value: &str, count: u64) {
        let Self(series) = self;
        let mut handles = series.lock();
        if let Some(handle) = handles.get(value) {
            return handle.increment(count);
        }
        let value = if handles.len() < LABEL_VALUES_MAX {
            value
        } else {
            OTHER
        };
        let name = series.name;
        let register = || metrics::counter!(name, series.labels_with(value));
        let handle = handles.entry(value.to_owned()).or_insert_with(register);
        handle.increment(count);
    }
}

/// A gauge for each value of a label that is in use.
#[derive(Debug)]
pub(crate) struct GaugeByLabel(Series<metrics::Gauge>);

impl GaugeByLabel {
    pub(crate) fn set(&self, value: &str, level: f64) {
        let Self(series) = self;
        let mut handles = series.lock();
        if let Some(handle) = handles.get(value) {
            return handle.set(level);
        }
        let name = series.name;
        let handle = metrics::gauge!(name, series.labels_with(value));
        handle.set(level);
        handles.insert(value.to_owned(), handle);
    }

    /// Sets the gauge of a value that is no longer used to 0, as the `metrics` crate cannot remove it.
    pub(crate) fn leave(&self, value: &str) {
        if let Some(handle) = self.0.lock().remove(value) {
            handle.set(0.0);
        }
    }

    /// Sets all gauges in use to 0.
    pub(crate) fn leave_all(&self) {
        for (_, handle) in self.0.lock().drain() {
            handle.set(0.0);
        }
    }
}

impl Drop for GaugeByLabel {
    fn drop(&mut self) {
        self.leave_all();
    }
}

/// A measurement of a duration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start(clock: &Clock) -> Self {
        Self(clock.instant())
    }

    /// Returns the seconds from an earlier time to the start.
    pub(crate) fn seconds_since(self, earlier: Instant) -> f64 {
        self.0.duration_since(earlier).as_secs_f64()
    }

    /// Records the seconds since the start.
    pub(crate) fn stop(self, clock: &Clock, histogram: &Histogram) {
        histogram.record(clock.instant().duration_since(self.0).as_secs_f64());
    }
}
