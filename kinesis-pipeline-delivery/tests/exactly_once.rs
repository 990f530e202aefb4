//! A worker that is stopped before and after every step: the objects are those of a worker that nobody stopped.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use kinesis_pipeline::{
    Clock, EncodedRecord, KinesisStream, LocalKinesis, MemoryLeases, PartitionKey, StartAt,
    firehose::{Transform, Verdict},
};
use kinesis_pipeline_delivery::{Compression, Delivery, DeliveryError, DeliveryReport, Format};
use object_store::memory::InMemory;
use support::{TripLeases, TripStore, Tripwire, objects};
use tokio::task::JoinHandle;

const APP: &str = "delivery";
const RECORDS: usize = 240;
/// Longer than a window, the fail-over of its worker, and the last timer.
const QUIET: Duration = Duration::from_mins(3);

type Objects = BTreeMap<String, Bytes>;

/// A stream with records of some minutes, in two shards: kept ones in six folders, dropped and failed ones.
async fn stream() -> KinesisStream<EncodedRecord> {
    let clock = Clock::tokio(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
    let local = LocalKinesis::builder().clock(clock).start().await.unwrap();
    let stream = local.stream::<EncodedRecord>("test", 2).await.unwrap();
    for number in 0..RECORDS {
        let mut rng = fastrand::Rng::with_seed(number as u64);
        let noise: String = (0..number * 37 % 900).map(|_| rng.alphanumeric()).collect();
        let data = format!("{}:{number}:{noise}", number % 8);
        let key = PartitionKey::new(number.to_string()).unwrap();
        stream
            .put(&EncodedRecord::new(key, data.into()))
            .await
            .unwrap();
        tokio::time::advance(Duration::from_millis(if number % 60 == 59 {
            9_000
        } else {
            40
        }))
        .await;
    }
    stream
}

/// Folders 0 to 5 are kept, 6 is dropped, 7 fails.
fn filter(text: String) -> Verdict<String> {
    match text.as_bytes()[0] {
        b'6' => Verdict::Drop,
        b'7' => Verdict::Fail("a seven"),
        _ => Verdict::Keep(text),
    }
}

#[derive(Clone, Copy)]
enum Shape {
    /// Folders that are closed by age, idle time and their number.
    Folders,
    /// The same with larger limits.
    Larger,
    /// One folder, closed by size, compressed.
    Sizes,
}

fn delivery(shape: Shape, store: TripStore, clock: &Clock) -> Delivery {
    let delivery = Delivery::to(store).clock(clock.clone());
    match shape {
        Shape::Folders | Shape::Larger => {
            let is_larger = matches!(shape, Shape::Larger);
            let age = Duration::from_secs(if is_larger { 30 } else { 8 });
            let idle = Duration::from_millis(if is_larger { 5_000 } else { 1_500 });
            let keys =
                Transform::new().partition_keys(|text: &String| [("n", text[..1].to_owned())]);
            delivery
                .prefix("n=!{partitionKeyFromLambda:n}/!{timestamp:HH}/")
                .error_prefix("bad/!{firehose:error-output-type}/")
                .buffer(1 << 20, age)
                .idle(idle)
                .folders_max(if is_larger { 100 } else { 4 })
                .transform_with(keys, filter)
        }
        Shape::Sizes => delivery
            .buffer(1 << 10, Duration::from_secs(20))
            .compression(Compression::Gzip)
            .format(Format::Concat)
            .transform(filter),
    }
}

type Running = JoinHandle<DeliveryReport>;

fn start(
    shape: Shape,
    stream: &KinesisStream<EncodedRecord>,
    store: &Arc<InMemory>,
    leases: &MemoryLeases,
    tripwire: &Arc<Tripwire>,
) -> Running {
    let store = TripStore(store.clone(), tripwire.clone());
    let fleet = stream
        .worker(APP)
        .leases(TripLeases(leases.clone(), tripwire.clone()))
        .start(StartAt::TrimHorizon);
    let worker = delivery(shape, store, stream.clock())
        .worker(fleet)
        .unwrap();
    tokio::spawn(async move { worker.run().await.unwrap() })
}

/// Runs a worker to the end and returns the objects and how many steps it took.
async fn undisturbed(shape: Shape, stream: &KinesisStream<EncodedRecord>) -> (Objects, usize) {
    let (store, leases, tripwire) = (Arc::default(), MemoryLeases::new(), Tripwire::never());
    let running = start(shape, stream, &store, &leases, &tripwire);
    tokio::time::sleep(QUIET).await;
    running.abort();
    let _ = running.await;
    (objects(&*store).await, tripwire.steps())
}

/// Stops a worker at a step, lets another one go on, and returns the objects.
async fn disturbed(
    (shape, then): (Shape, Shape),
    stream: &KinesisStream<EncodedRecord>,
    at: usize,
    is_after: bool,
) -> Objects {
    let (store, leases) = (Arc::default(), MemoryLeases::new());
    let tripwire = Tripwire::new(at, is_after);
    let running = start(shape, stream, &store, &leases, &tripwire);
    tripwire.tripped.notified().await;
    running.abort();
    let _ = running.await;
    let next = start(then, stream, &store, &leases, &Tripwire::never());
    tokio::time::sleep(QUIET).await;
    next.abort();
    let _ = next.await;
    objects(&*store).await
}

async fn a_crash_at_any_step_changes_nothing(shape: Shape) {
    let stream = stream().await;
    let (expected, steps) = undisturbed(shape, &stream).await;
    assert_complete(shape, &expected);
    assert_eq!(undisturbed(shape, &stream).await.0, expected);
    assert!(steps > 20, "{steps}");
    for at in (0..steps).step_by(stride()) {
        for is_after in [false, true] {
            let found = disturbed((shape, shape), &stream, at, is_after).await;
            let names = |objects: &Objects| objects.keys().cloned().collect::<Vec<_>>();
            assert_eq!(
                names(&found),
                names(&expected),
                "step {at}, after: {is_after}"
            );
            assert_eq!(found, expected, "step {at}, after: {is_after}");
        }
    }
}

/// The long run, which sets the number of seeds, tries every step.
fn stride() -> usize {
    let is_long = std::env::var_os("KINESIS_PIPELINE_SEEDS").is_some();
    if is_long { 1 } else { 4 }
}

/// Each record that is kept or failed is there once.
fn assert_complete(shape: Shape, objects: &Objects) {
    let mut seen = BTreeMap::<usize, usize>::new();
    for (name, bytes) in objects {
        let text = match shape {
            Shape::Folders | Shape::Larger => bytes.to_vec(),
            Shape::Sizes => gunzip(bytes),
        };
        for line in String::from_utf8(text).unwrap().lines() {
            let number = if line.starts_with('{') {
                failed_number(line)
            } else {
                line.split(':').nth(1).unwrap().parse().unwrap()
            };
            *seen.entry(number).or_default() += 1;
            assert_eq!(
                name.contains("processing-failed"),
                number % 8 == 7,
                "{name}: {number}"
            );
        }
    }
    let expected = (0..RECORDS)
        .filter(|number| number % 8 != 6)
        .map(|number| (number, 1));
    assert!(seen.into_iter().eq(expected));
}

fn failed_number(line: &str) -> usize {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["errorMessage"], "the function refused it: a seven");
    let data = STANDARD.decode(line["rawData"].as_str().unwrap()).unwrap();
    let text = String::from_utf8(data).unwrap();
    text.split(':').nth(1).unwrap().parse().unwrap()
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(bytes), &mut out).unwrap();
    out
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_of_a_delivery_to_folders_changes_nothing() {
    a_crash_at_any_step_changes_nothing(Shape::Folders).await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_of_a_delivery_by_size_changes_nothing() {
    a_crash_at_any_step_changes_nothing(Shape::Sizes).await;
}

/// The next worker has other limits: what was decided is done as it was decided.
#[tokio::test(start_paused = true)]
async fn a_crash_at_any_step_and_other_limits_afterwards_lose_and_double_nothing() {
    let stream = stream().await;
    let (_, steps) = undisturbed(Shape::Folders, &stream).await;
    for at in (0..steps).step_by(3 * stride()) {
        let found = disturbed((Shape::Folders, Shape::Larger), &stream, at, true).await;
        assert_complete(Shape::Folders, &found);
    }
}

/// Other prefixes would write what is prepared a second time.
#[tokio::test(start_paused = true)]
async fn a_worker_with_other_prefixes_ends_where_an_object_is_prepared() {
    let stream = stream().await;
    let (store, leases) = (Arc::default(), MemoryLeases::new());
    let tripwire = Tripwire::new(1, true);
    let running = start(Shape::Folders, &stream, &store, &leases, &tripwire);
    tripwire.tripped.notified().await;
    running.abort();
    let _ = running.await;
    let fleet = stream.worker(APP).leases(leases.clone());
    let other = TripStore(store.clone(), Tripwire::never());
    let worker = delivery(Shape::Folders, other, stream.clock()).prefix("elsewhere/");
    let ended = worker.worker(fleet).unwrap().run().await;
    let DeliveryError::SettingsChanged { keys, .. } = ended.unwrap_err() else {
        panic!("the worker went on");
    };
    assert!(
        keys.iter().all(|key| key.contains("records-shardId-")),
        "{keys:?}"
    );
    assert!(
        objects(&*store)
            .await
            .keys()
            .all(|key| !key.starts_with("elsewhere"))
    );
}

/// An object of 24 MB, uploaded in parts of 8 MiB while it grows.
#[tokio::test(start_paused = true)]
async fn an_object_that_is_uploaded_in_parts_survives_a_crash_at_any_step() {
    let clock = Clock::tokio(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
    let local = LocalKinesis::builder().clock(clock).start().await.unwrap();
    let stream = local.stream::<EncodedRecord>("test", 1).await.unwrap();
    for number in 0..24_u8 {
        let key = PartitionKey::new("key").unwrap();
        let data = vec![b'a' + number; 1_000_000];
        stream
            .put(&EncodedRecord::new(key, data.into()))
            .await
            .unwrap();
    }
    for takes_parts_again in [false, true] {
        a_crash_at_any_step_of_an_upload_changes_nothing(&stream, takes_parts_again).await;
    }
}

async fn a_crash_at_any_step_of_an_upload_changes_nothing(
    stream: &KinesisStream<EncodedRecord>,
    takes_parts_again: bool,
) {
    let start = |store: &Arc<InMemory>, leases: &MemoryLeases, tripwire: &Arc<Tripwire>| {
        let store = TripStore(store.clone(), tripwire.clone());
        let to = if takes_parts_again {
            Delivery::to_multipart(Arc::new(store))
        } else {
            Delivery::to(store)
        };
        let fleet = stream
            .worker(APP)
            .leases(TripLeases(leases.clone(), tripwire.clone()))
            .start(StartAt::TrimHorizon);
        let worker = to
            .buffer(100 << 20, Duration::from_secs(30))
            .clock(stream.clock().clone())
            .worker(fleet)
            .unwrap();
        (worker.handle(), tokio::spawn(worker.run()))
    };
    // Prepare, complete, checkpoint; the last round is not disturbed.
    for (at, is_after) in [
        (0, false),
        (0, true),
        (1, false),
        (1, true),
        (2, false),
        (3, false),
    ] {
        let (store, leases): (Arc<InMemory>, _) = (Arc::default(), MemoryLeases::new());
        if at < 3 {
            let tripwire = Tripwire::new(at, is_after);
            let (_, running) = start(&store, &leases, &tripwire);
            tripwire.tripped.notified().await;
            running.abort();
            let _ = running.await;
        }
        let (handle, running) = start(&store, &leases, &Tripwire::never());
        tokio::time::sleep(QUIET).await;
        running.abort();
        let found = objects(&*store).await;
        assert_eq!(found.len(), 1);
        let bytes = found.values().next().unwrap();
        let lines: Vec<_> = bytes
            .split(|byte| *byte == b'\n')
            .map(|line| (line.first().copied(), line.len()))
            .collect();
        let expected: Vec<_> = (0..24_u8)
            .map(|number| (Some(b'a' + number), 1_000_000))
            .collect();
        assert_eq!(lines[..24], expected);
        assert_eq!(lines[24..], [(None, 0)]);
        let memory = handle.report().memory_bytes_most;
        assert!((8 << 20..16 << 20).contains(&memory), "{memory}");
    }
}
