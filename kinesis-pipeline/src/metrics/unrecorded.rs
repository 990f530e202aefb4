//! The handles without the feature `metrics`: they have no size and do nothing.

#![expect(
    clippy::unused_self,
    reason = "the methods are those of the handles that record"
)]

use tokio::time::Instant;

use super::Unit;
use crate::{Clock, service::StreamId};

pub(crate) const IS_ON: bool = false;

#[derive(Debug)]
pub(crate) struct Registry;

impl Registry {
    pub(crate) fn new(_: &StreamId) -> Self {
        Self
    }

    pub(crate) fn counter(&self, _: &'static str, _: Unit, _: &'static str) -> Counter {
        Counter
    }

    pub(crate) fn gauge(&self, _: &'static str, _: Unit, _: &'static str) -> Gauge {
        Gauge
    }

    pub(crate) fn histogram(&self, _: &'static str, _: Unit, _: &'static str) -> Histogram {
        Histogram
    }

    pub(crate) fn counter_by(
        &self,
        _: &'static str,
        _: &'static str,
        _: &'static str,
    ) -> CounterByLabel {
        CounterByLabel
    }

    pub(crate) fn gauge_by(
        &self,
        _: &'static str,
        _: &'static str,
        _: Unit,
        _: &'static str,
    ) -> GaugeByLabel {
        GaugeByLabel
    }
}

#[derive(Debug)]
pub(crate) struct Counter;

impl Counter {
    pub(crate) fn add(&self, _: u64) {}

    pub(crate) fn publish(&self, _: u64) {}
}

#[derive(Debug)]
pub(crate) struct Gauge;

impl Gauge {
    pub(crate) fn publish(&self, _: u64) {}
}

#[derive(Debug)]
pub(crate) struct Histogram;

impl Histogram {
    pub(crate) fn silent() -> Self {
        Self
    }

    pub(crate) fn record(&self, _: f64) {}

    pub(crate) fn record_many(&self, _: f64, _: usize) {}
}

#[derive(Debug)]
pub(crate) struct CounterByLabel;

impl CounterByLabel {
    pub(crate) fn add(&self, _: &str, _: u64) {}
}

#[derive(Debug)]
pub(crate) struct GaugeByLabel;

impl GaugeByLabel {
    pub(crate) fn set(&self, _: &str, _: f64) {}

    pub(crate) fn leave(&self, _: &str) {}

    pub(crate) fn leave_all(&self) {}
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch;

impl Stopwatch {
    pub(crate) fn start(_: &Clock) -> Self {
        Self
    }

    pub(crate) fn seconds_since(self, _: Instant) -> f64 {
        0.0
    }

    pub(crate) fn stop(self, _: &Clock, _: &Histogram) {}
}

const _: () = assert!(
    size_of::<crate::put::PutMetrics>()
        + size_of::<crate::get::GetMetrics>()
        + size_of::<crate::fleet::WorkerMetrics>()
        == 0,
    "without the feature metrics take no room"
);
