//! The producer on a service with shards and their limits.

use std::time::Duration;

use super::{
    model::Model,
    numbered::{numbered, put_numbered, receipts},
    script::sized,
};
use crate::{EncodedRecord, Order, PartitionKey, PutError};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_lone_record_goes_raw_and_many_share_one_per_shard() {
    let model = Model::new(4, 1);
    let producer = model.stream().producer().aggregate(true).build().unwrap();
    let lone = producer.put(&numbered(0, 0)).await.unwrap().await.unwrap();
    assert_eq!(lone.sub_sequence_number, 0);
    let stored = model.stored();
    assert_eq!(stored[0].record, numbered(0, 0));

    let many = put_numbered(&producer, 100, 1_000).await;
    let stored = model.stored();
    assert_eq!(stored.len(), 1 + 4, "one aggregate per shard");
    for (number, receipt) in many.iter().enumerate() {
        assert_eq!(Model::at(&stored, receipt), numbered(number % 100, number));
    }
    assert_eq!(model.lists(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_aggregation_every_record_goes_as_it_is() {
    let model = Model::new(4, 1);
    let producer = model.stream().producer().build().unwrap();
    let receipts = put_numbered(&producer, 50, 700).await;
    let stored = model.stored();
    assert_eq!(stored.len(), 700);
    for (number, receipt) in receipts.iter().enumerate() {
        assert_eq!(Model::at(&stored, receipt), numbered(number % 50, number));
    }
}

const SPEED_SECONDS: u32 = 12;

/// How many bytes a second go through, and which part of the Kinesis records was throttled after 3 s.
async fn speed(order: Order) -> (usize, f64) {
    let model = Model::new(4, 7);
    model.enforce_limits();
    let producer = model
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
            settled = Some((model.throttled(), model.stored().len()));
        }
    }
    let bytes: usize = model
        .stored()
        .iter()
        .map(|stored| stored.record.size_bytes())
        .sum();
    let settled = settled.unwrap();
    let throttled = model.throttled() - settled.0;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let part = throttled as f64 / (model.stored().len() - settled.1 + throttled) as f64;
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
    let model = Model::new(2, 5);
    model.enforce_limits();
    let producer = model.stream().producer().build().unwrap();
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
    let model = Model::new(4, 2);
    model.distribute();
    let producer = model.stream().producer().aggregate(true).build().unwrap();
    for _ in 0..3 {
        put_numbered(&producer, 50, 500).await;
    }
    let users: usize = model
        .stored()
        .iter()
        .map(|stored| stored.users().len())
        .sum();
    assert!(
        users < 1_500 + 600,
        "{users}: at most the first aggregates go twice"
    );
    assert!(model.lists() <= 3);
    let before = model.stored().len();
    put_numbered(&producer, 50, 300).await;
    assert_eq!(
        model.stored().len(),
        before + 1,
        "one aggregate for all shards"
    );
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_list_shards_records_go_one_by_one() {
    let model = Model::new(4, 2);
    model.deny_listing();
    let producer = model.stream().producer().aggregate(true).build().unwrap();
    put_numbered(&producer, 50, 600).await;
    assert_eq!(model.stored().len(), 600);
    assert_eq!(model.lists(), 1);
}

#[tokio::test(start_paused = true)]
async fn flush_covers_the_puts_before_it_and_does_not_wait_for_the_linger() {
    let model = Model::new(2, 2);
    let producer = model
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
    assert_eq!(model.stored().len(), 20);
    assert_eq!(producer.stats().records_stored, 20);
}

#[tokio::test(start_paused = true)]
async fn close_drains_and_refuses_what_comes_later() {
    let model = Model::new(2, 2);
    let producer = model.stream().producer().build().unwrap();
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
    let model = Model::new(1, 2);
    model.enforce_limits();
    let producer = model.stream().producer().aggregate(true).build().unwrap();
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

#[tokio::test(start_paused = true)]
async fn a_stream_that_takes_larger_records_is_asked_for_its_limit() {
    const MIB: usize = 1024 * 1024;
    let model = Model::new(1, 2);
    let producer = model.stream().producer().aggregate(true).build().unwrap();
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
