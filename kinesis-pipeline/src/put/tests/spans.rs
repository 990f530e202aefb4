//! What a trace shows of a pipeline.

use std::{
    fmt::{Debug, Write as _},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use super::{Answer, Script};
use crate::{EncodedRecord, PartitionKey};

/// Writes down every span and event with all of its fields.
#[derive(Clone, Default)]
struct Trace {
    lines: Arc<Mutex<Vec<String>>>,
    spans: Arc<AtomicU64>,
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Trace {
    fn push(&self, line: Line) {
        self.lines.lock().unwrap().push(line.0);
    }
}

impl Subscriber for Trace {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("kinesis_pipeline")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut line = Line(attributes.metadata().name().to_owned());
        attributes.record(&mut line);
        self.push(line);
        Id::from_u64(1 + self.spans.fetch_add(1, Ordering::Relaxed))
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line("event".to_owned());
        event.record(&mut line);
        self.push(line);
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line("record".to_owned());
        values.record(&mut line);
        self.push(line);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test(start_paused = true)]
async fn each_request_has_a_span_and_no_trace_shows_a_key_or_contents() {
    let trace = Trace::default();
    let _guard = tracing::subscriber::set_default(trace.clone());
    let script = Script::new([
        Answer::Error("InternalFailure"),
        Answer::Failed(&[0], "InternalFailure"),
    ]);
    let producer = script.stream().producer().build().unwrap();
    for number in 0..3 {
        let key = PartitionKey::new(format!("secret-key-{number}")).unwrap();
        let record = EncodedRecord::new(key, "secret contents".into());
        drop(producer.put(&record).await.unwrap());
    }
    producer.close().await.unwrap();

    let lines = trace.lines.lock().unwrap().clone();
    let is_request = |line: &&String| line.starts_with("put_records ");
    let requests: Vec<_> = lines.iter().filter(is_request).collect();
    let counts = [3, 3, 1].map(|count| {
        format!("put_records stream=readings kinesis_records={count} user_records={count}")
    });
    assert_eq!(requests, counts.iter().collect::<Vec<_>>());
    assert!(
        !lines.iter().any(|line| line.contains("secret")),
        "{lines:?}"
    );
}
