//! The producer on a service with shards and their limits.

use std::time::Duration;

use super::{
    network::{Faults, Network},
    numbered::{numbered, put_numbered, receipts},
    script::sized,
};
use crate::{EncodedRecord, Order, PartitionKey, PutError};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_lone_record_goes_raw_and_many_share_one_per_shard() {
    let network = Network::new(4, 1).await;
    let producer = network.stream().producer().aggregate(true).build().unwrap();
    let lone = producer.put(&numbered(0, 0)).await.unwrap().await.unwrap();
    assert_eq!(lone.sub_sequence_number, 0);
    assert_eq!(network.log().await.at(&lone).record, numbered(0, 0));

    let many = put_numbered(&producer, 100, 1_000).await;
    let log = network.log().await;
    assert_eq!(log.stored.len(), 1 + 4, "one aggregate per shard");
    for (number, receipt) in many.iter().enumerate() {
        assert_eq!(*log.user(receipt), numbered(number % 100, number));
    }
    assert_eq!(network.lists(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_aggregation_every_record_goes_as_it_is() {
    let network = Network::new(4, 1).await;
    let producer = network.stream().producer().build().unwrap();
    let receipts = put_numbered(&producer, 50, 700).await;
    let log = network.log().await;
    assert_eq!(log.stored.len(), 700);
    for (number, receipt) in receipts.iter().enumerate() {
        assert_eq!(*log.user(receipt), numbered(number % 50, number));
    }
}

const SPEED_SECONDS: u32 = 12;

/// How many bytes a second go through, and which part of the Kinesis records was throttled after 3 s.
async fn speed(order: Order) -> (usize, f64) {
    let network = Network::with_limits(4, 7).await;
    let producer = network
        .stream()
        .producer()
        .aggregate(true)
        .order(order)
        .build()
        .unwrap();
    let begun = crate::Clock::system().instant();
    let mut settled = None;
    let mut number = 0;
    while begun.elapsed() < SPEED_SECONDS * SECOND {
        let mut data = number.to_string();
        data.extend(std::iter::repeat_n('x', 100 - data.len()));
        let key = PartitionKey::new(format!("device-{number}")).unwrap();
        drop(
            producer
                .put(&EncodedRecord::new(key, data.into()))
                .await
                .unwrap(),
        );
        number += 1;
        if settled.is_none() && begun.elapsed() > 3 * SECOND {
            settled = Some((network.throttled(), network.stored_count()));
        }
    }
    let bytes = network.stored_bytes();
    let settled = settled.unwrap();
    let throttled = network.throttled() - settled.0;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let part = throttled as f64 / (network.stored_count() - settled.1 + throttled) as f64;
    (bytes / SPEED_SECONDS as usize, part)
}

#[tokio::test(start_paused = true)]
async fn four_shards_are_kept_busy_and_not_throttled() {
    let (rate, throttled) = speed(Order::None).await;
    assert!(rate > 4 * 1_048_576 * 95 / 100, "{rate} bytes a second");
    assert!(throttled < 0.01, "{throttled}");
    let (ordered, throttled) = speed(Order::PerKey).await;
    assert!(
        ordered > rate * 80 / 100,
        "{ordered} of {rate} bytes a second"
    );
    assert!(throttled < 0.01, "{throttled}");
}

#[tokio::test(start_paused = true)]
async fn a_hot_shard_does_not_hold_back_the_others() {
    let network = Network::with_limits(2, 5).await;
    let producer = network.stream().producer().build().unwrap();
    let key_of = |high: bool| {
        let keys = (0..).map(|number| format!("key-{number}"));
        let mut keys =
            keys.filter(|key| (crate::HashKey::of_partition_key(key).value() >> 127 == 1) == high);
        PartitionKey::new(keys.next().unwrap()).unwrap()
    };
    let (hot, cold) = (key_of(true), key_of(false));
    for _ in 0..8_000 {
        drop(
            producer
                .put(&EncodedRecord::new(hot.clone(), "x".into()))
                .await
                .unwrap(),
        );
    }
    let cold = producer
        .put(&EncodedRecord::new(cold, "x".into()))
        .await
        .unwrap()
        .await
        .unwrap();
    assert!(cold.time_in_buffer < SECOND, "{:?}", cold.time_in_buffer);
    assert!(producer.stats().records_pending > 5_000);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_distributes_by_itself_is_recognized() {
    let network = Network::new(4, 2).await;
    network.distribute();
    let producer = network.stream().producer().aggregate(true).build().unwrap();
    for _ in 0..3 {
        put_numbered(&producer, 50, 500).await;
    }
    let users = network.log().await.users().count();
    assert!(
        users < 1_500 + 600,
        "{users}: at most the first aggregates go twice"
    );
    assert!(network.lists() <= 3);
    let before = network.stored_count();
    put_numbered(&producer, 50, 300).await;
    assert_eq!(
        network.stored_count(),
        before + 1,
        "one aggregate for all shards"
    );
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_list_shards_records_go_one_by_one() {
    let network = Network::new(4, 2).await;
    network.set_faults(Faults {
        denied_listings: 1.0,
        ..Faults::default()
    });
    let producer = network.stream().producer().aggregate(true).build().unwrap();
    put_numbered(&producer, 50, 600).await;
    assert_eq!(network.stored_count(), 600);
    assert_eq!(network.lists(), 1);
}

#[tokio::test(start_paused = true)]
async fn flush_covers_the_puts_before_it_and_does_not_wait_for_the_linger() {
    let network = Network::new(2, 2).await;
    let producer = network
        .stream()
        .producer()
        .linger(60 * SECOND)
        .build()
        .unwrap();
    producer.flush().await.unwrap();
    for number in 0..20 {
        drop(producer.put(&numbered(number, number)).await.unwrap());
    }
    let flushed = tokio::time::timeout(SECOND, producer.flush()).await;
    assert_eq!(flushed, Ok(Ok(())));
    assert_eq!(network.stored_count(), 20);
    assert_eq!(producer.stats().records_stored, 20);
}

#[tokio::test(start_paused = true)]
async fn close_drains_and_refuses_what_comes_later() {
    let network = Network::new(2, 2).await;
    let producer = network.stream().producer().build().unwrap();
    let other = producer.clone();
    let pending = producer.put(&numbered(1, 1)).await.unwrap();
    producer.close().await.unwrap();
    assert!(pending.await.is_ok());
    let error = other.put(&numbered(2, 2)).await.unwrap_err();
    assert!(matches!(error, PutError::Closed { .. }), "{error}");
    assert!(matches!(
        other.try_put(&numbered(2, 2)).unwrap_err().error,
        PutError::Closed { .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn large_records_go_alone_and_at_the_pace_of_the_shard() {
    let network = Network::with_limits(1, 2).await;
    let producer = network.stream().producer().aggregate(true).build().unwrap();
    let mut pending = Vec::new();
    for number in 0..5 {
        pending.push(producer.put(&sized(number, 1_000_000)).await.unwrap());
    }
    let last = receipts(pending).await.pop().unwrap();
    assert!(
        (3..9).contains(&last.time_in_buffer.as_secs()),
        "{:?}",
        last.time_in_buffer
    );
}
