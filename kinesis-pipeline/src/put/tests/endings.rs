//! What ends under a producer while it works: its credentials, its stream.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};

use super::{Answer, Script, script::record};
use crate::{
    AttemptError, Clock, EncodedRecord, FlushError, KinesisStream, Order, PartitionKey,
    PendingReceipt, Producer, PutError, PutOptions, PutResults,
    clock::from_epoch_millis,
    local::LocalKinesis,
    service::{DeleteStream, ErrorClass},
};

/// A service without credentials for so long from now on.
fn without_credentials(outage: Duration, expired: bool) -> Arc<Script> {
    let until = Clock::system().instant() + outage;
    Script::with([], move |_| {
        if Clock::system().instant() >= until {
            Answer::Stored
        } else if expired {
            Answer::Error("ExpiredTokenException")
        } else {
            Answer::Unsigned
        }
    })
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn credentials_that_fail_for_a_while_delay_records_and_use_up_no_attempt() {
    for expired in [false, true] {
        let script = without_credentials(50 * SECOND, expired);
        let stream = script.stream_with(PutOptions::new().attempts_max(1));
        let receipt = stream.put(&record("k")).await.unwrap();
        assert_eq!(receipt.attempts, 1, "the others never arrived");
        assert!((50..53).contains(&receipt.time_in_buffer.as_secs()));
        assert!(script.calls().len() < 60, "{}", script.calls().len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_producer_without_credentials_keeps_its_records_and_their_order() {
    for (aggregate, order) in [
        (false, Order::None),
        (true, Order::None),
        (false, Order::PerKey),
        (true, Order::PerKey),
    ] {
        let script = without_credentials(20 * SECOND, false);
        let producer = script.stream().producer().aggregate(aggregate).order(order);
        let producer = producer.attempts_max(1).build().unwrap();
        let pending = put(&producer, 0..1_000).await;
        let mut places = Vec::new();
        for receipt in pending {
            let receipt = receipt.await.unwrap();
            assert_eq!(receipt.attempts, 1);
            let number: u128 = receipt.sequence_number.as_str().parse().unwrap();
            places.push((number, receipt.sub_sequence_number));
        }
        if order == Order::PerKey {
            assert!(places.is_sorted());
        }
        producer.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_stay_away_give_up_all_records_together_in_time() {
    for expired in [false, true] {
        let script = without_credentials(Duration::from_hours(1), expired);
        let options = PutOptions::new().outage_max(10 * SECOND);
        let begun = Clock::system().instant();
        let stream = script.stream_with(options);
        let results = stream.put_all((0..5_000).map(record)).await;
        let took = begun.elapsed();
        assert!(took >= 10 * SECOND && took < 12 * SECOND, "{took:?}");
        assert_eq!(results.failures().count(), 5_000);
        let error = &results.failures().next().unwrap().error;
        assert!(matches!(error, PutError::GaveUp { attempts: 0, .. }));
        assert!(error.is_retryable() && !error.may_have_been_stored());
        let cause = if expired {
            "with ExpiredToken"
        } else {
            "without credentials"
        };
        assert!(error.to_string().contains(cause), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_wait_behind_others_are_given_up_with_them() {
    let script = without_credentials(Duration::from_hours(1), false);
    let options = PutOptions::new().outage_max(10 * SECOND);
    let stream = script.stream_with(options.order(Order::PerKey));
    let begun = Clock::system().instant();
    let results = stream.put_all((0..5_000).map(record)).await;
    assert_eq!(results.failures().count(), 5_000);
    let took = begun.elapsed();
    assert!(took < 12 * SECOND, "one by one they take longer: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_over_with_the_first_answer() {
    let begun = Clock::system().instant();
    let script = Script::with([], move |_| match begun.elapsed().as_secs() {
        0..8 | 10..18 => Answer::Unsigned,
        _ => Answer::Stored,
    });
    let stream = script.stream_with(PutOptions::new().outage_max(10 * SECOND));
    let results = stream.put_stream(stream::iter(0..200).then(|number| async move {
        tokio::time::sleep(SECOND / 10).await;
        record(number)
    }));
    let results: PutResults<_> = results.boxed().collect::<Vec<_>>().await.into();
    assert!(results.is_ok(), "{results:?}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_another_kind_has_its_own_time() {
    let begun = Clock::system().instant();
    let script = Script::with([], move |_| match begun.elapsed().as_secs() {
        0..20 => Answer::Unsigned,
        20..23 => Answer::Refused,
        _ => Answer::Stored,
    });
    assert!(script.stream().put(&record("k")).await.is_ok());
    let dead = Script::with([], move |_| Answer::Refused);
    let begun = Clock::system().instant();
    assert!(dead.stream().put(&record("k")).await.is_err());
    assert!(begun.elapsed() < 8 * SECOND, "no endpoint, no long wait");
}

#[tokio::test(start_paused = true)]
async fn missing_credentials_fail_at_once() {
    let script = Script::new([Answer::Error("UnrecognizedClientException")]);
    let stream = script.stream();
    let error = stream.put(&record("k")).await.unwrap_err();
    assert!(matches!(error, PutError::Rejected { attempts: 1, .. }));
    let class = error.last_attempt().map(AttemptError::class);
    assert_eq!(class, Some(ErrorClass::AccessDenied));
    assert!(!error.is_retryable() && !error.may_have_been_stored());
    assert!(stream.put(&record("set")).await.is_ok());
}

async fn put(
    producer: &Producer<EncodedRecord>,
    numbers: std::ops::Range<u32>,
) -> Vec<PendingReceipt> {
    let mut receipts = Vec::new();
    for number in numbers {
        let key = PartitionKey::new(format!("device-{number}")).unwrap();
        let record = EncodedRecord::new(key, number.to_string().into());
        receipts.push(producer.put(&record).await.unwrap());
    }
    receipts
}

/// Puts, deletes the stream under way, and puts again. Returns how many of the records were rejected.
async fn delete_under_way(
    stream: &KinesisStream<EncodedRecord>,
    producer: &Producer<EncodedRecord>,
) -> u64 {
    for receipt in put(producer, 0..300).await {
        receipt.await.unwrap();
    }
    let mut receipts = put(producer, 300..900).await;
    let call = DeleteStream::new(stream.id().clone());
    stream.service().delete_stream(call).await.unwrap();
    receipts.extend(put(producer, 900..1_000).await);
    let mut rejected = 0;
    for receipt in receipts {
        if let Err(error) = receipt.await {
            assert!(matches!(error, PutError::Rejected { .. }), "{error}");
            let class = error.last_attempt().map(AttemptError::class);
            assert_eq!(class, Some(ErrorClass::NotFound), "{error}");
            assert!(error.to_string().contains("readings"), "{error}");
            rejected += 1;
        }
    }
    rejected
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_deleted_under_way_rejects_each_record_and_one_of_its_name_takes_the_next()
{
    for aggregate in [false, true] {
        let clock = Clock::tokio(from_epoch_millis(1_700_000_000_000));
        let kinesis = LocalKinesis::builder().clock(clock).start().await.unwrap();
        let stream = kinesis
            .stream::<EncodedRecord>("readings", 2)
            .await
            .unwrap();
        let producer = stream.producer().aggregate(aggregate).build().unwrap();
        let begun = Clock::system().instant();
        let rejected = delete_under_way(&stream, &producer).await;
        assert!(rejected >= 100, "{rejected}: what came after it was gone");
        assert!(begun.elapsed() < Duration::from_secs(5));
        let flushed = producer.flush().await;
        assert!(
            matches!(flushed, Err(FlushError::NotStored { records, .. }) if records == rejected),
            "{flushed:?}"
        );
        kinesis
            .stream::<EncodedRecord>("readings", 3)
            .await
            .unwrap();
        for receipt in put(&producer, 1_000..1_300).await {
            receipt.await.unwrap();
        }
        producer.flush().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_stored_after_a_dropped_flush_is_told_by_the_next_one() {
    for closes in [false, true] {
        let script = Script::with([], |_| Answer::Error("AccessDeniedException"));
        let producer = script.stream().producer().build().unwrap();
        let pending = producer.put(&record("k")).await.unwrap();
        let flush = tokio::time::timeout(Duration::from_millis(1), producer.flush());
        assert!(flush.await.is_err());
        tokio::time::sleep(SECOND).await;
        assert!(pending.await.is_err());
        if closes {
            assert_eq!(producer.close().await.unwrap_err().records_failed, 1);
        } else {
            assert!(producer.flush().await.is_err());
        }
    }
}
