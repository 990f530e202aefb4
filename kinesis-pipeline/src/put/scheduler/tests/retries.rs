//! What waits for a retry, and what others do meanwhile.

use super::*;

#[tokio::test(start_paused = true)]
async fn all_that_waits_fails_once_the_endpoint_was_unreachable_for_long_enough() {
    let options = PutOptions {
        unreachable_max: 1_000 * MS,
        ..aggregating(Order::None)
    };
    let mut bench = Bench::new(options, children());
    let begun = bench.now;
    let first = bench.put(0);
    let in_flight = bench.next_request();
    let second = bench.put(3 * QUARTER);
    let request = bench.next_request();
    unreached(&mut bench, request);
    // The second waits in the retry queue when the first finds out that the time is over.
    bench.now = begun + 1_100 * MS;
    let third = bench.put(3 * QUARTER);
    unreached(&mut bench, in_flight);
    for pending in [first, second, third] {
        let error = error(pending);
        assert!(matches!(error, PutError::GaveUp { .. }), "{error}");
    }
    assert!(bench.state.is_idle());
}

#[tokio::test(start_paused = true)]
async fn while_many_records_wait_for_a_retry_no_new_one_is_sent_where_nothing_paces_them() {
    let options = PutOptions {
        placed: false,
        aggregate: false,
        ..aggregating(Order::None)
    };
    let mut bench = Bench::new(options, vec![shard(0, 0..=3)]);
    for _ in 0..500 {
        bench.put(0);
    }
    let request = bench.next_request();
    assert_eq!(request.entries.len(), 500);
    let throttled = Err("ProvisionedThroughputExceededException");
    bench.answer(request, vec![throttled; 500]);
    let new = bench.put(0);
    bench.now += 24 * MS;
    assert!(bench.request().is_none());
    assert_eq!(bench.store(0), 500, "the old ones first");
    bench.store(0);
    assert_eq!(place(new), (id(0), 0, 1));
}

#[tokio::test(start_paused = true)]
async fn strays_fail_too_once_the_endpoint_was_unreachable_for_long_enough() {
    let options = PutOptions {
        unreachable_max: Duration::ZERO,
        ..aggregating(Order::None)
    };
    let mut closed = children();
    for shard in &mut closed {
        shard.ending_sequence_number = Some(9_u128.into());
    }
    let known = [vec![shard(0, 0..=3)], closed].concat();
    let mut bench = Bench::new(options, known);
    let [.., stray] = bench.put_quarters();
    let request = bench.next_request();
    bench.put(0);
    let other = bench.next_request();
    bench.answer(request, vec![Ok(id(1))]);
    unreached(&mut bench, other);
    assert!(error(stray).may_have_been_stored());
    assert!(bench.state.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_wrong_shard_of_an_earlier_map_does_not_have_the_shards_listed_again() {
    let mut bench = Bench::new(aggregating(Order::None), vec![shard(0, 0..=3)]);
    let [a, .., d] = bench.put_quarters();
    let slow = bench.next_request();
    let lone = bench.put(0);
    bench.store(1);
    assert_eq!(receipt(lone).attempts, 1);
    bench.listed(Ok(children()));
    bench.now += 1_000 * MS;
    bench.answer(slow, vec![Ok(id(1))]);
    assert_eq!(place(a), (id(1), 0, 1));
    assert_eq!(bench.lists(), None);
    bench.store(2);
    assert_eq!(place(d), (id(2), 1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_stays_keeps_its_pace_when_the_map_changes() {
    let mut bench = Bench::new(aggregating(Order::None), children());
    bench.put(0);
    let request = bench.next_request();
    let queue = request.entries[0].queue;
    bench.answer(request, vec![Err("ProvisionedThroughputExceededException")]);
    let pace = |bench: &mut Bench, map, index| {
        let queue = bench.state.queues.queue_of(QueueId::new(map, index));
        format!("{:?}", queue.unwrap().pace)
    };
    let throttled = pace(&mut bench, queue.map, 0);
    assert_ne!(throttled, pace(&mut bench, queue.map, 1));
    bench.state.refresh.want(bench.now);
    bench.listed(Ok(vec![shard(1, 0..=1), shard(3, 2..=2), shard(4, 3..=3)]));
    assert_eq!(throttled, pace(&mut bench, queue.map + 1, 0));
    assert_ne!(throttled, pace(&mut bench, queue.map + 1, 1));
}

#[tokio::test(start_paused = true)]
async fn retried_records_stay_before_those_behind_them_when_the_map_changes() {
    let options = PutOptions {
        aggregate: false,
        ..aggregating(Order::PerKey)
    };
    let mut bench = Bench::new(options, children());
    let first = bench.put(0);
    let request = bench.next_request();
    let second = bench.put(0);
    bench.answer(request, vec![Err("InternalFailure")]);
    bench.state.refresh.want(bench.now);
    bench.listed(Ok(vec![shard(3, 0..=0), shard(4, 1..=1), shard(2, 2..=3)]));
    bench.store(3);
    assert_eq!(place(first), (id(3), 0, 2));
    bench.store(3);
    assert_eq!(place(second), (id(3), 0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_answer_ends_the_outage_even_if_no_record_was_stored() {
    let options = PutOptions {
        unreachable_max: 1_000 * MS,
        ..aggregating(Order::None)
    };
    let mut bench = Bench::new(options, children());
    let begun = bench.now;
    let pending = bench.put(0);
    let request = bench.next_request();
    unreached(&mut bench, request);
    let request = bench.next_request();
    bench.answer(request, vec![Err("InternalFailure")]);
    bench.now = begun + 1_100 * MS;
    let request = bench.next_request();
    unreached(&mut bench, request);
    bench.store(1);
    assert_eq!(receipt(pending).attempts, 4);
}
