//! Which records share a request, and how much is held.

use std::sync::Arc;

use futures_util::{StreamExt as _, future::join_all, stream};

use super::{
    Answer, Script,
    script::{record, sized},
};
use crate::PutOptions;

const MIB: usize = 1024 * 1024;

#[tokio::test(start_paused = true)]
async fn a_lone_put_is_sent_at_once_and_returns_where_it_was_stored() {
    let script = Script::new([]);
    let receipt = script.stream().put(&record("k")).await.unwrap();
    assert_eq!(receipt.position().to_string(), "shardId-000000000000:1000");
    assert_eq!(receipt.attempts, 1);
    assert_eq!(receipt.time_in_buffer.as_millis(), 5);
}

#[tokio::test(start_paused = true)]
async fn concurrent_puts_of_clones_share_requests() {
    let script = Script::new([]);
    let stream = script.stream();
    let puts = (0..64).map(|number| {
        let stream = stream.clone();
        tokio::spawn(async move { stream.put(&record(number)).await.unwrap() })
    });
    let receipts = join_all(puts).await;
    assert_eq!(receipts.len(), 64);
    let requests = script.sizes();
    assert_eq!(requests.iter().sum::<usize>(), 64);
    assert!(requests.len() <= 3, "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn handles_of_one_stream_for_several_types_share_requests() {
    let script = Script::new([]);
    let stream = script.stream();
    let texts = stream.with_record_type::<Arc<String>>();
    let text = Arc::new("text".to_owned());
    let (first, second) = (record("first"), record("second"));
    let (first, text, second) =
        tokio::join!(stream.put(&first), texts.put(&text), stream.put(&second));
    first.and(text).and(second).unwrap();
    assert_eq!(script.sizes(), [3]);

    let producer = stream.producer().build().unwrap();
    let texts = producer.with_record_type::<Box<String>>();
    let pending = texts.put(&Box::new("text".to_owned())).await.unwrap();
    producer.put(&record("third")).await.unwrap().await.unwrap();
    pending.await.unwrap();
    assert_eq!(script.sizes(), [3, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_a_builder_builds_a_producer_of_its_own() {
    let script = Script::new([]);
    let builder = script.stream().producer().in_flight_records_max(7);
    let (first, second) = (builder.clone().build().unwrap(), builder.build().unwrap());
    first.close().await.unwrap();
    second.put(&record("k")).await.unwrap().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_not_held_back_by_one_slow_request() {
    let script = Script::new([Answer::Silence]);
    let stream = script.stream();
    let slow = tokio::spawn({
        let stream = stream.clone();
        async move { stream.put(&record("slow")).await }
    });
    tokio::task::yield_now().await;
    let receipt = stream.put(&record("quick")).await.unwrap();
    assert_eq!(
        receipt.time_in_buffer.as_millis(),
        25,
        "20 ms of gathering, 5 ms of service"
    );
    assert!(
        slow.await.unwrap().is_ok(),
        "the second attempt is answered"
    );
}

#[tokio::test(start_paused = true)]
async fn requests_are_cut_at_500_records() {
    let script = Script::new([]);
    let results = script.stream().put_all((0..1_200).map(record)).await;
    assert!(results.iter().all(Result::is_ok));
    let sizes = script.sizes();
    assert_eq!(sizes.iter().sum::<usize>(), 1_200);
    assert!(
        sizes.iter().all(|&size| size <= 500) && sizes.contains(&500),
        "{sizes:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn requests_are_cut_at_10_mib_with_their_keys() {
    let script = Script::new([]);
    let large = (10..40).map(|number| sized(number, MIB - 2));
    let results = script.stream().put_all(large).await;
    assert!(results.iter().all(Result::is_ok));
    let calls = script.calls();
    assert!(calls.iter().all(|call| call.bytes <= 10 * MIB));
    assert!(calls.iter().any(|call| call.bytes == 10 * MIB));
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_in_flight_than_allowed() {
    let script = Script::new([]);
    let stream = script.stream_with(PutOptions::new().requests_in_flight_max(3));
    let results = stream.put_all((0..9_000).map(record)).await;
    assert_eq!(results.len(), 9_000);
    assert_eq!(script.in_flight_max(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_source_is_not_read_further_than_there_is_room() {
    let script = Script::with([], |_| Answer::Silence);
    let options = PutOptions::new().in_flight_records_max(100);
    let stream = script.stream_with(options);
    let read = std::cell::Cell::new(0);
    let records = stream::iter(0..1_000).map(|number| {
        read.set(read.get() + 1);
        record(number)
    });
    let mut results = stream.put_stream(records);
    let waited = tokio::time::timeout(std::time::Duration::from_secs(9), results.next()).await;
    assert!(waited.is_err());
    assert_eq!(read.get(), 101, "100 have room, one waits for it");
    assert_eq!(script.sizes().iter().sum::<usize>(), 100);
}

#[tokio::test(start_paused = true)]
async fn bytes_in_flight_are_bounded() {
    let script = Script::with([], |_| Answer::Silence);
    let stream = script.stream_with(PutOptions::new().in_flight_bytes_max(2 * MIB));
    let puts = (10..20).map(|number| {
        let stream = stream.clone();
        tokio::spawn(async move { stream.put(&sized(number, MIB / 2 - 2)).await })
    });
    let puts: Vec<_> = puts.collect();
    tokio::time::sleep(std::time::Duration::from_secs(9)).await;
    assert_eq!(
        script.calls().iter().map(|call| call.bytes).sum::<usize>(),
        2 * MIB
    );
    assert!(puts.iter().all(|put| !put.is_finished()));
}

#[tokio::test(start_paused = true)]
async fn a_put_that_is_dropped_while_it_waits_for_room_is_never_sent() {
    let script = Script::with([], |_| Answer::Silence);
    let stream = script.stream_with(PutOptions::new().in_flight_records_max(1));
    let first = tokio::spawn({
        let stream = stream.clone();
        async move { stream.put(&record("first")).await }
    });
    tokio::task::yield_now().await;
    let soon = std::time::Duration::from_secs(1);
    assert!(
        tokio::time::timeout(soon, stream.put(&record("second")))
            .await
            .is_err()
    );
    first.abort();
    let third = tokio::time::timeout(soon * 3600, stream.put(&record("third"))).await;
    assert!(third.unwrap().unwrap_err().may_have_been_stored());
    let keys: Vec<_> = script
        .calls()
        .into_iter()
        .flat_map(|call| call.keys)
        .collect();
    assert!(!keys.contains(&"second".to_owned()), "{keys:?}");
}

#[tokio::test(start_paused = true)]
async fn a_put_that_is_dropped_after_it_was_accepted_is_still_sent() {
    let script = Script::new([]);
    let stream = script.stream();
    let now = std::time::Duration::ZERO;
    assert!(
        tokio::time::timeout(now, stream.put(&record("k")))
            .await
            .is_err()
    );
    drop(stream);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(script.sizes(), [1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixty_four_tasks_put_100_000_records_and_every_receipt_is_distinct() {
    let script = Script::new([]);
    let stream = script.stream();
    let tasks = (0..64).map(|task| {
        let stream = stream.clone();
        tokio::spawn(async move {
            let records = (task..100_000).step_by(64).map(record);
            stream.put_all(records).await
        })
    });
    let mut numbers = std::collections::HashSet::new();
    for results in join_all(tasks).await {
        for receipt in results.unwrap() {
            assert!(numbers.insert(receipt.unwrap().sequence_number));
        }
    }
    assert_eq!(numbers.len(), 100_000);
    assert_eq!(script.sizes().iter().sum::<usize>(), 100_000);
}
