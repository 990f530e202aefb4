//! The reader by enhanced fan-out, over the embedded Kinesis.

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
async fn a_half_open_subscription_is_given_up_and_nothing_is_lost() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    let mut records = reader(&stream).open().await.unwrap();
    for events in [3, 8, 13, 18] {
        fault(&kinesis, Fault::half_open().after(events));
    }
    let before = stream.target.clock.instant();
    let putter = stream.clone();
    let puts = tokio::spawn(async move {
        put_numbers(&putter, 0..50, Duration::from_secs(2)).await;
    });
    assert_eq!(take(&mut records, 50).await, texts(0..50));
    puts.await.unwrap();
    let waited = stream.target.clock.instant() - before;
    assert!(waited < Duration::from_secs(125), "{waited:?}");
    assert_eq!(records.stats().failed_calls, 4);
}

#[tokio::test(start_paused = true)]
async fn the_time_for_which_a_process_stood_still_is_no_silence_of_its_subscription() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    fault(&kinesis, Fault::half_open().after(2));
    let records = reader(&stream).open().await.unwrap();
    tokio::time::sleep(Duration::from_secs(6)).await;
    // All timers at once, as after a pause of the whole process.
    tokio::time::advance(Duration::from_mins(1)).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(records.stats().failed_calls, 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(records.stats().failed_calls, 1, "it is silent");
}

#[tokio::test(start_paused = true)]
async fn a_half_open_first_subscription_does_not_lose_the_position() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    fault(&kinesis, Fault::half_open());
    let mut records = reader(&stream).open().await.unwrap();
    put_numbers(&stream, 0..5, Duration::from_secs(1)).await;
    assert_eq!(take(&mut records, 5).await, texts(0..5));
}

#[tokio::test(start_paused = true)]
async fn every_key_keeps_its_order_over_random_reshards_and_faults() {
    for seed in 0..10 {
        let mut random = fastrand::Rng::with_seed(seed);
        let kinesis = kinesis().await;
        let stream = stream(&kinesis, 3).await;
        let mut live = reader(&stream).open().await.unwrap();
        fault(&kinesis, Fault::half_open().probability(0.01).always());
        for operation in ["SubscribeToShard", "ListShards"] {
            fault(
                &kinesis,
                Fault::fail().on(operation).probability(0.3).always(),
            );
        }
        let lost = Fault::lose_response().on("SubscribeToShard");
        fault(&kinesis, lost.probability(0.2).always());
        let putter = stream.clone();
        let puts = tokio::spawn(async move {
            for round in 0..12 {
                put_round(&putter, 50, round).await;
                if random.bool() {
                    reshard(&putter, &mut random).await;
                }
            }
        });
        check_rounds(&mut live, 50, 12).await;
        puts.await.unwrap();
        kinesis.faults().clear();
        assert!(is_silent(&mut live).await);
        let replay = reader(&stream)
            .start(StartAt::TrimHorizon)
            .until(Until::Tip);
        let mut replay = replay.open().await.unwrap();
        check_rounds(&mut replay, 50, 12).await;
        assert!(replay.next().await.is_none());
    }
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
async fn a_reader_whose_subscriptions_are_taken_over_takes_them_back() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    let mut first = reader(&stream).open().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let second = reader(&stream).open().await.unwrap();
    put(&stream, "one").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    drop(second);
    assert_eq!(take(&mut first, 1).await, ["one"]);
    assert!(is_silent(&mut first).await);
}

#[tokio::test(start_paused = true)]
async fn throttled_and_refused_calls_are_repeated() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    for operation in [
        "DescribeStreamSummary",
        "DescribeStreamConsumer",
        "RegisterStreamConsumer",
        "SubscribeToShard",
    ] {
        fault(&kinesis, Fault::throttle().on(operation).times(2));
        fault(&kinesis, Fault::fail().on(operation).times(2));
    }
    let mut records = reader(&stream).open().await.unwrap();
    put(&stream, "x").await;
    assert_eq!(take(&mut records, 1).await, ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_denied_subscription_ends_the_reader_or_is_replaced_by_polling() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 2).await;
    fault(&kinesis, Fault::deny().on("SubscribeToShard").always());
    let error = reader(&stream).open().await.unwrap_err();
    let source = error.service_error().unwrap();
    assert_eq!(source.operation, "SubscribeToShard");
    assert_eq!(source.class, ErrorClass::AccessDenied);
    let reader = reader(&stream).fall_back_to_polling();
    let mut records = reader.open().await.unwrap();
    put(&stream, "x").await;
    assert_eq!(take(&mut records, 1).await, ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_denied_registration_ends_the_reader_or_is_replaced_by_polling() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 2).await;
    fault(
        &kinesis,
        Fault::deny().on("RegisterStreamConsumer").always(),
    );
    let error = reader(&stream).open().await.unwrap_err();
    assert!(
        matches!(&error, GetError::Consumer { consumer, .. } if consumer == NAME),
        "{error:?}"
    );
    let reader = reader(&stream).fall_back_to_polling();
    let mut records = reader.open().await.unwrap();
    put(&stream, "x").await;
    assert_eq!(take(&mut records, 1).await, ["x"]);
}

#[tokio::test(start_paused = true)]
async fn subscriptions_that_are_refused_later_are_replaced_by_polling_without_gap_or_repeat() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    let mut records = reader(&stream).fall_back_to_polling().open().await.unwrap();
    put_numbers(&stream, 0..3, Duration::from_secs(1)).await;
    fault(&kinesis, Fault::deny().on("SubscribeToShard").always());
    put_numbers(&stream, 3..100, Duration::from_secs(5)).await;
    assert_eq!(take(&mut records, 100).await, texts(0..100));
    assert!(is_silent(&mut records).await);
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_as_many_consumers_as_it_takes_is_told_at_once() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    let arn = summary(&stream).await.arn;
    for number in 0..20 {
        let call = RegisterStreamConsumer::new(&arn, format!("other-{number}"));
        stream
            .service()
            .register_stream_consumer(call)
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let before = stream.target.clock.instant();
    let error = reader(&stream).open().await.unwrap_err();
    assert!(stream.target.clock.instant() - before < Duration::from_secs(1));
    assert_eq!(
        error.service_error().unwrap().class,
        ErrorClass::LimitExceeded
    );
    assert!(
        error.to_string().contains("as many as the service allows"),
        "{error}"
    );
}

async fn summary(stream: &KinesisStream<Bytes>) -> crate::service::StreamSummary {
    let call = DescribeStreamSummary::new(stream.id().clone());
    stream
        .service()
        .describe_stream_summary(call)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_service_that_only_fails_does_not_keep_a_reader_opening() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    for operation in [
        "DescribeStreamConsumer",
        "RegisterStreamConsumer",
        "SubscribeToShard",
    ] {
        fault(&kinesis, Fault::fail().on(operation).always());
        let before = stream.target.clock.instant();
        let error = reader(&stream).open().await.unwrap_err();
        assert_eq!(error.service_error().unwrap().operation, operation);
        let waited = stream.target.clock.instant() - before;
        assert!(waited <= Duration::from_secs(61), "{operation}: {waited:?}");
        kinesis.faults().clear();
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_on_consumers_in_creation_is_waited_for() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    let arn = summary(&stream).await.arn;
    for number in 0..5 {
        let call = RegisterStreamConsumer::new(&arn, format!("other-{number}"));
        stream
            .service()
            .register_stream_consumer(call)
            .await
            .unwrap();
    }
    drop(reader(&stream).open().await.unwrap());
    assert_eq!(summary(&stream).await.consumer_count, 6);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_removed_ends_its_reader_and_can_come_again() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 1).await;
    let mut records = reader(&stream).open().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    stream.deregister_consumer(NAME).await.unwrap();
    let error = records.next().await.unwrap().unwrap_err();
    assert!(matches!(error, GetError::Consumer { .. }), "{error:?}");
    assert!(records.next().await.is_none());
    stream.deregister_consumer(NAME).await.unwrap();
    assert_eq!(summary(&stream).await.consumer_count, 0);
    drop(reader(&stream).open().await.unwrap());
    stream.deregister_consumer(NAME).await.unwrap();
    // It is still being removed: that is waited for.
    drop(reader(&stream).open().await.unwrap());
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
async fn a_service_without_fan_out_says_so() {
    let service = TestKinesis::new(1);
    let arn = "arn:aws:kinesis:us-east-1:000000000000:stream/test";
    let stream = KinesisStream::with_service(Arc::new(service.clone()), arn);
    let stream = stream.with_clock(service.clock());
    let error = reader(&stream).open().await.unwrap_err();
    let source = error.service_error().unwrap();
    assert!(source.to_string().contains("does not offer"), "{source}");
    let mut records = reader(&stream).fall_back_to_polling().open().await.unwrap();
    service.put(0, "x");
    assert_eq!(take(&mut records, 1).await, ["x"]);
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
async fn a_shard_that_is_not_known_yet_is_tried_on_and_not_taken_for_a_removed_consumer() {
    for policy in [OnTrimmed::Fail, OnTrimmed::FromHorizon] {
        let kinesis = kinesis().await;
        let stream = stream(&kinesis, 1).await;
        let mut records = reader(&stream).on_trimmed(policy).open().await.unwrap();
        put(&stream, "0").await;
        let unknown = Fault::answer("ResourceNotFoundException", "no such shard");
        fault(&kinesis, unknown.on("SubscribeToShard").times(6));
        let shard = stream.shards().await.unwrap().remove(0);
        let middle = shard.hash_key_range.middle();
        let split = crate::service::SplitShard::new(stream.id().clone(), shard.id, middle);
        stream.service().split_shard(split).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        put(&stream, "1").await;
        assert_eq!(take(&mut records, 2).await, ["0", "1"]);
        assert_eq!(records.stats().gaps, 0);
    }
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
