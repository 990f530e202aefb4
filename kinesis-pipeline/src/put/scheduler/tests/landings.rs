//! Where the shards of records turn out to be, and what happens to aggregates in a wrong one.

use super::*;

#[tokio::test(start_paused = true)]
async fn after_a_split_only_the_records_outside_of_the_shard_are_put_again() {
    for order in [Order::None, Order::PerKey] {
        let mut bench = Bench::new(aggregating(order), vec![shard(0, 0..=3)]);
        let [a, b, c, d] = bench.put_quarters();
        assert_eq!(bench.store(1), 1, "one aggregate");
        assert_eq!(bench.listed(Ok(children())), Listed::All);
        assert_eq!(place(a), (id(1), 0, 1));
        assert_eq!(place(b), (id(1), 1, 1));
        assert_eq!(bench.store(2), 1);
        assert_eq!(place(c), (id(2), 0, 2));
        assert_eq!(place(d), (id(2), 1, 2));
        assert_eq!(bench.put_again(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn receipts_inside_of_the_shard_have_their_index_in_the_aggregate() {
    let mut bench = Bench::new(aggregating(Order::None), vec![shard(0, 0..=3)]);
    // The first decides the shard.
    let keys = [2, 0, 3, 1, 2].map(|quarter| bench.put(quarter * QUARTER));
    bench.store(2);
    bench.listed(Ok(children()));
    let [first, b, third, d, fifth] = keys;
    assert_eq!(
        [first, third, fifth].map(place),
        [0, 2, 4].map(|index| (id(2), index, 1))
    );
    bench.store(1);
    assert_eq!([b, d].map(place), [0, 1].map(|index| (id(1), index, 2)));
}

#[tokio::test(start_paused = true)]
async fn whole_aggregates_are_put_again_if_that_is_asked_for() {
    let options = PutOptions {
        put_again: PutAgain::Aggregate,
        ..aggregating(Order::None)
    };
    let mut bench = Bench::new(options, vec![shard(0, 0..=3)]);
    let all = bench.put_quarters();
    bench.store(1);
    bench.listed(Ok(children()));
    assert_eq!(bench.put_again(), 4);
    assert_eq!(bench.store_by([1, 1, 2, 2]), 2);
    for (pending, index) in all.into_iter().zip([0, 1, 0, 1]) {
        let receipt = receipt(pending);
        assert_eq!((receipt.sub_sequence_number, receipt.attempts), (index, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_closed_before_it_is_listed_is_known_all_the_same() {
    let mut bench = Bench::new(aggregating(Order::None), vec![shard(0, 0..=3)]);
    let [a, b, c, d] = bench.put_quarters();
    bench.store(1);
    let mut listed = children();
    for shard in &mut listed {
        shard.ending_sequence_number = Some(9_u128.into());
    }
    listed.extend((3..7).zip(0..).map(|(number, at)| shard(number, at..=at)));
    assert_eq!(bench.listed(Ok(listed)), Listed::All);
    assert_eq!((place(a), place(b)), ((id(1), 0, 1), (id(1), 1, 1)));
    assert_eq!(bench.store_by([3, 4, 5, 6]), 2);
    assert_eq!((place(c), place(d)), ((id(5), 0, 2), (id(6), 0, 2)));
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_a_listing_lacks_is_asked_for_again() {
    for order in [Order::None, Order::PerKey] {
        let mut bench = Bench::new(aggregating(order), vec![shard(0, 0..=3)]);
        let [a, b, c, d] = bench.put_quarters();
        bench.store(1);
        for _ in 0..3 {
            assert_eq!(bench.listed(Ok(vec![shard(0, 0..=3)])), Listed::All);
        }
        bench.listed(Ok(children()));
        assert_eq!((place(a), place(b)), ((id(1), 0, 1), (id(1), 1, 1)));
        bench.store(2);
        assert_eq!((place(c), place(d)), ((id(2), 0, 2), (id(2), 1, 2)));
    }
}

#[tokio::test(start_paused = true)]
async fn when_no_listing_is_of_use_all_that_is_unconfirmed_is_put_again_one_by_one() {
    type Listing = fn() -> Result<Vec<Shard>, Box<ServiceError>>;
    let cases: [(usize, Listing); 4] = [
        (5, || Err(throttled())),
        (1, || Err(denied())),
        (5, || Ok(vec![shard(0, 0..=3)])),
        (5, || Ok(vec![shard(2, 2..=3)])),
    ];
    for (tries, listing) in cases {
        let mut bench = Bench::new(aggregating(Order::None), vec![shard(0, 0..=3)]);
        let all = bench.put_quarters();
        bench.store(1);
        for _ in 0..tries {
            assert!(bench.request().is_none(), "{tries}");
            bench.listed(listing());
        }
        assert_eq!(bench.store_by([1, 1, 2, 2]), 4, "one by one");
        for (pending, number) in all.into_iter().zip([1, 1, 2, 2]) {
            assert_eq!(place(pending), (id(number), 0, 2));
        }
        assert_eq!(bench.put_again(), 4);
    }
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_that_arrives_when_listing_was_given_up_is_put_again_one_by_one() {
    let mut bench = Bench::new(aggregating(Order::None), vec![shard(0, 0..=3)]);
    let first = bench.put_quarters();
    let in_flight = bench.next_request();
    let _lone = bench.put(5);
    bench.store(1);
    bench.listed(Err(denied()));
    bench.answer(in_flight, vec![Ok(id(1))]);
    assert_eq!(bench.store_by([1, 1, 2, 2]), 4);
    for pending in first {
        assert_eq!(receipt(pending).attempts, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_alone_is_where_it_belongs_whatever_is_known_of_its_shard() {
    let mut bench = Bench::new(aggregating(Order::None), children());
    for number in [1, 7] {
        let pending = bench.put(3 * QUARTER);
        bench.store(number);
        assert_eq!(place(pending), (id(number), 0, 1));
    }
    bench.listed(Ok(children()));
}

#[tokio::test(start_paused = true)]
async fn a_merged_shard_takes_the_aggregates_for_its_parents() {
    let mut bench = Bench::new(aggregating(Order::None), children());
    let all = bench.put_quarters();
    assert_eq!(bench.store(3), 2);
    bench.listed(Ok(vec![shard(3, 0..=3)]));
    for (pending, index) in all.into_iter().zip([0, 1, 0, 1]) {
        assert_eq!(place(pending), (id(3), index, 1));
    }
    assert_eq!(bench.put_again(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_record_in_a_wrong_shard_whose_attempts_are_used_up_may_be_stored() {
    let options = PutOptions {
        attempts_max: 2,
        ..aggregating(Order::None)
    };
    let mut bench = Bench::new(options, vec![shard(0, 0..=3)]);
    let [.., c, d] = bench.put_quarters();
    bench.store(1);
    bench.listed(Ok(children()));
    // The second child is split too.
    bench.store(3);
    bench.listed(Ok(vec![shard(1, 0..=1), shard(3, 2..=2), shard(4, 3..=3)]));
    assert_eq!(place(c), (id(3), 0, 2));
    let error = error(d);
    assert!(
        matches!(error, PutError::GaveUp { attempts: 2, .. }),
        "{error}"
    );
    assert!(error.may_have_been_stored() && error.is_retryable());
    let last = error.last_attempt();
    assert!(matches!(last, Some(AttemptError::WrongShard { shard_id }) if *shard_id == id(3)));
}

#[tokio::test(start_paused = true)]
async fn an_error_after_a_landing_in_a_wrong_shard_says_that_the_record_may_be_stored() {
    let mut bench = Bench::new(aggregating(Order::None), vec![shard(0, 0..=3)]);
    let [.., c, d] = bench.put_quarters();
    bench.store(1);
    bench.listed(Ok(children()));
    let request = bench.next_request();
    bench.answer(request, vec![Err("AccessDeniedException")]);
    for pending in [c, d] {
        let error = error(pending);
        assert!(
            matches!(error, PutError::Rejected { attempts: 2, .. }),
            "{error}"
        );
        assert!(error.may_have_been_stored());
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_no_listing_confirms_in_their_time_expire_and_may_be_stored() {
    let options = PutOptions {
        record_ttl: Some(20 * MS),
        ..aggregating(Order::None)
    };
    let mut closed = children();
    for shard in &mut closed {
        shard.ending_sequence_number = Some(9_u128.into());
    }
    // In a shard that is not known, and in one that does not take two of them.
    for (known, listed) in [(vec![], Listed::All), (closed, Listed::Open)] {
        let mut bench = Bench::new(options.clone(), [vec![shard(0, 0..=3)], known].concat());
        let [.., c, d] = bench.put_quarters();
        bench.store(1);
        let wake = bench.state.next_wake(bench.now).at;
        assert_eq!(wake, Some(bench.now), "to list");
        assert_eq!(bench.lists(), Some(listed));
        bench.state.invalidate_wake();
        let wake = bench.state.next_wake(bench.now).at;
        assert_eq!(wake, Some(bench.now + 20 * MS));
        bench.now += 19 * MS;
        assert!(bench.request().is_none());
        bench.now += MS;
        assert!(bench.request().is_none());
        for pending in [c, d] {
            let error = error(pending);
            assert!(matches!(error, PutError::Expired { .. }), "{error}");
            assert!(error.may_have_been_stored());
        }
        assert!(!bench.state.unsettled.has_records());
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_are_unconfirmed_when_the_runtime_ends_may_be_stored() {
    for order in [Order::None, Order::PerKey] {
        let mut bench = Bench::new(aggregating(order), vec![shard(0, 0..=3)]);
        let all = bench.put_quarters();
        bench.store(1);
        drop(bench.state.abandon(bench.now));
        for pending in all {
            let error = error(pending);
            assert!(matches!(error, PutError::Gone { .. }), "{error}");
            assert!(error.may_have_been_stored());
        }
        assert!(bench.state.is_idle());
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_in_another_shard_than_expected_has_the_shards_listed_again() {
    let mut bench = Bench::new(aggregating(Order::None), children());
    bench.put(0);
    bench.store(7);
    bench.listed(Ok(vec![shard(2, 2..=3), shard(7, 0..=0), shard(8, 1..=1)]));
    // A listing that is out of date: the shard 1 was split.
    bench.put(0);
    bench.store(9);
    bench.listed(Ok(children()));
    let pending = bench.put(0);
    bench.store(7);
    assert_eq!(place(pending), (id(7), 0, 1));
    bench.listed(Ok(children()));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_gone_has_its_shards_listed_again() {
    let mut bench = Bench::new(aggregating(Order::None), children());
    let pending = bench.put(0);
    let request = bench.next_request();
    bench.answer(request, vec![Err("ResourceNotFoundException")]);
    assert!(matches!(error(pending), PutError::Rejected { .. }));
    bench.listed(Ok(children()));
}
