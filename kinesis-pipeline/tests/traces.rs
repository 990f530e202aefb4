//! Tests of a pipeline's traces. They are in their own process, as a span is enabled or disabled for all threads.

use std::{
    fmt::{Debug, Write as _},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

use kinesis_pipeline::{
    BadRecord, Batch, BoxError, EncodedRecord, ErrorPolicy, KinesisStream, LocalKinesis,
    MemoryLeases, PartitionKey, ProcessorError, StartAt, local::Fault,
};

/// The trace of this process, shared by all tests.
static TRACE: LazyLock<Trace> = LazyLock::new(|| {
    let trace = Trace::default();
    tracing::subscriber::set_global_default(trace.clone()).expect("it is the only one");
    trace
});

/// A subscriber that writes down every span and event with all its fields.
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
    fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no panic").clone()
    }

    fn push(&self, line: Line) {
        self.lines.lock().expect("no panic").push(line.0);
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
    let trace = &*TRACE;
    let local = LocalKinesis::start().await.unwrap();
    let fail = Fault::fail().on("PutRecords");
    local.faults().add(fail).unwrap();
    let fail = Fault::fail().each_entry();
    local.faults().add(fail.after(3)).unwrap();
    let stream: KinesisStream<EncodedRecord> = local.stream("readings", 1).await.unwrap();
    let producer = stream.producer().build().unwrap();
    for number in 0..3 {
        let key = PartitionKey::new(format!("secret-key-{number}")).unwrap();
        let record = EncodedRecord::new(key, "secret contents".into());
        drop(producer.put(&record).await.unwrap());
    }
    producer.close().await.unwrap();

    let lines = trace.lines();
    let is_request = |line: &&String| line.starts_with("put_records stream=readings ");
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

/// An error whose cause quotes the record.
#[derive(Debug, thiserror::Error)]
#[error("a value does not fit")]
struct Unfit {
    source: BoxError,
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_skipped_is_named_by_its_position_and_not_by_its_contents() {
    let trace = &*TRACE;
    let local = LocalKinesis::start().await.unwrap();
    let stream: KinesisStream<EncodedRecord> = local.stream("skipped", 1).await.unwrap();
    let key = PartitionKey::new("secret-key").unwrap();
    let record = EncodedRecord::new(key, "secret contents".into());
    let receipt = stream.put(&record).await.unwrap();
    let worker = stream.worker("app").leases(MemoryLeases::new());
    let worker = worker.start(StartAt::TrimHorizon);
    let policy = ErrorPolicy::retry().attempts_max(1).then_skip();
    let worker = worker.on_error(policy).build().unwrap();
    let run = tokio::spawn(worker.run_batches(
        async |batch: Batch<EncodedRecord>| -> Result<(), BoxError> {
            let bad = batch.iter().map(|record| {
                let source = format!("{:?}", record.data.data).into();
                BadRecord::new(record.position().clone(), Unfit { source })
            });
            let bad: Vec<_> = bad.collect();
            if bad.is_empty() {
                return Ok(());
            }
            Err(ProcessorError::bad_records(bad).into())
        },
    ));
    tokio::time::sleep(Duration::from_mins(1)).await;
    run.abort();
    let lines = trace.lines();
    let number = receipt.sequence_number.to_string();
    let skipped = lines
        .iter()
        .find(|line| line.contains("skipped") && line.contains(&number));
    assert!(
        skipped.is_some_and(|line| line.contains("a value does not fit")),
        "{lines:?}"
    );
    assert!(
        !lines.iter().any(|line| line.contains("secret")),
        "{lines:?}"
    );
}
