//! One state, event by event.

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::scheduler::{Arrival, Scheduler};
use crate::{
    AttemptError, EncodedRecord, HashKey, HashKeyRange, PendingReceipt, PutError, Receipt, Shard,
    ShardId,
    put::{
        PutOptions,
        options::{Order, PutAgain},
        pending::pending::Queued,
        request::{entry::QueueId, request::Request, send::Sent},
        shard_map::listing::Listed,
        tests::shared,
    },
    record::PartitionKey,
    service::{EntryFailure, PutRecordsAnswer, ServiceError, StoredAt},
};

/// A quarter of the key space.
const QUARTER: u128 = 1 << 126;
const MS: Duration = Duration::from_millis(1);

/// A state, and what a driver does to it.
struct Bench {
    state: Scheduler,
    inbox: mpsc::Sender<Arrival>,
    now: Instant,
    /// How many records were put; it is also the data of the next.
    count: usize,
}

fn aggregating(order: Order) -> PutOptions {
    PutOptions {
        placed: true,
        aggregate: true,
        eager: true,
        aggregate_bytes_max: 50_000,
        order,
        ..PutOptions::default()
    }
}

fn id(number: usize) -> ShardId {
    format!("shardId-{number:012}").into()
}

/// A shard of these quarters of the key space.
fn shard(number: usize, quarters: std::ops::RangeInclusive<u128>) -> Shard {
    let start = quarters.start() * QUARTER;
    let end = quarters.end() * QUARTER + (QUARTER - 1);
    let range = HashKeyRange::new(HashKey::new(start), HashKey::new(end));
    Shard::new(id(number), range, 1_u128.into())
}

/// The shards 1 and 2 that the shard 0 was split into.
fn children() -> Vec<Shard> {
    vec![shard(1, 0..=1), shard(2, 2..=3)]
}

fn denied() -> Box<ServiceError> {
    Box::new(ServiceError::answered(
        "ListShards",
        "http://x",
        "AccessDeniedException",
        "",
    ))
}

fn throttled() -> Box<ServiceError> {
    let code = "LimitExceededException";
    Box::new(ServiceError::answered("ListShards", "http://x", code, ""))
}

impl Bench {
    /// A state that has listed these shards.
    fn new(options: PutOptions, shards: Vec<Shard>) -> Self {
        let mut shared = Arc::try_unwrap(shared()).unwrap();
        shared.options = options;
        let shared = Arc::new(shared);
        let (inbox, received) = mpsc::channel();
        let rng = fastrand::Rng::with_seed(0);
        let state = Scheduler::new(Arc::clone(&shared), received, rng);
        let mut bench = Self {
            now: shared.target.clock.instant(),
            state,
            inbox,
            count: 0,
        };
        let first = bench.put(0);
        let takes_it = shards[0].id.clone();
        if bench.state.shared.options.placed {
            assert_eq!(bench.listed(Ok(shards)), Listed::Open);
        }
        let request = bench.next_request();
        bench.answer(request, vec![Ok(takes_it)]);
        assert_eq!(receipt(first).attempts, 1);
        // From now on a listing that is wanted may begin.
        bench.now += 200 * MS;
        bench
    }

    /// A record with this hash key is put.
    fn put(&mut self, hash_key: u128) -> PendingReceipt {
        let key = PartitionKey::new(format!("key-{hash_key}")).unwrap();
        let mut record = EncodedRecord::new(key, self.count.to_string().into());
        record.explicit_hash_key = Some(HashKey::new(hash_key));
        self.count += 1;
        let (waiter, pending) = PendingReceipt::new("readings".into());
        let budget = &self.state.shared.budget;
        let arrived = Queued {
            charge: budget.try_acquire(record.size_bytes()).unwrap(),
            record,
            entered_at: self.now,
            waiter,
        };
        self.inbox.send(Arrival::Put(arrived)).unwrap();
        self.state.take_new();
        self.state.invalidate_wake();
        pending
    }

    /// A record for each quarter of the key space is put.
    fn put_quarters(&mut self) -> [PendingReceipt; 4] {
        [0, 1, 2, 3].map(|quarter| self.put(quarter * QUARTER))
    }

    fn lists(&mut self) -> Option<Listed> {
        self.state.begins_listing(self.now)
    }

    fn request(&mut self) -> Option<Request> {
        self.state.next_request(self.now)
    }

    /// The request that is sent as soon as one may be, within a second.
    fn next_request(&mut self) -> Request {
        for _ in 0..1_000 {
            if let Some(request) = self.request() {
                return request;
            }
            self.now += MS;
        }
        panic!("nothing was sent");
    }

    /// Each entry of a request is answered: a shard has stored it, or it failed with this code.
    fn answer(&mut self, request: Request, outcomes: Vec<Result<ShardId, &str>>) {
        let outcome = |outcome: Result<ShardId, &str>| match outcome {
            Ok(shard_id) => Ok(StoredAt::new(shard_id, 7_u128.into())),
            Err(code) => Err(EntryFailure::new(code, "")),
        };
        let results = outcomes.into_iter().map(outcome).collect();
        let sent = Sent {
            entries: request.entries,
            records: request.drafts.finish(),
            outcome: Ok(PutRecordsAnswer::new(results)),
        };
        self.state.on_sent(sent, self.now);
        self.state.invalidate_wake();
    }

    /// All entries of the next request are stored by this shard.
    fn store(&mut self, number: usize) -> usize {
        let request = self.next_request();
        let entries = request.entries.len();
        self.answer(request, vec![Ok(id(number)); entries]);
        entries
    }

    /// Each entry of the next request is stored by the shard with the number of its quarter. Returns how many there are.
    fn store_by(&mut self, numbers: [usize; 4]) -> usize {
        let request = self.next_request();
        let records = &self.state.records;
        let quarters = request
            .entries
            .iter()
            .map(|entry| entry.first_hash_key(records).value() / QUARTER);
        let stored: Vec<_> = quarters
            .map(|quarter| Ok(id(numbers[usize::try_from(quarter).unwrap()])))
            .collect();
        let entries = stored.len();
        self.answer(request, stored);
        entries
    }

    /// The next listing, whenever it is due, ends like this.
    fn listed(&mut self, listed: Result<Vec<Shard>, Box<ServiceError>>) -> Listed {
        for _ in 0..61_000 {
            if let Some(which) = self.lists() {
                self.state.on_shards(listed, self.now);
                self.state.invalidate_wake();
                return which;
            }
            self.now += MS;
        }
        panic!("nothing was listed");
    }

    fn astride(&self) -> u64 {
        self.state.shared.counters.snapshot().records_put_astride
    }
}

/// The result of a record, if it is known.
fn now(pending: &mut PendingReceipt) -> Option<Result<Receipt, PutError>> {
    pending.now_or_never()
}

/// The receipt that is there.
fn receipt(mut pending: PendingReceipt) -> Receipt {
    now(&mut pending).expect("a result").expect("a receipt")
}

fn error(mut pending: PendingReceipt) -> PutError {
    now(&mut pending).expect("a result").expect_err("an error")
}

/// Where a receipt points: the shard, the index in the aggregate, and after how many attempts.
fn place(pending: PendingReceipt) -> (ShardId, u64, u32) {
    let receipt = receipt(pending);
    let sub = receipt.sub_sequence_number;
    (receipt.shard_id, sub, receipt.attempts)
}

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
        assert_eq!(bench.astride(), 2);
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
    assert_eq!(bench.astride(), 4);
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
        assert_eq!(bench.astride(), 4);
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
    assert_eq!(bench.astride(), 0);
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
        let wake = bench.state.next_wake().at;
        assert_eq!(wake, Some(bench.now), "to list");
        assert_eq!(bench.lists(), Some(listed));
        bench.state.invalidate_wake();
        let wake = bench.state.next_wake().at;
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
        drop(bench.state.abandon());
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

mod auto {
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
        assert_eq!(bench.astride(), 0);
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
                assert_eq!(bench.astride(), 0);
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
}

mod lost {
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
        assert_eq!(bench.state.next_wake().at, None, "but for the answer");
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
}

mod order {
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
        let wake = bench.state.next_wake().at.unwrap();
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
        let cases: [(Listing, usize); 2] =
            [(|| Ok(vec![shard(3, 0..=3)]), 1), (|| Err(denied()), 2)];
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
}

mod made_again {
    //! Streams that were deleted and made again with other shards of the same ids.

    use super::*;

    /// The aggregates for the first of two shards land in the first of three, as they should, but for one record.
    fn after(pause: impl FnOnce(&mut Bench)) {
        let mut bench = Bench::new(aggregating(Order::None), children());
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
        for pause in [4_900 * MS, 10_000 * MS] {
            bench.state.parked();
            bench.now = bench.state.now() + pause;
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
}

mod retries {
    //! What waits for a retry, and what others do meanwhile.

    use super::*;

    fn refused() -> AttemptError {
        let class = crate::service::ErrorClass::Transient;
        let error = ServiceError::unanswered("PutRecords", "http://x", class, "refused");
        AttemptError::Request(Arc::new(error))
    }

    /// No connection could be made for a request.
    fn unreached(bench: &mut Bench, request: Request) {
        let sent = Sent {
            entries: request.entries,
            records: request.drafts.finish(),
            outcome: Err(refused()),
        };
        bench.state.on_sent(sent, bench.now);
        bench.state.invalidate_wake();
    }

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
}
