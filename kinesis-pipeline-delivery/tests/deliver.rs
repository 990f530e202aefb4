//! Deliveries as users set them up, from a stream to the bytes of the objects.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::case_sensitive_file_extension_comparisons,
    reason = "keys of objects have a case"
)]

mod support;

use std::{
    io::Read as _,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use kinesis_pipeline::{
    Clock, EncodedRecord, KinesisStream, LocalKinesis, MemoryLeases, PartitionKey, StartAt, Until,
    firehose::Verdict,
};
use kinesis_pipeline_delivery::{
    Compression, Delivery, DeliveryReport, Format, InvalidDelivery, Like,
};
use object_store::{ObjectStore, local::LocalFileSystem, memory::InMemory};
use support::{TripStore, Tripwire, objects};

/// 2027-01-15 08:00 UTC.
const START: Duration = Duration::from_hours(500_000);

async fn stream(records: &[&[u8]]) -> KinesisStream<EncodedRecord> {
    let clock = Clock::tokio(SystemTime::UNIX_EPOCH + START);
    let local = LocalKinesis::builder().clock(clock).start().await.unwrap();
    let stream = local.stream::<EncodedRecord>("test", 1).await.unwrap();
    for data in records {
        let key = PartitionKey::new("key").unwrap();
        let record = EncodedRecord::new(key, Bytes::copy_from_slice(data));
        stream.put(&record).await.unwrap();
    }
    stream
}

async fn run(delivery: Delivery, stream: &KinesisStream<EncodedRecord>) -> DeliveryReport {
    let reader = stream.reader().start(StartAt::TrimHorizon);
    let records = reader.until(Until::Tip).open().await.unwrap();
    let delivery = delivery.clock(stream.clock().clone());
    delivery.run(records).await.unwrap()
}

/// Delivers to memory and returns each object's key and bytes.
async fn delivered(
    set: impl FnOnce(Delivery) -> Delivery,
    records: &[&[u8]],
) -> Vec<(String, Bytes)> {
    let store = Arc::new(InMemory::new());
    let delivery = set(Delivery::to_shared(store.clone()));
    run(delivery, &stream(records).await).await;
    objects(&*store).await.into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn two_deliveries_of_one_stream_both_get_everything() {
    let stream = stream(&[]).await;
    let stores: [Arc<InMemory>; 2] = Default::default();
    let leases = MemoryLeases::new();
    let mut running = Vec::new();
    for (store, app) in stores.iter().zip(["raw", "processed"]) {
        let fleet = stream
            .worker(app)
            .leases(leases.clone())
            .start(StartAt::TrimHorizon);
        let mut delivery = Delivery::to_shared(store.clone())
            .prefix(format!("data/{app}/good/"))
            .error_prefix(format!("data/{app}/bad/!{{firehose:error-output-type}}/"))
            .clock(stream.clock().clone());
        if app == "processed" {
            delivery = delivery.transform(|text: String| match text.parse::<u32>() {
                Ok(number) if number % 2 == 0 => Verdict::Keep(format!("even {number}")),
                Ok(_) => Verdict::Drop,
                Err(_) => Verdict::Fail("no number"),
            });
        }
        let worker = delivery.worker(fleet).unwrap();
        running.push((worker.handle(), tokio::spawn(worker.run())));
    }
    for text in ["1", "2", "three", "4"] {
        let record = EncodedRecord::new(PartitionKey::new("key").unwrap(), text.into());
        stream.put(&record).await.unwrap();
    }
    tokio::time::sleep(Duration::from_mins(2)).await;
    for (handle, worker) in running {
        assert_eq!(handle.report().records, 4);
        handle.stop();
        worker.await.unwrap().unwrap();
    }
    let raw = objects(&*stores[0]).await;
    assert_eq!(raw.values().collect::<Vec<_>>(), ["1\n2\nthree\n4\n"]);
    let processed = objects(&*stores[1]).await;
    let (bad, good) = (
        processed.first_key_value().unwrap(),
        processed.last_key_value().unwrap(),
    );
    assert!(
        bad.0
            .starts_with("data/processed/bad/processing-failed/records-shardId-"),
        "{}",
        bad.0
    );
    assert!(bad.1.starts_with(b"{\"attemptsMade\":1,"));
    assert!(
        good.0
            .starts_with("data/processed/good/2027/01/15/08/records-shardId-"),
        "{}",
        good.0
    );
    assert_eq!(*good.1, "even 2\neven 4\n");
}

#[tokio::test(start_paused = true)]
async fn an_object_is_written_by_age_though_no_record_comes() {
    let stream = stream(&[b"one"]).await;
    let store = Arc::new(InMemory::new());
    let fleet = stream
        .worker("app")
        .leases(MemoryLeases::new())
        .start(StartAt::TrimHorizon);
    let worker = Delivery::to_shared(store.clone())
        .buffer(1 << 20, Duration::from_secs(30))
        .clock(stream.clock().clone())
        .worker(fleet)
        .unwrap();
    let running = tokio::spawn(worker.run());
    tokio::time::sleep(Duration::from_secs(25)).await;
    assert!(objects(&*store).await.is_empty());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(objects(&*store).await.len(), 1);
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn tri_objects_are_those_of_triton() {
    let records: &[&[u8]] = &[
        b"\x81\xa5value\xa6hi mom",
        b"{\"value\":\"two\"}",
        b"no map",
    ];
    let found = delivered(|to| to.format(Format::Tri), records).await;
    let (tri, failed) = (&found[0], &found[1]);
    assert!(
        failed.0.contains("format-conversion-failed/") && failed.0.ends_with(".jsonl"),
        "{}",
        failed.0
    );
    assert!(tri.0.ends_with(".tri"), "{}", tri.0);
    assert!(tri.1.starts_with(b"\xff\x06\0\0sNaPpY"));
    let mut maps = Vec::new();
    snap::read::FrameDecoder::new(&tri.1[..])
        .read_to_end(&mut maps)
        .unwrap();
    assert_eq!(maps, b"\x81\xa5value\xa6hi mom\x81\xa5value\xa3two");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_like_firehose_has_its_names_and_bytes() {
    let found = delivered(
        |to| {
            to.name("clicks")
                .like(Like::Firehose)
                .prefix("firehose/")
                .compression(Compression::Gzip)
        },
        &[b"a", b"b\n"],
    )
    .await;
    let (key, bytes) = &found[0];
    assert!(
        key.starts_with("firehose/2027/01/15/08/clicks-1-2027-01-15-08-00-0"),
        "{key}"
    );
    assert!(key.ends_with(".gz") && !key.contains(".jsonl"), "{key}");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..])
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "ab\n");
}

#[tokio::test(start_paused = true)]
async fn a_delivery_like_a_channel_has_its_names() {
    let found = delivered(|to| to.name("clicks").like(Like::Channel), &[b"a"]).await;
    let parts: Vec<_> = found[0].0.split('/').collect();
    assert_eq!((parts[0], parts[1]), ("kinesis-channel", "clicks"));
    assert_eq!(parts[3..7], ["2027", "01", "15", "08"]);
    let name = format!("clicks-{}-2027-01-15-08-00-", parts[2]);
    assert!(parts[7].starts_with(&name), "{}", found[0].0);
}

#[tokio::test(start_paused = true)]
async fn times_of_keys_are_in_the_time_zone() {
    let set = |to: Delivery| {
        to.prefix("!{timestamp:yyyy-MM-dd'T'HH}/")
            .time_zone("Asia/Tokyo")
    };
    let found = delivered(set, &[b"a"]).await;
    assert!(found[0].0.starts_with("2027-01-15T17/"), "{}", found[0].0);
}

#[tokio::test(start_paused = true)]
async fn the_source_is_kept_beside_what_the_transform_made_of_it() {
    let set = |to: Delivery| {
        to.prefix("out/")
            .source_backup("source/")
            .transform(|text: String| {
                if text == "b" {
                    Verdict::Drop
                } else {
                    Verdict::Keep(text.to_uppercase())
                }
            })
    };
    let found = delivered(set, &[b"a", b"b"]).await;
    let texts: Vec<_> = found
        .iter()
        .map(|(key, bytes)| (&key[..3], &bytes[..]))
        .collect();
    assert_eq!(texts, [("out", &b"A\n"[..]), ("sou", b"a\nb\n")]);
}

#[tokio::test(start_paused = true)]
async fn values_of_records_name_folders_on_a_disk_and_cannot_leave_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = LocalFileSystem::new_with_prefix(dir.path()).unwrap();
    let values: &[&[u8]] = &[
        b"NY",
        b"../../up",
        b"50% a\tb",
        "Zürich".as_bytes(),
        b"",
        &[b'x'; 300],
    ];
    let stream = stream(values).await;
    let keys = kinesis_pipeline::firehose::Transform::new()
        .partition_keys(|text: &String| [("v", text.clone())]);
    let delivery = Delivery::to(LocalFileSystem::new_with_prefix(dir.path()).unwrap())
        .prefix("in/v=!{partitionKeyFromLambda:v}/!{timestamp:yyyy}/")
        .transform_with(keys, Verdict::<String>::Keep);
    let report = run(delivery, &stream).await;
    assert_eq!((report.kept, report.failed), (4, 2));
    let found = objects(&store).await;
    let folders: Vec<_> = found
        .keys()
        .map(|key| key.rsplit_once("/2027/").map_or("", |(folder, _)| folder))
        .collect();
    assert!(
        found
            .keys()
            .next()
            .unwrap()
            .starts_with("in/partitioning-failed/")
    );
    assert_eq!(
        folders[1..],
        [
            "in/v=..%2F..%2Fup",
            "in/v=50%25 a%09b",
            "in/v=NY",
            "in/v=Zürich"
        ]
    );
    let up = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(up, 1, "all is in the folder `in`");
}

#[tokio::test(start_paused = true)]
async fn a_second_run_finds_its_objects() {
    let stream = stream(&[b"one", b"two"]).await;
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let first = run(Delivery::to_shared(store.clone()), &stream).await;
    let second = run(Delivery::to_shared(store.clone()), &stream).await;
    assert_eq!((first.objects_written, first.objects_found), (1, 0));
    assert_eq!((second.objects_written, second.objects_found), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_dropped_while_credentials_are_expired() {
    let stream = stream(&[b"one", b"two"]).await;
    let store = Arc::new(InMemory::new());
    let denied = TripStore(store.clone(), Tripwire::denying(12));
    let begun = stream.clock().now();
    let report = run(Delivery::to(denied), &stream).await;
    assert_eq!((report.kept, report.objects_written), (2, 1));
    assert_eq!(
        objects(&*store).await.values().collect::<Vec<_>>(),
        ["one\ntwo\n"]
    );
    let took = stream.clock().now().duration_since(begun).unwrap();
    assert!(took > Duration::from_mins(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_denies_for_too_long_ends_the_delivery_with_its_error() {
    let stream = stream(&[b"one"]).await;
    let denied = TripStore(Arc::new(InMemory::new()), Tripwire::denying(usize::MAX));
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip);
    let delivery = Delivery::to(denied).retry_max(Duration::from_mins(5));
    let delivery = delivery.clock(stream.clock().clone());
    let error = delivery
        .run(reader.open().await.unwrap())
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the object `2027/01/15/08/records-shardId"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_worker_begins_with_the_oldest_record_unless_it_is_told_otherwise() {
    for (start, expected) in [
        (None, "old\nnew\n"),
        (Some(StartAt::TrimHorizon), "old\nnew\n"),
        (Some(StartAt::Latest), "new\n"),
    ] {
        let stream = stream(&[b"old"]).await;
        // What arrives in the millisecond of the start is new.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let store = Arc::new(InMemory::new());
        let mut fleet = stream.worker("app").leases(MemoryLeases::new());
        if let Some(start) = start.clone() {
            fleet = fleet.start(start);
        }
        let delivery = Delivery::to_shared(store.clone()).clock(stream.clock().clone());
        let worker = delivery.worker(fleet).unwrap();
        let running = tokio::spawn(worker.run());
        tokio::time::sleep(Duration::from_secs(20)).await;
        let record = EncodedRecord::new(PartitionKey::new("key").unwrap(), "new".into());
        stream.put(&record).await.unwrap();
        tokio::time::sleep(Duration::from_mins(3)).await;
        running.abort();
        let found = objects(&*store).await;
        assert_eq!(found.values().collect::<Vec<_>>(), [expected], "{start:?}");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_with_what_to_do() {
    let refused = |set: &dyn Fn(Delivery) -> Delivery, text: &str| {
        let stream = KinesisStream::<EncodedRecord>::with_service(nothing(), "s");
        let fleet = stream.worker("app").leases(MemoryLeases::new());
        let error = set(Delivery::to(InMemory::new()))
            .worker(fleet)
            .unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
        error
    };
    let time = Duration::from_mins(1);
    refused(&|to| to.prefix("!{timestamp:yyyy/ww}/"), "the letter `w`");
    refused(&|to| to.prefix("a//b/"), "a//b/");
    refused(&|to| to.prefix("../b/"), "../b/");
    refused(&|to| to.prefix("/b/"), "/b/");
    refused(
        &|to| to.prefix("!{firehose:error-output-type}/"),
        "cannot stand in",
    );
    refused(
        &|to| to.error_prefix("!{partitionKeyFromLambda:a}/"),
        "cannot stand in",
    );
    refused(
        &|to| to.prefix("!{partitionKeyFromLambda:a}/"),
        "no transform",
    );
    refused(
        &|to| to.prefix("!{partitionKeyFromQuery:a}/"),
        "no jq query",
    );
    refused(&|to| to.time_zone("Mars/Base"), "Mars/Base");
    refused(&|to| to.buffer(10, time), "1 KiB");
    refused(&|to| to.buffer(5 << 20, Duration::ZERO), "1 s to 24 hours");
    refused(&|to| to.name("a/b"), "a/b");
    refused(&|to| to.extension("/x"), "without `/`");
    let tri = |to: Delivery| to.format(Format::Tri).compression(Compression::Gzip);
    let error = refused(&tri, "tri");
    assert!(matches!(error, InvalidDelivery::TriCompression));
}

#[test]
fn a_worker_of_several_streams_is_refused() {
    let [first, second] =
        ["a", "b"].map(|name| KinesisStream::<EncodedRecord>::with_service(nothing(), name));
    let fleet = first.worker("app").and_stream(&second);
    let refused = Delivery::to(InMemory::new()).worker(fleet.leases(MemoryLeases::new()));
    let error = refused.unwrap_err();
    assert!(
        matches!(error, InvalidDelivery::SeveralStreams { streams: 2 }),
        "{error}"
    );
}

fn nothing() -> Arc<dyn kinesis_pipeline::service::Kinesis> {
    futures_util::FutureExt::now_or_never(LocalKinesis::start())
        .expect("it starts at once")
        .unwrap()
        .service()
}
