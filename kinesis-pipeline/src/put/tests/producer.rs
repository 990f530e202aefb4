//! The producer on a service with shards, limits and faults.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    model::{Faults, Latencies, Model, Stored},
    script::{Answer, Script, record, sized},
};
use crate::{EncodedRecord, Order, PartitionKey, PendingReceipt, Producer, PutError, Receipt};

const SECOND: Duration = Duration::from_secs(1);

/// A record whose data is its number.
pub(super) fn numbered(key: usize, number: usize) -> EncodedRecord {
    let key = PartitionKey::new(format!("key-{key}")).unwrap();
    EncodedRecord::new(key, number.to_string().into())
}

async fn receipts(pending: Vec<PendingReceipt>) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for pending in pending {
        receipts.push(pending.await.expect("stored"));
    }
    receipts
}

/// Puts `count` numbered records under `keys` keys, and returns their receipts.
async fn put_numbered(
    producer: &Producer<EncodedRecord>,
    keys: usize,
    count: usize,
) -> Vec<Receipt> {
    let mut pending = Vec::new();
    for number in 0..count {
        pending.push(
            producer
                .put(&numbered(number % keys, number))
                .await
                .unwrap(),
        );
    }
    receipts(pending).await
}

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

/// One run on a stream that is split, merged and, by some seeds, made again.
#[derive(Clone, Copy)]
struct FaultRun {
    seed: u64,
    aggregate: bool,
    order: Order,
    /// For readers that drop an aggregate with one record in a wrong shard.
    whole: bool,
}

const FAULT_RUN: FaultRun = FaultRun {
    seed: 0,
    aggregate: true,
    order: Order::None,
    whole: false,
};

/// A model with the faults and latencies of this seed.
fn faulty_model(seed: u64) -> Arc<Model> {
    let model = Model::new(3, seed);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut one_of = |values: [f64; 3]| values[rng.usize(..3)];
    model.set_faults(Faults {
        lost_answers: 0.02,
        throttled_records: 0.05,
        failed_records: 0.01,
        failed_requests: 0.01,
        throttled_listings: one_of([0.0, 0.3, 0.9]),
        stale_listings: one_of([0.0, 0.4, 1.0]),
        cut_listings: one_of([0.0, 0.2, 0.5]),
        repeated_tokens: one_of([0.0, 0.5, 1.0]),
        slow_listings: one_of([0.0, 0.1, 1.0]),
        endless_tokens: false,
    });
    let mut millis = || Duration::from_millis([2, 10, 60, 200][rng.usize(..4)]);
    model.set_latencies(Latencies {
        request: millis(),
        listing: millis(),
    });
    model
}

/// Puts records under faults while the stream is split and merged, and checks what is stored and promised.
/// Returns how many records were put again because they were in a wrong shard.
async fn fault_run(run: FaultRun) -> usize {
    const RECORDS: usize = 6_000;
    const KEYS: usize = 200;
    let FaultRun { seed, order, .. } = run;
    let model = faulty_model(seed);
    let producer = model.stream().producer().aggregate(run.aggregate);
    let producer = producer
        .whole_aggregates_again(run.whole)
        .aggregate_bytes_max(2_000)
        .order(order)
        .attempts_max(100)
        .linger(Duration::from_millis(20))
        .build()
        .unwrap();
    let mut pending = Vec::new();
    for number in 0..RECORDS {
        if number % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        match number {
            1_500 => model.split(1),
            // Both children, maybe before they were ever listed.
            1_700 => {
                model.split(1);
                model.split(3);
            }
            3_000 => model.merge(2),
            4_500 => model.split(0),
            4_000 => model.lose_credentials(7 * SECOND),
            5_000 if seed % 3 == 2 => {
                // A stream takes a while to go and to come.
                producer.flush().await.unwrap();
                tokio::time::sleep(6 * SECOND).await;
                model.make_again(2);
            }
            5_500 if seed % 3 == 2 => model.split(0),
            _ => {}
        }
        let put = producer.put(&numbered(number % KEYS, number)).await;
        pending.push(put.unwrap());
    }
    let receipts = receipts(pending).await;
    let stored = model.stored();
    let users: Vec<_> = stored.iter().map(Stored::users).collect();
    for (number, receipt) in receipts.iter().enumerate() {
        let index = Model::index_of(receipt);
        let user = &users[index][usize::try_from(receipt.sub_sequence_number).unwrap()];
        assert_eq!(*user, numbered(number % KEYS, number), "seed {seed}");
        let Stored {
            shard_id, range, ..
        } = &stored[index];
        assert_eq!(*shard_id, receipt.shard_id, "seed {seed}");
        let is_kept = range.contains(user.hash_key());
        assert!(is_kept, "seed {seed}: {number} is outside of its shard");
        assert!(!run.whole || stored[index].is_whole(), "seed {seed}");
    }
    let users: Vec<_> = users.into_iter().flatten().collect();
    let astride = usize::try_from(producer.stats().records_put_astride).unwrap();
    let duplicates = users.len() - RECORDS;
    assert!(duplicates <= model.lost_records() + astride, "seed {seed}");
    assert!(
        run.aggregate || astride == 0,
        "seed {seed}: alone, a record is right"
    );
    if order == Order::PerKey {
        assert_order(&users, seed);
    }
    producer.close().await.unwrap();
    astride
}

/// The first copies of the records of each key are stored in their order.
pub(super) fn assert_order(users: &[EncodedRecord], seed: u64) {
    let mut met = HashSet::new();
    let mut last: HashMap<&str, usize> = HashMap::new();
    for user in users {
        let number: usize = std::str::from_utf8(&user.data).unwrap().parse().unwrap();
        if met.insert(number)
            && let Some(before) = last.insert(user.partition_key.as_str(), number)
        {
            assert!(before < number, "seed {seed}: {number} after {before}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn under_faults_and_reshards_every_record_is_stored_where_its_receipt_says() {
    let mut astride = 0;
    for seed in 0..16 {
        let (aggregate, whole) = (seed % 4 > 0, seed % 4 == 3);
        let run = FaultRun {
            seed,
            aggregate,
            whole,
            ..FAULT_RUN
        };
        astride += fault_run(run).await;
    }
    assert!(astride > 500, "{astride}: reshards left nothing astride");
}

#[tokio::test(start_paused = true)]
async fn under_faults_and_reshards_the_order_of_each_key_holds() {
    for seed in 100..112 {
        let order = Order::PerKey;
        fault_run(FaultRun {
            seed,
            order,
            ..FAULT_RUN
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_order_a_retried_record_is_overtaken() {
    // Shows that the check of the order can fail.
    let model = Model::new(1, 3);
    model.set_faults(Faults {
        throttled_records: 0.2,
        ..Faults::default()
    });
    let producer = model
        .stream()
        .producer()
        .linger(Duration::ZERO)
        .build()
        .unwrap();
    put_numbered(&producer, 1, 500).await;
    let numbers: Vec<usize> = model
        .stored()
        .iter()
        .map(|stored| {
            std::str::from_utf8(&stored.record.data)
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    assert!(!numbers.is_sorted());
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
