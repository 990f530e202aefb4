//! Objects of many shards: fewer files, and by their manifests each record once, wherever a worker was killed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use kinesis_pipeline::{
    Clock, EncodedRecord, KinesisStream, LocalKinesis, MemoryLeases, PartitionKey, StartAt, Until,
};
use kinesis_pipeline_delivery::{
    Compression, Delivery, DeliveryError, MergedSegments, merged_segments,
};
use object_store::{ObjectStoreExt as _, memory::InMemory, path::Path};
use support::{TripLeases, TripStore, Tripwire, objects};
use tokio::task::JoinHandle;

const RECORDS: usize = 240;
const SHARDS: u32 = 4;
/// Longer than a window, the wait for other shards, the fail-over of its worker, and the last timer.
const QUIET: Duration = Duration::from_mins(4);

async fn stream() -> KinesisStream<EncodedRecord> {
    let clock = Clock::tokio(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
    let local = LocalKinesis::builder().clock(clock).start().await.unwrap();
    let stream = local.stream::<EncodedRecord>("test", SHARDS).await.unwrap();
    for number in 0..RECORDS {
        let key = PartitionKey::new(number.to_string()).unwrap();
        let data = format!("{number}:{}", "x".repeat(number % 90));
        stream
            .put(&EncodedRecord::new(key, data.into()))
            .await
            .unwrap();
        let pause = if number % 80 == 79 { 40_000 } else { 10 };
        tokio::time::advance(Duration::from_millis(pause)).await;
    }
    stream
}

fn delivery(store: TripStore, clock: &Clock) -> Delivery {
    Delivery::to(store)
        .prefix("a/")
        .compression(Compression::Gzip)
        .buffer(1 << 20, Duration::from_secs(30))
        .merge(1 << 20, Duration::from_secs(20))
        .clock(clock.clone())
}

fn start(
    stream: &KinesisStream<EncodedRecord>,
    store: &Arc<InMemory>,
    leases: &MemoryLeases,
    tripwire: &Arc<Tripwire>,
) -> JoinHandle<Result<kinesis_pipeline_delivery::DeliveryReport, DeliveryError>> {
    let fleet = stream
        .worker("merging")
        .leases(TripLeases(leases.clone(), tripwire.clone()))
        .start(StartAt::TrimHorizon);
    let store = TripStore(store.clone(), tripwire.clone());
    let worker = delivery(store, stream.clock()).worker(fleet).unwrap();
    tokio::spawn(worker.run())
}

/// How often each record is in the segments.
async fn counts(store: &InMemory, merged: &MergedSegments) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for segment in &merged.segments {
        let bytes = segment.read(store).await.unwrap();
        let mut text = String::new();
        // A segment is read alone: one member of gzip.
        std::io::Read::read_to_string(&mut flate2::bufread::GzDecoder::new(&bytes[..]), &mut text)
            .unwrap();
        assert_eq!(text.lines().count() as u64, segment.records);
        for line in text.lines() {
            let number = line.split(':').next().unwrap().parse().unwrap();
            *counts.entry(number).or_default() += 1;
        }
    }
    counts
}

fn each_once() -> BTreeMap<usize, usize> {
    (0..RECORDS).map(|number| (number, 1)).collect()
}

/// The objects besides their manifests.
async fn files(store: &InMemory) -> BTreeSet<String> {
    let all = objects(store).await.into_keys();
    all.filter(|key| !key.starts_with("_manifests/")).collect()
}

#[tokio::test(start_paused = true)]
async fn the_shards_of_a_worker_write_one_object_and_a_crash_at_any_step_doubles_only_what_the_manifests_tell()
 {
    let stream = stream().await;
    let (store, never) = (Arc::new(InMemory::new()), Tripwire::never());
    let running = start(&stream, &store, &MemoryLeases::new(), &never);
    tokio::time::sleep(QUIET).await;
    running.abort();
    let merged = merged_segments(&*store, "a/").await.unwrap();
    assert_eq!(counts(&store, &merged).await, each_once());
    let files_undisturbed = files(&store).await;
    assert!(files_undisturbed.len() <= 4, "{files_undisturbed:?}");
    assert!(
        merged.segments.len() > 2 * files_undisturbed.len(),
        "{merged:?}"
    );
    assert!(
        files_undisturbed
            .iter()
            .all(|key| key.starts_with("a/2027/01/15/08/merged-"))
    );
    assert_eq!(merged.doubled, 0);

    let mut doubled = 0;
    for at in (0..never.steps()).step_by(2) {
        for is_after in [false, true] {
            let (store, leases) = (Arc::new(InMemory::new()), MemoryLeases::new());
            let tripwire = Tripwire::new(at, is_after);
            let running = start(&stream, &store, &leases, &tripwire);
            tripwire.tripped.notified().await;
            running.abort();
            let _ = running.await;
            let next = start(&stream, &store, &leases, &Tripwire::never());
            tokio::time::sleep(QUIET).await;
            next.abort();
            let merged = merged_segments(&*store, "").await.unwrap();
            assert_eq!(
                counts(&store, &merged).await,
                each_once(),
                "step {at}, after: {is_after}"
            );
            doubled += merged.doubled;
        }
    }
    assert!(
        doubled > 0,
        "some crash came between an object and its checkpoints"
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_reader_gives_is_merged_too_and_a_manifest_that_is_none_is_an_error() {
    let stream = stream().await;
    let store = Arc::new(InMemory::new());
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip);
    let to = delivery(TripStore(store.clone(), Tripwire::never()), stream.clock());
    let report = to.run(reader.open().await.unwrap()).await.unwrap();
    assert_eq!(report.kept, RECORDS as u64);
    let merged = merged_segments(&*store, "a").await.unwrap();
    assert_eq!(counts(&store, &merged).await, each_once());
    assert!(
        merged_segments(&*store, "b/")
            .await
            .unwrap()
            .segments
            .is_empty()
    );
    store
        .put(&Path::from("_manifests/a/x.json"), "{}".into())
        .await
        .unwrap();
    let error = merged_segments(&*store, "a").await.unwrap_err();
    assert!(matches!(error, DeliveryError::Manifest { .. }), "{error}");
}
