//! Subscriptions that fail or are refused.

use super::*;
use crate::service::{DeleteStream, SplitShard};

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
        let split = SplitShard::new(stream.id().clone(), shard.id, middle);
        stream.service().split_shard(split).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        put(&stream, "1").await;
        assert_eq!(take(&mut records, 2).await, ["0", "1"]);
        assert_eq!(records.stats().gaps, 0);
    }
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
async fn a_shard_that_is_not_known_while_the_reader_opens_is_not_polled_for_good() {
    let kinesis = kinesis().await;
    let stream = stream(&kinesis, 2).await;
    let unknown = Fault::answer("ResourceNotFoundException", "no such shard");
    fault(&kinesis, unknown.on("SubscribeToShard").times(3));
    let mut records = reader(&stream).fall_back_to_polling().open().await.unwrap();
    // Polls would be at whole seconds.
    tokio::time::sleep(Duration::from_millis(7_100)).await;
    let before = stream.target.clock.instant();
    put(&stream, "x").await;
    assert_eq!(take(&mut records, 1).await, ["x"]);
    let waited = stream.target.clock.instant() - before;
    assert!(waited < Duration::from_millis(20), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_reader_whose_stream_is_made_again_under_it_ends_with_an_error() {
    for falls_back in [false, true] {
        let kinesis = kinesis().await;
        let stream = stream(&kinesis, 1).await;
        put(&stream, "old").await;
        let mut reader = reader(&stream).start(StartAt::TrimHorizon);
        if falls_back {
            reader = reader.fall_back_to_polling();
        }
        let mut records = reader.open().await.unwrap();
        assert_eq!(take(&mut records, 1).await, ["old"]);
        let delete = DeleteStream::new(stream.id().clone()).even_with_consumers();
        stream.service().delete_stream(delete).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        let stream = super::stream(&kinesis, 1).await;
        put(&stream, "new").await;
        // The consumer is gone, the stream is for a while, or its shard is another one: first come, first told.
        records.next().await.unwrap().unwrap_err();
        assert!(records.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_renewed_within_seconds_delay_a_reader_and_do_not_end_it() {
    for operation in [
        "ListShards",
        "DescribeStreamSummary",
        "DescribeStreamConsumer",
        "RegisterStreamConsumer",
        "SubscribeToShard",
    ] {
        let kinesis = kinesis().await;
        let stream = stream(&kinesis, 1).await;
        let expired = |calls| {
            let fault = Fault::answer("ExpiredTokenException", "expired");
            fault.on(operation).times(calls)
        };
        fault(&kinesis, expired(7));
        let reader = reader(&stream).start(StartAt::TrimHorizon);
        let reader = reader.checkpoints(Arc::new(MemoryCheckpoints::new()), "app");
        put(&stream, "x").await;
        let mut records = reader.open().await.unwrap();
        assert_eq!(take(&mut records, 1).await, ["x"], "{operation}");
        let shard = stream.shards().await.unwrap().remove(0);
        let middle = shard.hash_key_range.middle();
        fault(&kinesis, expired(20));
        let split = SplitShard::new(stream.id().clone(), shard.id, middle);
        stream.service().split_shard(split).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        put(&stream, "y").await;
        assert_eq!(take(&mut records, 1).await, ["y"], "{operation}");
    }
}
