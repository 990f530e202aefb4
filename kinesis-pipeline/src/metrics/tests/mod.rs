//! Tests of the metrics, as a recorder receives them.
//!
//! Each test has a recorder for its own thread, and runs on one thread.
#![cfg(all(feature = "metrics", feature = "local"))]
#![expect(
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "small whole numbers, and values that pass through as they are"
)]

mod get;
mod page;
mod put;

use std::{collections::BTreeMap, time::SystemTime};

use metrics_util::debugging::{DebugValue, DebuggingRecorder};

use crate::{Clock, LocalKinesis, clock::from_epoch_millis};

const PREFIX: &str = "kinesis_pipeline_";
const STREAM: &str = "readings";

async fn kinesis() -> LocalKinesis {
    let start: SystemTime = from_epoch_millis(1_700_000_000_000);
    let kinesis = LocalKinesis::builder()
        .clock(Clock::tokio(start))
        .enforce_limits(true);
    kinesis.start().await.unwrap()
}

/// The values of a recorder, by the metric's name without its prefix and by the label other than the stream.
#[derive(Debug)]
struct Seen(BTreeMap<(String, Option<String>), DebugValue>);

impl Seen {
    /// Takes all values out of a recorder. Each must have the prefix, a description, and the stream.
    fn take(recorder: &DebuggingRecorder) -> Self {
        let mut values = BTreeMap::new();
        for (key, unit, description, value) in recorder.snapshotter().snapshot().into_vec() {
            let name = key.key().name();
            assert!(description.is_some_and(|text| !text.is_empty()), "{name}");
            assert!(unit.is_some(), "{name}");
            let mut labels: Vec<_> = key.key().labels().collect();
            let stream = labels.remove(0);
            assert_eq!((stream.key(), stream.value()), ("stream", STREAM));
            assert!(labels.len() < 2, "{labels:?}");
            let label = labels.first().map(|label| label.value().to_owned());
            let name = name.strip_prefix(PREFIX).expect("the prefix").to_owned();
            values.insert((name, label), value);
        }
        Self(values)
    }

    fn get(&self, name: &str, label: Option<&str>) -> &DebugValue {
        let key = (name.to_owned(), label.map(str::to_owned));
        self.0.get(&key).unwrap_or_else(|| panic!("no {key:?}"))
    }

    fn count(&self, name: &str) -> u64 {
        counter(self.get(name, None))
    }

    fn level(&self, name: &str, label: Option<&str>) -> f64 {
        match self.get(name, label) {
            DebugValue::Gauge(level) => level.0,
            other => panic!("{name}: {other:?}"),
        }
    }

    fn samples(&self, name: &str) -> Vec<f64> {
        match self.get(name, None) {
            DebugValue::Histogram(values) => values.iter().map(|value| value.0).collect(),
            other => panic!("{name}: {other:?}"),
        }
    }

    fn sum(&self, name: &str) -> f64 {
        self.samples(name).iter().sum()
    }

    /// Returns the counters of one name, by the value of their label.
    fn by_label(&self, name: &str) -> BTreeMap<&str, u64> {
        let of_name = self.0.iter().filter(|((of, _), _)| of == name);
        of_name
            .map(|((_, label), value)| (label.as_deref().expect("a label"), counter(value)))
            .collect()
    }
}

fn counter(value: &DebugValue) -> u64 {
    match value {
        DebugValue::Counter(count) => *count,
        other => panic!("{other:?}"),
    }
}
