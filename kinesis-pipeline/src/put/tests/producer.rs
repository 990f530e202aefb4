//! The producer on a scripted service: flush, close, refusals.

use std::time::Duration;

use super::script::{Answer, Script, record};
use crate::PutError;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn flush_tells_how_many_records_were_not_stored() {
    let script = Script::with([], |_| Answer::Error("AccessDeniedException"));
    let producer = script.stream().producer().build().unwrap();
    for number in 0..3 {
        drop(producer.put(&record(number)).await.unwrap());
    }
    let error = producer.flush().await.unwrap_err();
    assert!(error.to_string().starts_with("3 record(s)"), "{error}");
    assert!(producer.flush().await.is_ok(), "told once");
}

#[tokio::test(start_paused = true)]
async fn close_tells_how_many_records_were_not_stored() {
    let script = Script::with([], |_| Answer::Error("AccessDeniedException"));
    let producer = script.stream().producer().build().unwrap();
    for number in 0..3 {
        drop(producer.put(&record(number)).await.unwrap());
    }
    let report = producer.close().await.unwrap_err();
    assert_eq!((report.records_failed, report.records_pending), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_broke_down_says_so_and_how_many_records_it_took_along() {
    let script = Script::new([]);
    let producer = script.stream().producer().build().unwrap();
    producer.put(&record("a")).await.unwrap().await.unwrap();
    tokio::time::sleep(SECOND).await;
    producer.pipeline().lose_state();
    let pending = producer.put(&record("b")).await.unwrap();
    assert!(matches!(pending.await, Err(PutError::Gone { .. })));
    let error = producer.flush().await.unwrap_err();
    assert!(error.to_string().contains("make another one"), "{error}");
    let report = producer.close().await.unwrap_err();
    assert_eq!((report.records_failed, report.records_pending), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn close_reports_what_is_still_on_its_way_at_its_deadline() {
    let script = Script::with([], |_| Answer::Silence);
    let producer = script
        .stream()
        .producer()
        .close_timeout(SECOND)
        .build()
        .unwrap();
    let pending = producer.put(&record("k")).await.unwrap();
    let report = producer.close().await.unwrap_err();
    assert_eq!((report.records_failed, report.records_pending), (0, 1));
    drop(pending);
}

#[tokio::test(start_paused = true)]
async fn try_put_gives_the_record_back_when_there_is_no_room() {
    let script = Script::with([], |_| Answer::Silence);
    let producer = script
        .stream()
        .producer()
        .in_flight_records_max(2)
        .build()
        .unwrap();
    drop(producer.try_put(record("a")).unwrap());
    let reserved = producer.reserve(100).await.unwrap();
    let failure = producer.try_put(record("b")).unwrap_err();
    assert!(matches!(failure.error, PutError::NoRoom { .. }) && failure.error.is_retryable());
    assert_eq!(failure.record, record("b"));
    drop(reserved.put(failure.record).unwrap());
    assert_eq!(producer.stats().records_accepted, 2);
}

#[tokio::test(start_paused = true)]
async fn a_record_expires_when_its_time_to_live_is_over() {
    let script = Script::with([], |_| Answer::Error("InternalFailure"));
    let producer = script
        .stream()
        .producer()
        .record_ttl(2 * SECOND)
        .build()
        .unwrap();
    let error = producer.put(&record("k")).await.unwrap().await.unwrap_err();
    assert!(matches!(error, PutError::Expired { .. }), "{error}");
    assert!(error.attempts() > 1);
}
