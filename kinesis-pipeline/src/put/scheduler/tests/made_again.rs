//! Streams that were deleted and made again with other shards of the same ids.

use super::*;

/// The aggregates for the first of two shards land in the first of three, as they should, but for one record.
fn after(pause: impl FnOnce(&mut Bench)) {
    let options = PutOptions {
        unreachable_max: 500 * MS,
        ..aggregating(Order::None)
    };
    let mut bench = Bench::new(options, children());
    pause(&mut bench);
    let [a, b] = [0, 1].map(|quarter| bench.put(quarter * QUARTER));
    bench.store(1);
    // A part of the listing does not settle the matter: what is sent meanwhile waits too.
    bench.listed(Ok(vec![shard(1, 0..=0)]));
    let more = [0, 1].map(|quarter| bench.put(quarter * QUARTER));
    bench.store(1);
    bench.listed(Ok(vec![shard(1, 0..=0), shard(2, 1..=2), shard(3, 3..=3)]));
    assert_eq!(place(a), (id(1), 0, 1));
    bench.store(2);
    assert_eq!(place(b), (id(2), 0, 2));
    let [c, d] = more;
    assert_eq!((place(c), place(d)), ((id(1), 0, 1), (id(2), 1, 2)));
}

#[tokio::test(start_paused = true)]
async fn after_a_rest_an_aggregate_is_not_even_right_where_it_is_expected() {
    after(|bench| {
        bench.state.parked();
        bench.now += 5_000 * MS;
        assert_eq!(bench.lists(), None);
    });
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_do_not_end_a_rest() {
    after(|bench| {
        bench.state.parked();
        bench.now += 3_000 * MS;
        bench.state.refresh.want(bench.now);
        bench.listed(Err(throttled()));
        bench.state.parked();
        bench.now += 2_000 * MS;
        bench.listed(Err(throttled()));
    });
}

#[tokio::test(start_paused = true)]
async fn requests_that_reach_nothing_do_not_end_a_rest() {
    after(|bench| {
        bench.now += 3_000 * MS;
        let pending = bench.put(0);
        for _ in 0..2 {
            let request = bench.next_request();
            bench.now += 600 * MS;
            unreached(bench, request);
        }
        assert!(matches!(error(pending), PutError::GaveUp { .. }));
        bench.state.parked();
        bench.now += 1_000 * MS;
    });
}

#[tokio::test(start_paused = true)]
async fn listings_settle_what_is_sent_while_they_are_awaited() {
    let mut bench = Bench::new(aggregating(Order::None), children());
    bench.now += 5_000 * MS;
    let first = [0, 1].map(|quarter| bench.put(quarter * QUARTER));
    let request = bench.next_request();
    bench.now += 3_000 * MS;
    bench.answer(request, vec![Ok(id(1))]);
    assert_eq!(bench.lists(), Some(Listed::All));
    // The last answered call began too long ago, and the listing that is awaited did not.
    bench.now += 3_000 * MS;
    let more = [0, 1].map(|quarter| bench.put(quarter * QUARTER));
    bench.store(1);
    bench.state.on_shards(Ok(children()), bench.now);
    for pending in first.into_iter().chain(more) {
        assert_eq!(receipt(pending).attempts, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_began_before_a_rest_was_over_tells_of_the_stream_before() {
    let mut bench = Bench::new(aggregating(Order::None), children());
    bench.state.refresh.want(bench.now);
    bench.now += 1_000 * MS;
    assert!(bench.lists().is_some());
    bench.now += 5_000 * MS;
    let [a, b] = [0, 1].map(|quarter| bench.put(quarter * QUARTER));
    bench.store(1);
    bench.state.on_shards(Ok(children()), bench.now);
    assert!(bench.state.unsettled.has_records(), "it may be out of date");
    bench.listed(Ok(vec![shard(1, 0..=0), shard(2, 1..=2), shard(3, 3..=3)]));
    assert_eq!(place(a), (id(1), 0, 1));
    bench.store(2);
    assert_eq!(place(b), (id(2), 0, 2));
}

#[tokio::test(start_paused = true)]
async fn when_the_stream_was_not_there_an_aggregate_is_not_even_right_where_it_is_expected() {
    after(|bench| {
        let pending = bench.put(0);
        let request = bench.next_request();
        bench.answer(request, vec![Err("ResourceNotFoundException")]);
        assert!(matches!(error(pending), PutError::Rejected { .. }));
    });
}

#[tokio::test(start_paused = true)]
async fn after_a_short_rest_nothing_is_listed() {
    let mut bench = Bench::new(aggregating(Order::None), children());
    for pause in [4_500 * MS, 10_000 * MS] {
        bench.state.parked();
        bench.now += pause;
        let [a, b] = [0, 1].map(|quarter| bench.put(quarter * QUARTER));
        assert_eq!(bench.lists(), None);
        bench.store(1);
        let is_unconfirmed = pause > 5_000 * MS;
        assert_eq!(bench.state.unsettled.has_records(), is_unconfirmed);
        if is_unconfirmed {
            bench.listed(Ok(children()));
        }
        assert_eq!((place(a), place(b)), ((id(1), 0, 1), (id(1), 1, 1)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_goes_on_answering_is_not_listed_again() {
    let mut bench = Bench::new(aggregating(Order::None), children());
    for _ in 0..20 {
        bench.now += 1_000 * MS;
        let [a, b] = [0, 1].map(|quarter| bench.put(quarter * QUARTER));
        bench.store(1);
        assert_eq!((place(a), place(b)), ((id(1), 0, 1), (id(1), 1, 1)));
        assert_eq!(bench.lists(), None);
    }
}
