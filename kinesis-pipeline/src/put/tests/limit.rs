//! Records over 1 MiB: the stream is asked whether it takes them.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt as _, SinkExt as _, future::join_all};

use super::{
    Answer, Script,
    script::{UNSIGNED, sized},
};
use crate::{Clock, EncodedRecord, KinesisStream, Order, PutError, PutOptions, Receipt};

const MIB: usize = 1024 * 1024;
const SECOND: Duration = Duration::from_secs(1);
const THROTTLED: &str = "ThrottlingException";

/// A stream that says this of its largest record, time after time.
fn saying(
    limits: impl IntoIterator<Item = Result<usize, &'static str>>,
) -> (Arc<Script>, KinesisStream<EncodedRecord>) {
    let script = Script::new([]);
    script.say_limits(limits);
    let options = PutOptions::new().outage_max(10 * SECOND);
    let stream = script.stream_with(options);
    (script, stream)
}

fn large() -> EncodedRecord {
    sized("k", 2 * MIB)
}

async fn put_large(stream: &KinesisStream<EncodedRecord>) -> Result<Receipt, PutError> {
    stream.put(&large()).await
}

#[tokio::test(start_paused = true)]
async fn large_records_that_come_while_the_stream_is_asked_wait_for_its_answer() {
    let (script, stream) = saying([Ok(4 * MIB)]);
    for result in join_all((0..5).map(|_| put_large(&stream))).await {
        assert!(result.is_ok(), "{result:?}");
    }
    assert_eq!(script.limits_asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_may_pass_is_not_taken_for_the_limit() {
    for code in [
        THROTTLED,
        "LimitExceededException",
        "InternalFailure",
        "ExpiredTokenException",
        UNSIGNED,
    ] {
        let (script, stream) = saying([Err(code), Err(code), Ok(4 * MIB)]);
        let puts = join_all((0..3).map(|_| put_large(&stream))).await;
        assert!(puts.iter().all(Result::is_ok), "{code}: {puts:?}");
        assert!(put_large(&stream).await.is_ok());
        assert_eq!(script.limits_asked(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_stays_unknown_is_one_retryable_error_for_all_who_waited() {
    let (script, stream) = saying([Err(THROTTLED)]);
    let begun = Clock::system().instant();
    for result in join_all((0..5).map(|_| put_large(&stream))).await {
        let error = result.unwrap_err();
        assert!(error.is_retryable() && error.attempts() == 0, "{error}");
        let text = error.to_string();
        assert!(matches!(error, PutError::LimitUnknown { .. }), "{text}");
        assert!(
            text.contains(THROTTLED) && text.ends_with("put it again later"),
            "{text}"
        );
    }
    let took = begun.elapsed();
    assert!(took >= 10 * SECOND && took < 11 * SECOND, "{took:?}");
    assert!((5..30).contains(&script.limits_asked()));
    // The next one asks again.
    script.say_limits([Ok(4 * MIB)]);
    assert!(put_large(&stream).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_must_not_be_asked_is_not_asked_for_each_record() {
    let (script, stream) = saying([Err("AccessDeniedException")]);
    for _ in 0..3 {
        let error = put_large(&stream).await.unwrap_err();
        assert!(!error.is_retryable());
        assert!(
            error.to_string().contains("kinesis:DescribeStreamSummary"),
            "{error}"
        );
    }
    assert_eq!(script.limits_asked(), 1);
    tokio::time::sleep(10 * SECOND).await;
    script.say_limits([Ok(4 * MIB)]);
    assert!(put_large(&stream).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_be_asked_takes_what_each_stream_takes() {
    let (_, stream) = saying([Err("UnknownOperationException")]);
    let error = put_large(&stream).await.unwrap_err();
    assert!(
        matches!(error, PutError::TooLarge { bytes_max, .. } if bytes_max == MIB),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn when_the_put_that_asks_is_dropped_the_next_one_asks() {
    let (script, stream) = saying([Ok(4 * MIB)]);
    let record = large();
    let mut first = Box::pin(stream.put(&record));
    assert!(first.as_mut().now_or_never().is_none());
    let second = put_large(&stream);
    drop(first);
    assert!(second.await.is_ok());
    assert_eq!(script.limits_asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_was_raised_is_learnt_within_seconds() {
    let (script, stream) = saying([Ok(MIB), Ok(MIB), Ok(4 * MIB)]);
    for asked in [1, 1, 2] {
        if asked == 2 {
            tokio::time::sleep(10 * SECOND).await;
        }
        let error = put_large(&stream).await.unwrap_err();
        assert!(
            matches!(error, PutError::TooLarge { bytes_max, .. } if bytes_max == MIB),
            "{error}"
        );
        assert_eq!(script.limits_asked(), asked);
    }
    tokio::time::sleep(10 * SECOND).await;
    assert!(put_large(&stream).await.is_ok());
    let error = stream.put(&sized("k", 4 * MIB)).await.unwrap_err();
    assert!(
        matches!(error, PutError::TooLarge { bytes_max, .. } if bytes_max == 4 * MIB),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_was_lowered_is_learnt_from_the_first_refusal() {
    let script = Script::new([Answer::Stored, Answer::Error("ValidationException")]);
    script.say_limits([Ok(4 * MIB), Ok(MIB)]);
    let stream = script.stream();
    assert!(put_large(&stream).await.is_ok());
    let error = put_large(&stream).await.unwrap_err();
    assert!(matches!(error, PutError::Rejected { .. }), "{error}");
    let error = put_large(&stream).await.unwrap_err();
    assert!(
        matches!(error, PutError::TooLarge { bytes_max, .. } if bytes_max == MIB),
        "{error}"
    );
    assert_eq!(script.limits_asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_of_a_small_record_says_nothing_about_the_limit() {
    let refused = Answer::Error("ValidationException");
    let script = Script::new([Answer::Stored, refused]);
    script.say_limits([Ok(4 * MIB)]);
    let stream = script.stream();
    assert!(put_large(&stream).await.is_ok());
    assert!(stream.put(&sized("k", 10)).await.is_err());
    assert!(put_large(&stream).await.is_ok());
    assert_eq!(script.limits_asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_over_what_any_stream_takes_is_refused_without_asking() {
    let (script, stream) = saying([Ok(10 * MIB)]);
    let error = stream.put(&sized("k", 10 * MIB)).await.unwrap_err();
    assert!(matches!(error, PutError::TooLarge { .. }), "{error}");
    assert_eq!(script.limits_asked(), 0);
    assert!(stream.put(&sized("k", 10 * MIB - 1)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_no_stream_has_is_read_as_the_nearest_that_one_has() {
    let (_, stream) = saying([Ok(1)]);
    assert!(put_large(&stream).await.is_err());
    assert!(stream.put(&sized("k", 10)).await.is_ok());
    let (_, stream) = saying([Ok(20 * MIB)]);
    assert!(put_large(&stream).await.is_ok());
    let error = stream.put(&sized("k", 10 * MIB)).await.unwrap_err();
    assert!(
        matches!(error, PutError::TooLarge { bytes_max, .. } if bytes_max == 10 * MIB),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_put_that_does_not_wait_says_that_the_limit_is_not_known() {
    let script = Script::new([]);
    script.say_limits([Ok(MIB), Ok(4 * MIB)]);
    let producer = script.stream().producer().build().unwrap();
    let error = producer.try_put(large()).unwrap_err().error;
    assert!(
        matches!(error, PutError::LimitUnknown { source: None, .. }) && error.is_retryable(),
        "{error}"
    );
    assert!(error.to_string().ends_with("wait with `put`"), "{error}");
    let budget = producer.reserve(2 * MIB).await.unwrap();
    let error = budget.put(large()).unwrap_err().error;
    assert!(matches!(error, PutError::TooLarge { .. }), "{error}");
    assert!(producer.put(&large()).await.is_err());
    let error = producer.try_put(large()).unwrap_err().error;
    assert!(matches!(error, PutError::TooLarge { .. }), "{error}");
    // An answer that has grown old is none.
    tokio::time::sleep(10 * SECOND).await;
    let error = producer.try_put(large()).unwrap_err().error;
    assert!(matches!(error, PutError::LimitUnknown { .. }), "{error}");
    assert!(producer.put(&large()).await.is_ok());
    assert!(producer.try_put(large()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn many_at_once_and_sinks_wait_for_the_answer_too() {
    let (script, stream) = saying([Err(THROTTLED), Ok(4 * MIB)]);
    let results = stream.put_all((0..4).map(|_| large())).await;
    assert!(results.is_ok(), "{results:?}");
    let producer = stream.producer().build().unwrap();
    script.say_limits([Err(THROTTLED), Ok(4 * MIB)]);
    let mut sink = producer.sink();
    sink.send(large()).await.unwrap();
    futures_util::SinkExt::<EncodedRecord>::close(&mut sink)
        .await
        .unwrap();
    assert_eq!(producer.stats().records_stored, 1);
}

#[tokio::test(start_paused = true)]
async fn a_producer_of_aggregates_asks_a_stream_that_takes_larger_records_for_its_limit() {
    let script = Script::new([]);
    script.say_limits([Ok(4 * MIB)]);
    let producer = script.stream().producer().aggregate(true).build().unwrap();
    let large = sized("k", 4 * MIB - 1);
    let failure = producer.try_put(&large).unwrap_err();
    assert!(
        matches!(failure.error, PutError::LimitUnknown { .. }),
        "not known yet"
    );
    assert!(producer.put(&large).await.unwrap().await.is_ok());
    assert!(producer.try_put(&large).unwrap().await.is_ok());
    let error = producer.put(&sized("k", 4 * MIB)).await.unwrap_err();
    assert!(matches!(error, PutError::TooLarge { bytes_max, .. } if bytes_max == 4 * MIB));
}

#[tokio::test(start_paused = true)]
async fn room_for_a_large_record_is_reserved_once_the_limit_is_known() {
    let (script, stream) = saying([Err(THROTTLED), Ok(4 * MIB)]);
    let producer = stream.producer().build().unwrap();
    let reserved = producer.reserve(3 * MIB).await.unwrap();
    reserved.put(large()).unwrap().await.unwrap();
    assert_eq!(script.limits_asked(), 2);
    // Room for more than the stream takes can be had, and be used for less.
    let reserved = producer.reserve(5 * MIB).await.unwrap();
    reserved.put(large()).unwrap().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn small_records_beside_one_over_a_lowered_limit_are_stored() {
    let script = Script::with([Answer::Stored], |call| {
        let sizes = call.records.iter().map(EncodedRecord::size_bytes);
        if sizes.max() > Some(2 * MIB) {
            Answer::Error("ValidationException")
        } else {
            Answer::Stored
        }
    });
    script.say_limits([Ok(4 * MIB), Ok(2 * MIB)]);
    for aggregate in [false, true] {
        for order in [Order::None, Order::PerKey] {
            let producer = script.stream().producer().aggregate(aggregate);
            let producer = producer.order(order).build().unwrap();
            let mut results = Vec::new();
            for number in 0..100 {
                let bytes = if number % 10 == 5 { 3 * MIB } else { 1_000 };
                let put = producer.put(&sized(number % 7, bytes)).await;
                results.push(match put {
                    Ok(pending) => pending.await.map(drop),
                    Err(error) => Err(error),
                });
            }
            for (number, result) in results.iter().enumerate() {
                assert_eq!(result.is_ok(), number % 10 != 5, "{number}: {result:?}");
            }
            assert!(producer.put(&sized("k", MIB * 3 / 2)).await.is_ok());
            producer.close().await.ok();
            script.say_limits([Ok(4 * MIB), Ok(2 * MIB)]);
        }
    }
}
