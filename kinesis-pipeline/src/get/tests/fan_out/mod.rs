//! The reader by enhanced fan-out, over the embedded Kinesis.

mod consumers;
mod faults;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    is_silent,
    local::{check_rounds, put_round, reshard},
    rest,
    service::TestKinesis,
    take,
};
use crate::{
    Clock, EncodedRecord, GetError, KinesisStream, LocalKinesis, MemoryCheckpoints, OnTrimmed,
    PartitionKey, Reader, StartAt, Until,
    local::Fault,
    service::{DescribeStreamSummary, ErrorClass, PutRecords, RegisterStreamConsumer},
};

const NAME: &str = "pushed";

async fn kinesis() -> LocalKinesis {
    let clock = Clock::tokio(std::time::SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
    let builder = LocalKinesis::builder().clock(clock);
    let builder = builder.transition(Duration::from_millis(500));
    builder.start().await.unwrap()
}

async fn stream(kinesis: &LocalKinesis, shards: u32) -> KinesisStream<Bytes> {
    let stream = kinesis.stream("test", shards).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    stream
}

fn reader(stream: &KinesisStream<Bytes>) -> Reader<Bytes> {
    stream.reader().fan_out(NAME)
}

fn fault(kinesis: &LocalKinesis, fault: Fault) {
    kinesis.faults().add(fault).unwrap();
}

async fn put(stream: &KinesisStream<Bytes>, data: impl Into<Bytes>) {
    let record = EncodedRecord::new(PartitionKey::new("k").unwrap(), data.into());
    let call = PutRecords::new(stream.id().clone(), vec![record]);
    let answer = stream.service().put_records(call).await.unwrap();
    assert!(answer.results.iter().all(Result::is_ok));
}

/// Puts the numbers of this range, one after each pause.
async fn put_numbers(
    stream: &KinesisStream<Bytes>,
    numbers: std::ops::Range<u32>,
    pause: Duration,
) {
    for number in numbers {
        tokio::time::sleep(pause).await;
        put(stream, number.to_string()).await;
    }
}

fn texts(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_record_is_pushed_at_once() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 3).await;
    put(&stream, "before").await;
    let mut records = reader(&stream).open().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    for number in 0..20 {
        let before = stream.target.clock.instant();
        put(&stream, number.to_string()).await;
        assert_eq!(take(&mut records, 1).await, [number.to_string()]);
        let waited = stream.target.clock.instant() - before;
        assert!(waited < Duration::from_millis(20), "{waited:?}");
    }
    assert!(is_silent(&mut records).await);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_that_end_are_followed_by_others_without_gap_or_repeat() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    let mut records = reader(&stream).open().await.unwrap();
    let putter = stream.clone();
    let puts = tokio::spawn(async move {
        // Half an hour, six subscriptions.
        put_numbers(&putter, 0..600, Duration::from_secs(3)).await;
    });
    assert_eq!(take(&mut records, 600).await, texts(0..600));
    puts.await.unwrap();
    assert!(is_silent(&mut records).await);
    assert_eq!(records.stats().failed_calls, 0);
}

#[tokio::test(start_paused = true)]
async fn latest_without_a_record_is_kept_over_the_end_of_a_subscription() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 2).await;
    put(&stream, "before").await;
    let mut records = reader(&stream).open().await.unwrap();
    assert!(is_silent(&mut records).await);
    put(&stream, "after").await;
    assert_eq!(take(&mut records, 1).await, ["after"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_starts_again_at_once_waits_until_it_may_subscribe() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 2).await;
    let store = Arc::new(MemoryCheckpoints::new());
    let open = || {
        reader(&stream)
            .start(StartAt::TrimHorizon)
            .checkpoints(store.clone(), "app")
    };
    put_numbers(&stream, 0..20, Duration::ZERO).await;
    let mut records = open().open().await.unwrap();
    assert_eq!(take(&mut records, 10).await, texts(0..10));
    records.close().await.unwrap();
    let before = stream.target.clock.instant();
    let mut records = open().open().await.unwrap();
    let waited = stream.target.clock.instant() - before;
    assert!(
        waited >= Duration::from_secs(4) && waited < Duration::from_secs(15),
        "{waited:?}"
    );
    put(&stream, "20").await;
    assert_eq!(take(&mut records, 11).await, texts(10..21));
    assert!(is_silent(&mut records).await);
}

#[tokio::test(start_paused = true)]
async fn a_slow_owner_holds_the_service_back() {
    const RECORD_BYTES: usize = 100 * 1024;
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 4).await;
    let reader = reader(&stream).start(StartAt::TrimHorizon);
    for _ in 0..100 {
        put(&stream, vec![0; RECORD_BYTES]).await;
    }
    let mut records = reader.prefetch_bytes_max(1024 * 1024).open().await.unwrap();
    tokio::time::sleep(Duration::from_hours(1)).await;
    let fetched = records.stats().data_bytes;
    assert!(fetched <= 3 * 1024 * 1024, "{fetched}");
    for _ in 0..100 {
        assert_eq!(
            records.next().await.unwrap().unwrap().data.len(),
            RECORD_BYTES
        );
    }
    put(&stream, "last").await;
    assert_eq!(take(&mut records, 1).await, ["last"]);
}

#[tokio::test(start_paused = true)]
async fn batches_end_by_themselves() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 2).await;
    put_numbers(&stream, 0..30, Duration::from_secs(1)).await;
    let all = || reader(&stream).start(StartAt::TrimHorizon);
    let mut records = all().until(Until::Tip).open().await.unwrap();
    assert_eq!(rest(&mut records).await, texts(0..30));
    let until = stream.target.clock.now() + Duration::from_secs(20);
    let mut records = all().until(Until::Timestamp(until)).open().await.unwrap();
    put_numbers(&stream, 30..33, Duration::from_secs(1)).await;
    let before = stream.target.clock.instant();
    assert_eq!(rest(&mut records).await, texts(0..33));
    let waited = stream.target.clock.instant() - before;
    assert!(waited < Duration::from_secs(30), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_position_that_has_expired_follows_the_policy() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    put(&stream, "old").await;
    let mut records = stream.iter_from_all().await.unwrap();
    let record = records.next().await.unwrap().unwrap();
    let position = record.position().clone();
    drop(records);
    tokio::time::sleep(Duration::from_hours(30)).await;
    put(&stream, "new").await;
    let resumed = || reader(&stream).resume_after([position.clone()]);
    match resumed().open().await {
        Err(error) => assert!(
            matches!(error, GetError::UnknownPosition { .. }),
            "{error:?}"
        ),
        // The service may take an expired number for the horizon.
        Ok(mut records) => assert_eq!(take(&mut records, 1).await, ["new"]),
    }
    let mut records = resumed()
        .on_trimmed(OnTrimmed::FromHorizon)
        .open()
        .await
        .unwrap();
    assert_eq!(take(&mut records, 1).await, ["new"]);
}

#[tokio::test(start_paused = true)]
async fn records_that_expire_while_a_subscription_is_held_back_are_a_gap() {
    for policy in [OnTrimmed::Fail, OnTrimmed::FromHorizon, OnTrimmed::Latest] {
        let kinesis = kinesis().await;
        let stream = stream(&kinesis, 1).await;
        let mut records = reader(&stream).on_trimmed(policy).open().await.unwrap();
        put_numbers(&stream, 0..10, Duration::from_secs(1)).await;
        assert_eq!(take(&mut records, 1).await, texts(0..1));
        tokio::time::sleep(Duration::from_hours(25)).await;
        put(&stream, "retained").await;
        assert_eq!(take(&mut records, 1).await, texts(1..2));
        let item = tokio::time::timeout(Duration::from_mins(1), records.next()).await;
        match (policy, item) {
            (OnTrimmed::Fail, Ok(Some(Err(error)))) => {
                assert!(matches!(error, GetError::Trimmed { .. }), "{error:?}");
                continue;
            }
            (OnTrimmed::FromHorizon, Ok(item)) => assert_eq!(super::text(item), "retained"),
            (OnTrimmed::Latest, Err(_)) => {}
            (_, item) => panic!("{policy:?} {item:?}"),
        }
        assert_eq!(records.stats().gaps, 1);
        put(&stream, "new").await;
        assert_eq!(take(&mut records, 1).await, ["new"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_subscribed_to_and_quiet_has_no_gap() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    let mut records = reader(&stream).open().await.unwrap();
    let quiet = tokio::time::timeout(Duration::from_hours(26), records.next());
    assert!(quiet.await.is_err());
    put(&stream, "new").await;
    assert_eq!(take(&mut records, 1).await, ["new"]);
    assert_eq!(records.stats().gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn what_follows_latest_is_pushed_after_a_restart_whatever_the_clock_says() {
    for seconds_ahead in [0, 3, 60] {
        let kinesis = kinesis().await;
        let stream = stream(&kinesis, 1).await;
        let store = Arc::new(MemoryCheckpoints::new());
        let open = || {
            let now = stream.target.clock.now() + Duration::from_secs(seconds_ahead);
            let stream = stream.clone().with_clock(Clock::tokio(now));
            reader(&stream).checkpoints(store.clone(), "app").open()
        };
        drop({
            let records = open().await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
            records
        });
        put(&stream, "1").await;
        let mut records = open().await.unwrap();
        assert_eq!(take(&mut records, 1).await, ["1"], "{seconds_ahead}");
    }
}

#[tokio::test(start_paused = true)]
async fn batches_hold_what_was_there_whatever_the_clock_says() {
    for (before, after) in [(60, 0), (3, 0), (0, 3), (0, 60)] {
        let kinesis = kinesis().await;
        let stream = stream(&kinesis, 2).await;
        put_numbers(&stream, 0..300, Duration::from_millis(100)).await;
        let now = stream.target.clock.now() + Duration::from_secs(after);
        let clock = Clock::tokio(now - Duration::from_secs(before));
        let skewed = stream.clone().with_clock(clock);
        let all = || reader(&skewed).start(StartAt::TrimHorizon);
        let mut records = all().until(Until::Tip).open().await.unwrap();
        assert_eq!(rest(&mut records).await, texts(0..300));
        // The next subscription is not accepted before.
        tokio::time::sleep(Duration::from_secs(6)).await;
        let until = stream.target.clock.now() + Duration::from_secs(5);
        let mut records = all().until(Until::Timestamp(until)).open().await.unwrap();
        put_numbers(&stream, 300..308, Duration::from_millis(500)).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        put(&stream, "too late").await;
        assert_eq!(rest(&mut records).await, texts(0..308));
    }
}
