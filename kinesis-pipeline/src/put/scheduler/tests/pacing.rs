//! Which records go into a request, and which wait: for a shard's rate, for more records, for their turn.

use super::*;

/// More bytes than a shard's bucket ever has at once, less than a record may have.
const LARGE: usize = 600 * 1_024;

fn alone(order: Order) -> PutOptions {
    PutOptions {
        aggregate: false,
        ..aggregating(order)
    }
}

/// The time in which `count` large records for one shard are stored after a first one failed with this code.
fn stored_within(code: &str, count: usize) -> Duration {
    let mut bench = Bench::new(alone(Order::None), children());
    let begun = bench.now;
    bench.put(0);
    let request = bench.next_request();
    bench.answer(request, vec![Err(code)]);
    bench.store(1);
    for _ in 0..count {
        bench.put_bytes(0, LARGE);
    }
    let mut stored = 0;
    while stored < count {
        stored += bench.store(1);
    }
    bench.now - begun
}

#[tokio::test(start_paused = true)]
async fn a_throttled_shard_is_put_to_more_slowly() {
    let throttled = stored_within("ProvisionedThroughputExceededException", 5);
    let failed = stored_within("InternalFailure", 5);
    assert!(throttled > failed, "{throttled:?}, {failed:?}");
}

#[tokio::test(start_paused = true)]
async fn only_the_first_record_of_a_request_overdraws_the_rate_of_its_shard() {
    let mut bench = Bench::new(aggregating(Order::None), children());
    bench.now += 1_000 * MS;
    for _ in 0..20 {
        bench.put_bytes(0, 25_000);
    }
    assert_eq!(bench.store(1), 8, "a fifth of a second's 1 MiB");
    bench.now += 1_000 * MS;
    bench.put_bytes(0, LARGE);
    assert!(bench.store(1) > 0);
}

#[tokio::test(start_paused = true)]
async fn shards_whose_rates_allow_a_record_at_nearly_the_same_time_share_a_request() {
    let mut bench = Bench::new(alone(Order::None), children());
    bench.now += 1_000 * MS;
    bench.put_bytes(0, LARGE);
    bench.store(1);
    bench.now += 2 * MS;
    bench.put_bytes(3 * QUARTER, LARGE);
    bench.store(2);
    bench.put_bytes(0, LARGE);
    bench.put_bytes(3 * QUARTER, LARGE);
    let request = loop {
        bench.now = bench.state.next_wake(bench.now).at.unwrap();
        if let Some(request) = bench.request() {
            break request;
        }
        bench.state.invalidate_wake();
    };
    assert_eq!(request.entries.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn records_that_failed_do_not_wait_for_others_again() {
    let options = PutOptions {
        eager: false,
        linger_max: Duration::from_millis(700),
        ..aggregating(Order::PerKey)
    };
    let mut bench = Bench::new(options, children());
    bench.now += 1_000 * MS;
    for _ in 0..3 {
        bench.put_bytes(0, 12_000);
    }
    let request = bench.next_request();
    let failed_at = bench.now;
    assert_eq!(request.entries.len(), 1, "two records fill an aggregate");
    bench.answer(request, vec![Err("InternalFailure")]);
    let again = bench.next_request();
    assert!(bench.now - failed_at <= 60 * MS);
    bench.answer(again, vec![Ok(id(1))]);
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_that_is_not_full_waits_when_full_ones_are_sent() {
    let options = PutOptions {
        eager: false,
        linger_max: Duration::from_millis(700),
        ..aggregating(Order::None)
    };
    let mut bench = Bench::new(options, children());
    bench.now += 1_000 * MS;
    let begun = bench.now;
    for _ in 0..5 {
        bench.put_bytes(0, 12_000);
    }
    assert_eq!(bench.store(1), 2, "two records of 25 KiB");
    assert!(bench.now - begun < 100 * MS);
    assert_eq!(bench.store(1), 1);
    assert!(bench.now - begun >= 700 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_shard_with_very_much_to_send_does_not_hold_up_the_others() {
    let options = PutOptions {
        ignores_limits: true,
        in_flight_bytes_max: 64 * 1_024 * 1_024,
        ..aggregating(Order::None)
    };
    let mut bench = Bench::new(options, children());
    for _ in 0..600 {
        bench.put_bytes(0, 49_000);
    }
    let mut other = bench.put(3 * QUARTER);
    for _ in 0..2 {
        bench.store_by([1, 1, 2, 2]);
    }
    assert!(now(&mut other).is_some());
    assert!(!bench.state.is_idle());
}

/// A state whose inbox has memory for many records, with their receipts.
fn busy() -> (Bench, Vec<PendingReceipt>) {
    let mut bench = Bench::new(aggregating(Order::None), children());
    let mut all = Vec::new();
    for _ in 0..2 {
        all.extend((0..=PLACES_KEPT).map(|_| bench.leave(0)));
        bench.state.take_new();
    }
    let places = bench.state.inbox.places();
    assert!(places.iter().all(|&places| places > PLACES_KEPT));
    (bench, all)
}

fn assert_rests(bench: &Bench) {
    assert!(bench.state.is_idle());
    let places = bench.state.inbox.places();
    assert!(places.iter().all(|&places| places <= PLACES_KEPT));
}

#[tokio::test(start_paused = true)]
async fn memory_of_a_busy_time_is_given_back_at_rest() {
    let (mut bench, all) = busy();
    while !bench.state.is_idle() {
        bench.store(1);
    }
    assert!(
        all.into_iter()
            .all(|pending| receipt(pending).attempts == 1)
    );
    bench.state.parked();
    assert_rests(&bench);
}

#[tokio::test(start_paused = true)]
async fn memory_of_a_busy_time_is_given_back_by_a_driver_that_is_dropped() {
    let (mut bench, all) = busy();
    let abandoned = bench.state.abandon(bench.now);
    assert_eq!(abandoned.len(), all.len());
    assert_rests(&bench);
}
