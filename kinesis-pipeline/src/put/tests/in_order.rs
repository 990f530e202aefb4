//! The order of the records of a key.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::{
    network::{Faults, Network},
    numbered::{assert_order, numbered, put_numbered},
};
use crate::{Order, PutOptions, PutResults, Receipt, trials::seeds};

/// Puts records of 20 keys through a service that fails in many ways and is resharded, and checks that each is where
/// its receipt says, and that the records of each key are stored in their order.
async fn ordered_run(seed: u64, as_producer: bool) {
    const RECORDS: usize = 2_000;
    let network = Network::new(3, seed).await;
    network.set_faults(Faults {
        lost_answers: 0.02,
        throttled_records: 0.05,
        failed_records: 0.01,
        failed_requests: 0.01,
        ..Faults::default()
    });
    let source = stream::iter(0..RECORDS).then(async |number| {
        match number {
            400 => network.split(1).await,
            800 => network.lose_credentials(Duration::from_secs(5)),
            1_200 => network.merge(2).await,
            _ => {}
        }
        numbered(number % 20, number)
    });
    let source = Box::pin(source);
    let options = PutOptions::new().attempts_max(100).order(Order::PerKey);
    let handle = network.stream().with_put_options(options).unwrap();
    let results: PutResults<_> = if as_producer {
        let producer = handle.producer().aggregate(true).order(Order::PerKey);
        let producer = producer.attempts_max(100).in_flight_records_max(300);
        let producer = producer.build().unwrap();
        let results: Vec<_> = producer.put_stream(source).collect().await;
        producer.close().await.unwrap();
        results.into()
    } else {
        handle.put_stream(source).collect::<Vec<_>>().await.into()
    };
    let log = network.log().await;
    for (number, receipt) in results.ok().unwrap().iter().enumerate() {
        let record = numbered(number % 20, number);
        assert_eq!(*log.user(receipt), record, "seed {seed}");
    }
    assert_order(log.users(), seed);
}

#[tokio::test(start_paused = true)]
async fn in_order_the_records_of_each_key_are_stored_as_they_came_whatever_fails() {
    for seed in 0..seeds(6) {
        ordered_run(seed, seed % 2 == 1).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_order_put_all_lets_records_of_a_key_overtake_each_other() {
    let network = Network::new(1, 3).await;
    network.set_faults(Faults {
        throttled_records: 0.2,
        ..Faults::default()
    });
    let records = (0..200).map(|number| numbered(0, number));
    let receipts = network.stream().put_all(records).await.ok().unwrap();
    let number = |receipt: &Receipt| receipt.sequence_number.clone();
    assert!(!receipts.iter().map(number).is_sorted());
    let network = Network::new(1, 3).await;
    network.set_faults(Faults {
        throttled_records: 0.2,
        ..Faults::default()
    });
    let records = (0..200).map(|number| numbered(0, number));
    let options = PutOptions::new().order(Order::PerKey);
    let in_order = network.stream().with_put_options(options).unwrap();
    let receipts = in_order.put_all(records).await.ok().unwrap();
    assert!(receipts.iter().map(number).is_sorted());
}

#[tokio::test(start_paused = true)]
async fn in_order_the_shards_take_records_side_by_side() {
    let network = Network::new(4, 1).await;
    let options = PutOptions::new().order(Order::PerKey);
    let stream = network.stream().with_put_options(options).unwrap();
    let begun = crate::Clock::system().instant();
    let records = (0..400).map(|number| numbered(number, number));
    assert!(stream.put_all(records).await.is_ok());
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(2),
        "one by one it takes 4 s: {took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn without_an_order_a_retried_record_is_overtaken() {
    // Shows that the check of the order can fail.
    let network = Network::new(1, 3).await;
    network.set_faults(Faults {
        throttled_records: 0.2,
        ..Faults::default()
    });
    let producer = network
        .stream()
        .producer()
        .linger(Duration::ZERO)
        .build()
        .unwrap();
    put_numbered(&producer, 1, 500).await;
    let log = network.log().await;
    let numbers = log.users().map(|user| -> usize {
        let number = std::str::from_utf8(&user.data).unwrap();
        number.parse().unwrap()
    });
    assert!(!numbers.is_sorted());
}
