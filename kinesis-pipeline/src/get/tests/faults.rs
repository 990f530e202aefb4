use std::time::Duration;

use bytes::Bytes;

use super::{is_silent, service::TestKinesis, take};
use crate::{GetError, OnTrimmed, StartAt, Until, service::IteratorStart};

#[tokio::test(start_paused = true)]
async fn an_expired_iterator_is_replaced_after_the_last_record_that_was_fetched() {
    let service = TestKinesis::new(1);
    for count in 0..40 {
        service.put(0, count.to_string());
    }
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .page_records_max(10);
    let mut records = reader.open().await.unwrap();
    let mut texts = Vec::new();
    for _ in 0..4 {
        texts.extend(take(&mut records, 10).await);
        tokio::time::sleep(Duration::from_mins(6)).await;
    }
    assert_eq!(
        texts,
        (0..40).map(|count| count.to_string()).collect::<Vec<_>>()
    );
    assert!(service.calls_of("GetShardIterator", 0).len() > 1);
    assert!(is_silent(&mut records).await);
}

#[tokio::test(start_paused = true)]
async fn a_latest_iterator_that_expires_before_a_record_came_is_replaced_by_the_time_of_opening() {
    let service = TestKinesis::new(1);
    service.put(0, "before");
    tokio::time::advance(Duration::from_secs(1)).await;
    service.fail("GetRecords", 0, "ExpiredIteratorException", 1);
    let mut records = service.stream::<Bytes>().iter_from_latest().await.unwrap();
    service.put(0, "after");
    assert_eq!(take(&mut records, 1).await, ["after"]);
    let starts: Vec<_> = service
        .state()
        .calls
        .iter()
        .filter_map(|call| call.start.clone())
        .collect();
    // The time was asked for first, so that the service's clock had reached it before LATEST was fixed.
    let opened_at = starts[0].clone();
    assert!(matches!(opened_at, IteratorStart::AtTimestamp(_)));
    assert_eq!(starts[1..], [IteratorStart::Latest, opened_at]);
}

#[tokio::test(start_paused = true)]
async fn passing_faults_never_surface() {
    for code in [
        "ProvisionedThroughputExceededException",
        "InternalFailureException",
        "LimitExceededException",
        "timeout",
        "ANewCode",
    ] {
        let service = TestKinesis::new(1);
        service.fail("GetRecords", 0, code, 4);
        service.fail("GetShardIterator", 0, code, 2);
        service.fail("ListShards", 0, code, 1);
        service.put(0, "x");
        let mut records = service.stream::<Bytes>().iter_from_all().await.unwrap();
        assert_eq!(take(&mut records, 1).await, ["x"], "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_that_times_out_is_asked_for_smaller() {
    let service = TestKinesis::new(1);
    service.fail("GetRecords", 0, "timeout", 3);
    service.put(0, "x");
    let mut records = service.stream::<Bytes>().iter_from_all().await.unwrap();
    take(&mut records, 1).await;
    let limits: Vec<_> = service
        .state()
        .calls
        .iter()
        .filter_map(|call| call.limit)
        .collect();
    assert_eq!(limits[..4], [10_000, 5_000, 2_500, 1_250]);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_answers_counts_as_failed_and_blocks_no_other_shard() {
    let service = TestKinesis::new(2);
    let mut records = service.stream::<Bytes>().iter_from_latest().await.unwrap();
    service.state().latencies.insert(0, Duration::from_hours(1));
    service.put(0, "stuck");
    for count in 0..50 {
        service.put(1, count.to_string());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(take(&mut records, 50).await[49], "49");
    service.state().latencies.clear();
    assert_eq!(take(&mut records, 1).await, ["stuck"]);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_shard_is_called_less_often_and_the_others_as_before() {
    let service = TestKinesis::new(2);
    let mut records = service.stream::<Bytes>().iter_from_latest().await.unwrap();
    service.fail(
        "GetRecords",
        0,
        "ProvisionedThroughputExceededException",
        1000,
    );
    for count in 0..60 {
        service.put(1, count.to_string());
        take(&mut records, 1).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(service.calls_of("GetRecords", 0).len() < 20);
    assert!(service.calls_of("GetRecords", 1).len() >= 50);
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_the_bound_ends_the_reader_with_its_error() {
    let service = TestKinesis::new(1);
    service.put(0, "x");
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .outage_max(Duration::from_mins(5));
    let mut records = reader.open().await.unwrap();
    take(&mut records, 1).await;
    service.fail("GetRecords", 0, "ServiceUnavailable", usize::MAX);
    let start = service.clock().instant();
    let error = records.next().await.unwrap().unwrap_err();
    let lasted = service.clock().instant() - start;
    assert!(
        lasted >= Duration::from_mins(5) && lasted < Duration::from_mins(6),
        "{lasted:?}"
    );
    assert!(error.is_retryable() && error.ends_the_stream());
    match error {
        GetError::Service {
            shard: Some(shard),
            source,
            ..
        } => {
            assert_eq!(shard.as_str(), "shardId-000000000000");
            assert_eq!(source.code.as_deref(), Some("ServiceUnavailable"));
        }
        other => panic!("{other:?}"),
    }
    assert!(records.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_denied_or_gone_ends_the_reader_at_once_after_what_was_fetched() {
    for code in ["AccessDeniedException", "ResourceNotFoundException"] {
        let service = TestKinesis::new(2);
        let mut records = service.stream::<Bytes>().iter_from_latest().await.unwrap();
        service.put(0, "fetched");
        tokio::time::sleep(Duration::from_secs(5)).await;
        service.fail("GetRecords", 1, code, usize::MAX);
        service.fail("ListShards", 0, code, usize::MAX);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(take(&mut records, 1).await, ["fetched"]);
        let error = records.next().await.unwrap().unwrap_err();
        assert!(!error.is_retryable());
        assert!(records.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn opening_fails_within_seconds_when_nothing_answers_and_at_once_when_nothing_is_there() {
    let service = TestKinesis::new(1);
    service.fail("ListShards", 0, "timeout", usize::MAX);
    let start = service.clock().instant();
    let error = service
        .stream::<Bytes>()
        .iter_from_latest()
        .await
        .unwrap_err();
    assert!(service.clock().instant() - start < Duration::from_secs(5));
    assert!(error.is_retryable() && error.service_error().is_some());

    service.fail("ListShards", 0, "ResourceNotFoundException", usize::MAX);
    let start = service.clock().instant();
    let error = service
        .stream::<Bytes>()
        .iter_from_latest()
        .await
        .unwrap_err();
    assert!(service.clock().instant() - start < Duration::from_millis(10));
    assert!(
        error.to_string().contains("test") && !error.is_retryable(),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_sequence_number_that_the_shard_does_not_have_is_refused_at_opening() {
    let service = TestKinesis::new(1);
    let stream = service.stream::<Bytes>();
    let error = stream
        .iter_from_sequence_number(0, 77.into())
        .await
        .unwrap_err();
    assert!(matches!(&error, GetError::UnknownPosition { position, .. }
        if position.sequence_number == 77.into()));
}

#[tokio::test(start_paused = true)]
async fn a_batch_read_outlives_faults() {
    let service = TestKinesis::new(2);
    for count in 0..100 {
        service.put(count % 2, count.to_string());
    }
    service.fail("GetRecords", 0, "ProvisionedThroughputExceededException", 5);
    service.fail("GetRecords", 1, "ExpiredIteratorException", 3);
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip);
    let mut records = reader.open().await.unwrap();
    assert_eq!(super::rest(&mut records).await.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn the_numbers_tell_what_was_fetched_how_far_behind_it_is_and_what_fails() {
    let service = TestKinesis::new(3);
    for count in 0..30 {
        service.put(count % 2, count.to_string());
    }
    tokio::time::advance(Duration::from_secs(9)).await;
    service.split(2);
    service.fail(
        "GetRecords",
        1,
        "ProvisionedThroughputExceededException",
        1000,
    );
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .page_records_max(5);
    let records = reader.open().await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let stats = records.stats();
    // Shard 2 has ended and its children are read.
    assert_eq!((stats.shards.len(), stats.shards_ended), (4, 1));
    assert_eq!(stats.records, 10);
    assert!(stats.throttled_calls > 3 && stats.failed_calls == 0);
    assert!(stats.behind_latest_max() >= Some(Duration::from_secs(9)));
    let failing: Vec<_> = stats.shards.values().map(|shard| shard.failing).collect();
    assert_eq!(
        failing,
        [
            None,
            Some(crate::service::ErrorClass::Throttled),
            None,
            None
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_expires_while_it_is_read_fails_or_is_left_for_its_children() {
    for policy in [OnTrimmed::Fail, OnTrimmed::FromHorizon] {
        let service = TestKinesis::new(1);
        for count in 0..100 {
            service.put(0, count.to_string());
        }
        let [left, _] = service.split(0);
        service.put(left, "child");
        let stream = service.stream::<Bytes>();
        let reader = stream
            .reader()
            .start(StartAt::TrimHorizon)
            .page_records_max(10);
        let mut records = reader.on_trimmed(policy).open().await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        service.trim(0, true);
        take(&mut records, 20).await;
        if policy == OnTrimmed::Fail {
            let error = records.next().await.unwrap().unwrap_err();
            assert!(matches!(error, GetError::Trimmed { .. }), "{error:?}");
        } else {
            assert_eq!(take(&mut records, 1).await, ["child"]);
            assert_eq!(records.stats().gaps, 1);
        }
    }
}
