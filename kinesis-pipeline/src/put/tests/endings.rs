//! What ends under a producer while it works: its credentials, its stream.

use std::time::Duration;

use super::{Answer, Script, script::record};
use crate::{
    AttemptError, Clock, EncodedRecord, FlushError, KinesisStream, PartitionKey, PendingReceipt,
    Producer, PutError,
    clock::from_epoch_millis,
    local::LocalKinesis,
    service::{DeleteStream, ErrorClass},
};

#[tokio::test(start_paused = true)]
async fn credentials_that_expire_fail_what_was_sent_with_them_and_nothing_else() {
    let script = Script::new([Answer::Stored, Answer::Error("ExpiredTokenException")]);
    let stream = script.stream();
    assert!(stream.put(&record("before")).await.is_ok());
    let error = stream.put(&record("meanwhile")).await.unwrap_err();
    assert!(matches!(error, PutError::Rejected { .. }), "{error}");
    let class = error.last_attempt().map(AttemptError::class);
    assert_eq!(class, Some(ErrorClass::AccessDenied));
    assert!(!error.is_retryable() && !error.may_have_been_stored());
    assert!(stream.put(&record("renewed")).await.is_ok());
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
