//! What keeps the order of the records of one key.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_record_that_failed_waits_before_it_is_sent_again_and_those_behind_it_too() {
    let options = PutOptions {
        aggregate: false,
        ..aggregating(Order::PerKey)
    };
    let mut bench = Bench::new(options, children());
    let first = bench.put(0);
    let request = bench.next_request();
    let second = bench.put(0);
    bench.answer(request, vec![Err("InternalFailure")]);
    let failed_at = bench.now;
    let wake = bench.state.next_wake(bench.now).at.unwrap();
    let request = bench.next_request();
    assert!(bench.now >= failed_at + 25 * MS, "half of 50 ms");
    assert!(bench.now <= failed_at + 51 * MS);
    assert!(wake > failed_at && wake <= bench.now);
    bench.answer(request, vec![Ok(id(1))]);
    assert_eq!(place(first), (id(1), 0, 2));
    bench.store(1);
    assert_eq!(place(second), (id(1), 0, 1));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_while_another_shard_map_is_awaited() {
    let mut bench = Bench::new(aggregating(Order::PerKey), children());
    bench.put(3 * QUARTER);
    bench.store(7);
    let low = bench.put(0);
    bench.now += 100 * MS;
    assert!(bench.request().is_none(), "wanted");
    assert!(bench.lists().is_some());
    assert!(bench.request().is_none(), "under way");
    bench.state.on_shards(Err(throttled()), bench.now);
    assert!(bench.request().is_none(), "failed once");
    bench.listed(Ok(vec![shard(1, 0..=1), shard(7, 2..=3)]));
    bench.store(1);
    assert_eq!(receipt(low).attempts, 1);
}

#[tokio::test(start_paused = true)]
async fn another_shard_map_is_not_used_while_requests_are_in_flight() {
    type Listing = fn() -> Result<Vec<Shard>, Box<ServiceError>>;
    let cases: [(Listing, usize); 2] = [(|| Ok(vec![shard(3, 0..=3)]), 1), (|| Err(denied()), 2)];
    for (listing, entries) in cases {
        let mut bench = Bench::new(aggregating(Order::PerKey), children());
        let first = bench.put(0);
        let slow = bench.next_request();
        bench.put(3 * QUARTER);
        bench.store(3);
        let second = bench.put(0);
        bench.listed(listing());
        bench.now += 100 * MS;
        assert!(bench.request().is_none());
        // It fails, and still goes before the other.
        bench.answer(slow, vec![Err("InternalFailure")]);
        let request = bench.next_request();
        assert_eq!(request.entries.len(), 1);
        bench.answer(request, vec![Ok(id(3))]);
        assert_eq!(receipt(first).attempts, 2);
        if entries == 2 {
            bench.store(3);
        }
        let second = receipt(second);
        assert_eq!(second.sub_sequence_number, u64::from(entries == 1));
    }
}

#[tokio::test(start_paused = true)]
async fn strays_go_before_the_records_behind_them() {
    let mut bench = Bench::new(aggregating(Order::PerKey), vec![shard(0, 0..=3)]);
    let [.., d] = bench.put_quarters();
    let request = bench.next_request();
    let behind = bench.put(3 * QUARTER);
    bench.answer(request, vec![Ok(id(1))]);
    bench.listed(Ok(children()));
    bench.store(2);
    assert_eq!(place(d), (id(2), 1, 2));
    assert_eq!(place(behind), (id(2), 2, 1));
}
