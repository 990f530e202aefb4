//! The producer on a service that fails in many ways and is resharded.

use std::{sync::Arc, time::Duration};

use super::{
    network::{Faults, Latencies, Network},
    numbered::{assert_order, numbered, put_either, receipts},
};
use crate::{EncodedRecord, Order, trials::seeds};

const SECOND: Duration = Duration::from_secs(1);

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

/// A network with the faults and latencies of this seed.
async fn faulty_network(seed: u64) -> Arc<Network> {
    let network = Network::new(3, seed).await;
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut one_of = |values: [f64; 3]| values[rng.usize(..3)];
    network.set_faults(Faults {
        lost_answers: 0.02,
        throttled_records: 0.05,
        failed_records: 0.01,
        failed_requests: 0.01,
        throttled_listings: one_of([0.0, 0.3, 0.9]),
        stale_listings: one_of([0.0, 0.4, 1.0]),
        cut_listings: one_of([0.0, 0.2, 0.5]),
        denied_listings: 0.0,
        repeated_tokens: one_of([0.0, 0.5, 1.0]),
        slow_listings: one_of([0.0, 0.1, 1.0]),
        endless_tokens: false,
    });
    let mut millis = || Duration::from_millis([2, 10, 60, 200][rng.usize(..4)]);
    network.set_latencies(Latencies {
        request: millis(),
        listing: millis(),
    });
    network
}

/// Puts records under faults while the stream is split and merged, and checks what is stored and promised.
/// Returns how many records were put again because they were in a wrong shard.
async fn fault_run(run: FaultRun) -> usize {
    const RECORDS: usize = 6_000;
    const KEYS: usize = 200;
    let FaultRun { seed, order, .. } = run;
    let network = faulty_network(seed).await;
    let producer = network.stream().producer().aggregate(run.aggregate);
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
            1_500 => network.split(1).await,
            // Both children, maybe before they were ever listed.
            1_700 => {
                network.split(1).await;
                network.split(3).await;
            }
            3_000 => network.merge(2).await,
            4_500 => network.split(0).await,
            4_000 => network.lose_credentials(7 * SECOND),
            5_000 if seed % 3 == 2 => {
                producer.flush().await.unwrap();
                network.make_again(2).await;
            }
            5_500 if seed % 3 == 2 => network.split(0).await,
            _ => {}
        }
        let put = put_either(&producer, numbered(number % KEYS, number), number).await;
        pending.push(put.unwrap());
    }
    let receipts = receipts(pending).await;
    let log = network.log().await;
    for (number, receipt) in receipts.iter().enumerate() {
        let user = log.user(receipt);
        assert_eq!(*user, numbered(number % KEYS, number), "seed {seed}");
        let stored = log.at(receipt);
        let is_kept = stored.range().contains(user.hash_key());
        assert!(is_kept, "seed {seed}: {number} is outside of its shard");
        assert!(!run.whole || stored.is_whole(), "seed {seed}");
    }
    let put_again = usize::try_from(producer.stats().records_put_again).unwrap();
    let duplicates = log.users().count() - RECORDS;
    assert!(
        duplicates <= network.lost_records() + put_again,
        "seed {seed}"
    );
    assert!(
        run.aggregate || put_again == 0,
        "seed {seed}: alone, a record is right"
    );
    if order == Order::PerKey {
        assert_order(log.users(), seed);
    }
    producer.close().await.unwrap();
    put_again
}

/// A record, by chance with a hash key of its own.
fn hashed(key: usize, number: usize) -> EncodedRecord {
    let mut record = numbered(key, number);
    if !key.is_multiple_of(3) {
        let step = u128::MAX / 199;
        record.explicit_hash_key = Some((key as u128 * 57 % 199 * step).into());
    }
    record
}

/// Puts records under faults while anything happens to the stream at any time, and checks what is promised.
async fn any_history(seed: u64) {
    const KEYS: usize = 150;
    let network = faulty_network(seed).await;
    let mut rng = fastrand::Rng::with_seed(seed);
    let (aggregate, whole) = (rng.u8(..8) > 0, rng.bool());
    let order = if rng.u8(..3) == 0 {
        Order::PerKey
    } else {
        Order::None
    };
    let producer = network.stream().producer().aggregate(aggregate);
    let producer = producer
        .whole_aggregates_again(whole)
        .aggregate_bytes_max(2_000)
        .order(order)
        .attempts_max(100)
        .linger(Duration::from_millis(rng.u64(..30)))
        .build()
        .unwrap();
    let mut open: usize = 3;
    let mut pending = Vec::new();
    for number in 0..3_000 {
        if number % 10 == 0 {
            tokio::time::sleep(Duration::from_millis(rng.u64(..4))).await;
        }
        match rng.u16(..1_000) {
            0..4 if open < 8 => {
                network.split(rng.usize(..open)).await;
                open += 1;
            }
            4..8 if open > 1 => {
                network.merge(rng.usize(..open - 1)).await;
                open -= 1;
            }
            8 => network.lose_credentials(rng.u32(..8) * SECOND),
            9 => producer.flush().await.unwrap(),
            10 if rng.bool() => {
                producer.flush().await.unwrap();
                open = rng.usize(1..5);
                network.make_again(open.try_into().unwrap()).await;
            }
            _ => {}
        }
        let put = put_either(&producer, hashed(number % KEYS, number), number).await;
        pending.push(put.unwrap());
    }
    let receipts = receipts(pending).await;
    let log = network.log().await;
    for (number, receipt) in receipts.iter().enumerate() {
        let (user, stored) = (log.user(receipt), log.at(receipt));
        assert_eq!(*user, hashed(number % KEYS, number), "seed {seed}");
        let is_kept = stored.range().contains(user.hash_key());
        assert!(is_kept, "seed {seed}: {number} is outside of its shard");
        assert!(!whole || stored.is_whole(), "seed {seed}");
    }
    if order == Order::PerKey {
        assert_order(log.users(), seed);
    }
    producer.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_to_the_stream_every_record_is_stored_where_its_receipt_says() {
    for seed in 0..seeds(24) {
        any_history(seed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn under_faults_and_reshards_every_record_is_stored_where_its_receipt_says() {
    let mut put_again = 0;
    for seed in 0..16 {
        let (aggregate, whole) = (seed % 4 > 0, seed % 4 == 3);
        let run = FaultRun {
            seed,
            aggregate,
            whole,
            ..FAULT_RUN
        };
        put_again += fault_run(run).await;
    }
    assert!(
        put_again > 500,
        "{put_again}: reshards left nothing in a wrong shard"
    );
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
