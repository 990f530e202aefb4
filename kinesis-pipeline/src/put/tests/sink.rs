//! The producer as a sink.

use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt, StreamExt as _, stream};

use super::{Answer, Script, script::record};
use crate::{EncodedRecord, FlushError, PartitionKey, PutError, SinkError};

#[tokio::test(start_paused = true)]
async fn a_stream_of_more_records_than_there_is_room_for_is_stored_to_its_end() {
    let script = Script::new([]);
    let builder = script.stream().producer().in_flight_records_max(10);
    let producer = builder.build().unwrap();
    let records = stream::iter(0..100).map(record).map(Ok);
    records.forward(producer.sink()).await.unwrap();
    assert_eq!(script.sizes().iter().sum::<usize>(), 100);
    assert_eq!(producer.stats().records_pending, 0);
    assert!(
        producer.put(&record("later")).await.is_ok(),
        "the producer stays open"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_not_stored_is_told_at_the_end_and_a_bad_record_at_once() {
    let script = Script::new([Answer::Failed(&[1], "AccessDeniedException")]);
    let producer = script.stream().producer().build().unwrap();
    let records = stream::iter([record("a"), record("b")]).map(Ok);
    let error = records.forward(producer.sink()).await.unwrap_err();
    assert!(
        matches!(
            &error,
            SinkError::Flush(FlushError::NotStored { records: 1, .. })
        ),
        "{error}"
    );
    let bad = EncodedRecord::new(PartitionKey::stored(""), bytes::Bytes::new());
    let bad = stream::iter([Ok(bad)]);
    let error = bad.forward(producer.sink()).await.unwrap_err();
    assert!(
        matches!(&error, SinkError::Put(PutError::Key { .. })),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_flush_that_was_dropped_does_not_stand_for_the_next_one() {
    let script = Script::new([
        Answer::Stored,
        Answer::Failed(&[0], "AccessDeniedException"),
    ]);
    let producer = script.stream().producer().build().unwrap();
    let mut sink = producer.sink();
    sink.feed(record("a")).await.unwrap();
    let flush = SinkExt::<EncodedRecord>::flush(&mut sink);
    assert!(flush.now_or_never().is_none());
    tokio::time::sleep(Duration::from_millis(1)).await;
    sink.feed(record("b")).await.unwrap();
    let flushed = SinkExt::<EncodedRecord>::flush(&mut sink).await;
    assert_eq!(producer.stats().records_pending, 0);
    let error = flushed.unwrap_err();
    assert!(
        matches!(
            &error,
            SinkError::Flush(FlushError::NotStored { records: 1, .. })
        ),
        "{error}"
    );
}
