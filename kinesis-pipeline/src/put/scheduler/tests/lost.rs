//! Requests whose task was ended.

use super::*;

#[tokio::test(start_paused = true)]
async fn records_of_a_lost_request_end_when_no_other_is_in_flight() {
    let mut bench = Bench::new(aggregating(Order::PerKey), children());
    let mut low = bench.put(0);
    let lost = bench.next_request();
    let high = bench.put(3 * QUARTER);
    let other = bench.next_request();
    drop(lost);
    bench.state.on_lost(bench.now);
    let behind = bench.put(0);
    bench.now += 100 * MS;
    assert!(bench.request().is_none(), "not before the other has ended");
    assert!(now(&mut low).is_none());
    bench.answer(other, vec![Ok(id(2))]);
    assert_eq!(receipt(high).attempts, 1);
    let error = error(low);
    assert!(matches!(error, PutError::Gone { attempts: 1, .. }));
    assert!(error.may_have_been_stored());
    bench.store(1);
    assert_eq!(place(behind), (id(1), 0, 1));
    assert!(bench.state.is_idle());
    bench.state.parked();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_between_a_lost_request_and_the_end_of_the_others() {
    let mut bench = Bench::new(aggregating(Order::None), children());
    bench.put(0);
    let lost = bench.next_request();
    bench.put(0);
    let other = bench.next_request();
    drop(lost);
    bench.state.on_lost(bench.now);
    let behind = bench.put(3 * QUARTER);
    bench.now += 100 * MS;
    assert!(bench.request().is_none());
    bench.state.invalidate_wake();
    assert_eq!(
        bench.state.next_wake(bench.now).at,
        None,
        "but for the answer"
    );
    bench.answer(other, vec![Ok(id(1))]);
    bench.store(2);
    assert_eq!(place(behind), (id(2), 0, 1));
}

#[tokio::test(start_paused = true)]
async fn unconfirmed_records_outlive_a_lost_request() {
    // Their keys are still there: a place that is given up under one is a panic when it is used.
    let mut bench = Bench::new(aggregating(Order::PerKey), children());
    let mut all = bench.put_quarters();
    let both = bench.next_request();
    let behind = bench.put(0);
    bench.answer(both, vec![Ok(id(1)), Ok(id(3))]);
    bench.listed(Ok(children()));
    bench.state.in_flight += 1;
    bench.state.on_lost(bench.now);
    assert!(now(&mut all[2]).is_none());
    bench.listed(Ok(vec![shard(1, 0..=1), shard(3, 2..=3)]));
    for (pending, number) in all.into_iter().zip([1, 1, 3, 3]) {
        assert_eq!(receipt(pending).shard_id, id(number));
    }
    bench.store(1);
    assert_eq!(receipt(behind).attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn a_map_that_waits_for_a_lost_request_is_taken_into_use() {
    let mut bench = Bench::new(
        aggregating(Order::PerKey),
        vec![shard(1, 0..=1), shard(2, 2..=3)],
    );
    bench.put(0);
    let lost = bench.next_request();
    bench.put(3 * QUARTER);
    bench.store(7);
    let high = bench.put(3 * QUARTER);
    bench.listed(Ok(vec![shard(1, 0..=1), shard(7, 2..=3)]));
    assert!(bench.request().is_none());
    drop(lost);
    bench.state.on_lost(bench.now);
    bench.store(7);
    assert_eq!(place(high), (id(7), 0, 1));
}
