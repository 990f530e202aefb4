use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::PREFIX;
use crate::{
    get::GetMetrics,
    metrics::{Registry, handles::LABEL_VALUES_MAX},
    put::PutMetrics,
    service::ErrorClass,
};

const PAGE: &str = include_str!("../page.md");

/// The kind, unit and description of a metric.
type Description = (&'static str, Option<Unit>, String);

/// A recorder that keeps descriptions and registrations, but no values.
#[derive(Default)]
struct Catalogue {
    /// The descriptions, by name.
    described: Mutex<BTreeMap<String, Description>>,
    /// The registered names with their labels.
    registered: Mutex<BTreeSet<(String, Vec<String>)>>,
}

impl Catalogue {
    fn describe(&self, kind: &'static str, name: &KeyName, unit: Option<Unit>, text: &str) {
        let entry = (kind, unit, text.to_owned());
        let mut described = self.described.lock().unwrap();
        described.insert(name.as_str().to_owned(), entry);
    }

    fn register(&self, key: &Key) {
        let labels = key.labels().map(|label| label.key().to_owned()).collect();
        let mut registered = self.registered.lock().unwrap();
        registered.insert((key.name().to_owned(), labels));
    }
}

impl Recorder for Catalogue {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe("counter", &name, unit, &text);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe("gauge", &name, unit, &text);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.describe("histogram", &name, unit, &text);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.register(key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.register(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.register(key);
        Histogram::noop()
    }
}

/// Returns all that a producer and a reader can register.
fn catalogue() -> Catalogue {
    let catalogue = Catalogue::default();
    metrics::with_local_recorder(&catalogue, || {
        PutMetrics::new(&"readings".into(), true).failed("InternalFailure", 1);
        let reader = GetMetrics::new(&"readings".into());
        reader.on_page(
            &"shardId-000000000000".into(),
            Some(std::time::Duration::ZERO),
        );
        reader.on_error(ErrorClass::Throttled);
    });
    catalogue
}

/// Returns the rows of the page's tables: name, kind, unit and label.
fn rows() -> BTreeMap<String, [String; 3]> {
    let cells = |line: &str| -> Vec<String> {
        let cells = line
            .split(" | ")
            .map(|cell| cell.trim_matches(['|', ' ', '`']));
        cells.map(str::to_owned).collect()
    };
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let row = row.replace("| |", "|  |").replace("| |", "|  |");
        let [name, kind, unit, label, ..] = &cells(&row)[..] else {
            panic!("{row}");
        };
        (name.clone(), [kind.clone(), unit.clone(), label.clone()])
    })
    .collect()
}

#[test]
fn every_metric_stands_on_the_page_with_its_kind_unit_and_labels_and_no_other() {
    let catalogue = catalogue();
    let described = catalogue.described.into_inner().unwrap();
    let mut expected = BTreeMap::new();
    for (name, labels) in catalogue.registered.into_inner().unwrap() {
        let (kind, unit, _) = &described[&name];
        let unit = match unit {
            Some(Unit::Count) => "count",
            Some(Unit::Bytes) => "bytes",
            Some(Unit::Seconds) => "seconds",
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(labels[0], "stream");
        let label = labels.get(1).cloned().unwrap_or_default();
        expected.insert(name, [(*kind).to_owned(), unit.to_owned(), label]);
    }
    assert_eq!(expected.len(), described.len(), "all are registered");
    assert_eq!(rows(), expected);
}

#[test]
fn every_metric_has_the_prefix_and_a_description_and_tells_its_unit_in_its_name() {
    for (name, (kind, unit, text)) in catalogue().described.into_inner().unwrap() {
        assert!(name.starts_with(PREFIX), "{name}");
        assert!(text.len() > 10, "{name}: {text}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        assert_eq!(name.contains("_bytes"), unit == Some(Unit::Bytes), "{name}");
        let in_seconds = unit == Some(Unit::Seconds);
        assert_eq!(name.ends_with("_seconds"), in_seconds, "{name}");
    }
}

#[test]
fn a_label_that_the_service_fills_has_a_bounded_number_of_values() {
    let recorder = metrics_util::debugging::DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || {
        let registry = Registry::new(&super::STREAM.into());
        let errors = registry.counter_by("code", "kinesis_pipeline_test_total", "Test");
        for code in 0..1_000 {
            errors.add(&format!("Code{code}"), 1);
            errors.add("Code0", 1);
        }
    });
    let seen = super::Seen::take(&recorder);
    let by_code = seen.by_label("test_total");
    assert_eq!(by_code.len(), LABEL_VALUES_MAX + 1);
    assert_eq!(by_code["other"], 1_000 - LABEL_VALUES_MAX as u64);
    assert_eq!(by_code["Code0"], 1_001);
}
