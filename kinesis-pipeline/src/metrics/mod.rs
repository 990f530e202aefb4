#![doc = include_str!("page.md")]

#[cfg(feature = "metrics")]
#[path = "recorded.rs"]
mod handles;
#[cfg(not(feature = "metrics"))]
#[path = "unrecorded.rs"]
mod handles;
#[cfg(test)]
mod tests;

pub(crate) use handles::{
    Counter, CounterByLabel, Gauge, GaugeByLabel, Histogram, IS_ON, Registry, Stopwatch,
};

/// The unit of a metric.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    Count,
    Bytes,
    Seconds,
}
