//! One scheduler, event by event.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::time::Instant;

use super::scheduler::Scheduler;
use crate::{
    AttemptError, EncodedRecord, HashKey, HashKeyRange, PendingReceipt, PutError, Receipt, Shard,
    ShardId,
    put::{
        PutOptions,
        admission::shared::Shared,
        inbox::{high_water::PLACES_KEPT, inbox::Inbox},
        options::{Order, PutAgain},
        request::{entry::QueueId, request::Request, send::Sent},
        tests::shared,
    },
    record::PartitionKey,
    service::{
        EntryFailure, ErrorClass, PutRecordsAnswer, ServiceError, StoredAt, list_all::Listed,
    },
};

mod auto;
mod flushes;
mod landings;
mod lost;
mod made_again;
mod order;
mod pacing;
mod retries;

/// A quarter of the key space.
const QUARTER: u128 = 1 << 126;
const MS: Duration = Duration::from_millis(1);

/// A state, and what a driver does to it.
struct Bench {
    state: Scheduler,
    inbox: Arc<Inbox>,
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

fn refused() -> AttemptError {
    let class = ErrorClass::Transient;
    let error = ServiceError::unanswered("PutRecords", "http://x", class, "refused");
    AttemptError::Request(Arc::new(error))
}

/// No connection could be made for a request.
fn unreached(bench: &mut Bench, request: Request) {
    let sent = Sent {
        entries: request.entries,
        records: request.drafts.finish(),
        outcome: Err(refused()),
        begun_at: request.begun_at,
    };
    bench.state.on_sent(sent, bench.now);
    bench.state.invalidate_wake();
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
        let shared = Arc::new(Shared::new(shared().target.clone(), options));
        let (inbox, outlet) = Inbox::new(Arc::clone(&shared));
        let rng = fastrand::Rng::with_seed(0);
        let state = Scheduler::new(Arc::clone(&shared), outlet, rng);
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
        let data = self.count.to_string();
        self.put_data(hash_key, data.into())
    }

    /// A record with this hash key and so much data is put.
    fn put_bytes(&mut self, hash_key: u128, bytes: usize) -> PendingReceipt {
        self.put_data(hash_key, vec![0; bytes].into())
    }

    fn put_data(&mut self, hash_key: u128, data: bytes::Bytes) -> PendingReceipt {
        let pending = self.leave_data(hash_key, data);
        self.state.take_new();
        self.state.invalidate_wake();
        pending
    }

    /// A record with this hash key comes while the driver is busy.
    fn leave(&mut self, hash_key: u128) -> PendingReceipt {
        self.leave_data(hash_key, "data".into())
    }

    fn leave_data(&mut self, hash_key: u128, data: bytes::Bytes) -> PendingReceipt {
        let key = PartitionKey::new(format!("key-{hash_key}")).unwrap();
        let mut record = EncodedRecord::new(key, data);
        record.explicit_hash_key = Some(HashKey::new(hash_key));
        self.count += 1;
        let budget = &self.state.shared.budget;
        let charge = budget.try_acquire(record.size_bytes()).unwrap();
        self.inbox.put((&record).into(), self.now, charge).unwrap()
    }

    /// A record for each quarter of the key space is put.
    fn put_quarters(&mut self) -> [PendingReceipt; 4] {
        [0, 1, 2, 3].map(|quarter| self.put(quarter * QUARTER))
    }

    fn lists(&mut self) -> Option<Listed> {
        self.state.begins_listing(self.now)
    }

    fn request(&mut self) -> Option<Request> {
        let request = self.state.next_request(self.now);
        self.state.queues.assert_account();
        request
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
            begun_at: request.begun_at,
        };
        self.state.on_sent(sent, self.now);
        self.state.queues.assert_account();
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

    fn put_again(&self) -> u64 {
        self.state.shared.counters.snapshot().records_put_again
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
