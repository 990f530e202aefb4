//! Many records at once.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::{Answer, Script, script::record};
use crate::{
    PutError, PutOptions,
    record::{EncodedRecord, PartitionKey},
};

const NO_RETRIES: fn() -> PutOptions = || PutOptions::new().attempts_max(1);

#[tokio::test(start_paused = true)]
async fn results_come_in_the_order_of_the_records_although_some_are_retried() {
    let throttled = "ProvisionedThroughputExceededException";
    let script = Script::new([Answer::Failed(&[0, 2], throttled), Answer::Stored]);
    let results = script.stream().put_all((0..4).map(record)).await;
    let attempts: Vec<_> = results
        .iter()
        .map(|result| result.as_ref().unwrap().attempts)
        .collect();
    assert_eq!(attempts, [2, 1, 2, 1]);
    assert_eq!(script.calls()[1].keys, ["0", "2"]);
}

#[tokio::test(start_paused = true)]
async fn what_failed_comes_back_with_its_record_and_the_others_are_stored() {
    let script = Script::new([Answer::Failed(&[1], "InternalFailure")]);
    let stream = script.stream_with(NO_RETRIES());
    let records = [record("a"), record("b"), record("c")];
    let results = stream.put_all(&records).await;
    assert!(results[0].is_ok() && results[2].is_ok());
    let failure = results[1].as_ref().unwrap_err();
    assert_eq!(failure.record, &records[1]);
    assert!(failure.error.is_retryable() && !failure.error.may_have_been_stored());
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_is_never_sent_and_does_not_stop_the_others() {
    let script = Script::new([]);
    let bad = EncodedRecord::new(PartitionKey::stored(""), bytes::Bytes::new());
    let results = script
        .stream()
        .put_all([record("a"), bad.clone(), record("b")])
        .await;
    assert!(results[0].is_ok() && results[2].is_ok());
    let failure = results[1].as_ref().unwrap_err();
    assert!(matches!(failure.error, PutError::Key { .. }));
    assert_eq!(failure.record, bad);
    assert_eq!(script.calls()[0].keys, ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_gives_no_results() {
    let script = Script::new([]);
    let results = script.stream().put_all(Vec::<EncodedRecord>::new()).await;
    assert!(results.is_empty() && script.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn results_of_a_slow_source_come_before_its_next_record() {
    let script = Script::new([]);
    let records = stream::iter([record("first")]).chain(stream::pending());
    let handle = script.stream();
    let mut results = handle.put_stream(records);
    assert!(results.next().await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn next_may_be_dropped_without_losing_a_result() {
    let script = Script::new([]);
    let handle = script.stream();
    let mut results = handle.put_stream(stream::iter(0..3).map(record));
    let mut stored = 0;
    loop {
        let wait = tokio::time::timeout(Duration::from_millis(1), results.next());
        match wait.await {
            Ok(None) => break,
            Ok(Some(result)) => stored += usize::from(result.is_ok()),
            Err(_) => {}
        }
    }
    assert_eq!(stored, 3);
}

#[tokio::test(start_paused = true)]
async fn a_dead_endpoint_fails_ten_thousand_records_together() {
    let script = Script::with([], |_| Answer::Refused);
    let begun = crate::Clock::system().instant();
    let results = script.stream().put_all((0..10_000).map(record)).await;
    assert_eq!(results.len(), 10_000);
    for result in &results {
        let error = &result.as_ref().unwrap_err().error;
        assert!(matches!(error, PutError::GaveUp { .. }) && error.is_retryable());
        assert!(!error.may_have_been_stored());
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_is_closed_gives_all_records_back() {
    let script = Script::new([]);
    let producer = script.stream().producer().build().unwrap();
    let results = producer.put_all((0..3).map(record)).await;
    assert!(results.is_ok());
    producer.clone().close().await.unwrap();
    let failures = producer.put_all((0..3).map(record)).await.into_failures();
    for (number, failure) in failures.enumerate() {
        assert!(matches!(failure.error, PutError::Closed { .. }));
        assert_eq!(failure.record, record(number));
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_is_read_no_more_than_ten_thousand_records_ahead_of_the_results() {
    let script = Script::with([], |_| Answer::Silence);
    let options = PutOptions::new().in_flight_records_max(100_000);
    let stream = script.stream_with(options);
    let mut read = 0;
    let source = stream::iter(0..20_000).inspect(|_| read += 1).map(record);
    let mut results = stream.put_stream(source);
    let next = tokio::time::timeout(Duration::from_secs(1), results.next());
    assert!(next.await.is_err());
    drop(results);
    assert_eq!(read, 10_000);
}
