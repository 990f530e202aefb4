//! A service that distributes the records by itself, and streams that only look like that.

use super::*;

/// A state that takes the service for one that distributes the records by itself.
fn auto() -> Bench {
    let mut bench = Bench::new(aggregating(Order::None), children());
    let [a, b, ..] = bench.put_quarters();
    assert_eq!(bench.store(2), 2);
    bench.listed(Ok(children()));
    assert!(!bench.state.queues.is_auto(), "one listing may be old");
    bench.listed(Ok(children()));
    assert!(bench.state.queues.is_auto());
    assert_eq!((place(a), place(b)), ((id(2), 0, 1), (id(2), 1, 1)));
    assert_eq!(bench.put_again(), 0);
    bench
}

#[tokio::test(start_paused = true)]
async fn two_listings_that_contradict_a_landing_show_it() {
    let mut bench = auto();
    let all = bench.put_quarters();
    assert_eq!(bench.store(1), 1, "one aggregate for all shards");
    for (pending, index) in all.into_iter().zip(0..) {
        assert_eq!(place(pending), (id(1), index, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn listings_that_lack_the_shard_do_not_show_it() {
    for shards in [vec![], vec![shard(1, 0..=1)]] {
        let mut bench = Bench::new(aggregating(Order::None), children());
        bench.put(0);
        bench.store(2);
        for _ in 0..3 {
            assert_eq!(bench.listed(Ok(shards.clone())), Listed::All);
            assert!(bench.state.queues.is_placed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_looked_at_again_and_stays_while_landings_contradict_the_listing() {
    let mut bench = auto();
    for _ in 0..3 {
        for _ in 0..20 {
            bench.put(0);
            bench.store(1);
        }
        bench.put(0);
        bench.store(2);
        bench.listed(Ok(children()));
        assert!(bench.state.queues.is_auto());
    }
    bench.listed(Err(throttled()));
    for _ in 0..5 {
        bench.listed(Err(denied()));
        assert!(bench.state.queues.is_auto());
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_given_up_when_records_land_by_their_keys() {
    let mut bench = auto();
    for number in 0..16 {
        bench.put(0);
        bench.store(1);
        assert!(bench.state.queues.is_auto(), "{number}");
    }
    bench.listed(Ok(children()));
    assert!(bench.state.queues.is_placed());
}

#[tokio::test(start_paused = true)]
async fn it_is_given_up_when_the_shards_have_changed() {
    for shards in [
        vec![shard(1, 0..=1), shard(3, 2..=2), shard(4, 3..=3)],
        vec![shard(1, 0..=3)],
    ] {
        let mut bench = auto();
        bench.listed(Ok(shards));
        assert!(bench.state.queues.is_placed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_made_again_with_fewer_shards_is_placed_by_its_new_ones() {
    let quarters = || (1..5).zip(0..).map(|(number, at)| shard(number, at..=at));
    // The first listing may still be that of the stream before.
    for stale in [0, 1] {
        for order in [Order::None, Order::PerKey] {
            let mut bench = Bench::new(aggregating(order), quarters().collect());
            let all = [0, 1, 1, 2].map(|quarter| bench.put(quarter * QUARTER));
            assert_eq!(bench.store_by([1, 1, 2, 2]), 3);
            for _ in 0..stale {
                bench.listed(Ok(quarters().collect()));
            }
            bench.listed(Ok(children()));
            assert!(bench.state.queues.is_placed());
            let numbers = [1, 1, 1, 2];
            for (pending, number) in all.into_iter().zip(numbers) {
                assert_eq!(receipt(pending).shard_id, id(number));
            }
            assert_eq!(bench.put_again(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn aggregates_astride_the_shards_of_a_stream_made_again_are_divided() {
    let mut bench = Bench::new(aggregating(Order::None), children());
    let [c, d] = [2, 3].map(|quarter| bench.put(quarter * QUARTER));
    bench.store(3);
    let quarters = (1..5).zip(0..).map(|(number, at)| shard(number, at..=at));
    bench.listed(Ok(quarters.collect()));
    assert_eq!(place(c), (id(3), 0, 1));
    bench.store(4);
    assert_eq!(place(d), (id(4), 0, 2));
}

#[tokio::test(start_paused = true)]
async fn without_aggregates_records_have_their_receipts_while_it_is_found_out() {
    let options = PutOptions {
        aggregate: false,
        ..aggregating(Order::None)
    };
    let mut bench = Bench::new(options, children());
    let pending = bench.put(0);
    bench.store(2);
    assert_eq!(place(pending), (id(2), 0, 1));
    bench.listed(Ok(children()));
    assert!(bench.state.queues.is_placed());
    bench.listed(Ok(children()));
    assert!(bench.state.queues.is_auto());
}
