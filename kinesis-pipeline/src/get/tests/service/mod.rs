//! A Kinesis for the reader's tests: shards in memory, with the service's rules for reading and faults on
//! request.

mod calls;
mod state;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::time::Instant;

use crate::{
    Clock, EncodedRecord, HashKey, HashKeyRange, KinesisStream, PartitionKey, SequenceNumber,
    Shard, ShardId,
    service::{
        ChildShard, CreateStream, DeleteStream, DescribeStreamSummary, GetRecords,
        GetShardIterator, IteratorStart, Kinesis, ListShards, ListStreams, MergeShards, PutRecords,
        PutRecordsAnswer, RecordPage, ServiceError, ServiceFuture, ShardIterator, ShardPage,
        SplitShard, StoredRecord, StreamPage, StreamSummary,
    },
    wire::aggregate,
};

const ITERATOR_LIFE: Duration = Duration::from_mins(5);
pub(super) const BASE: SystemTime = SystemTime::UNIX_EPOCH;

#[derive(Clone, Debug)]
pub(super) struct TestKinesis {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fault of some server"
)]
pub(super) struct State {
    shards: Vec<TestShard>,
    iterators: Vec<Place>,
    last_number: u128,
    /// Every call, in order.
    pub(super) calls: Vec<MadeCall>,
    /// Errors to answer with, per operation and shard, before anything else.
    faults: HashMap<(&'static str, usize), Fault>,
    /// How long calls about a shard take.
    pub(super) latencies: HashMap<usize, Duration>,
    pub(super) hides_children: bool,
    pub(super) hides_behind_latest: bool,
    pub(super) repeats_list_token: bool,
    pub(super) hides_end_of_full_pages: bool,
    /// As the service does: a number that has expired stands for the oldest record.
    pub(super) moves_expired_places: bool,
    pub(super) list_page_max: Option<usize>,
    /// A day if it is not set.
    pub(super) retention: Option<Duration>,
    /// Answers to the next listings in place of the shards that there are.
    pub(super) listings: VecDeque<Vec<Shard>>,
    created_at: Option<SystemTime>,
}

#[derive(Debug)]
pub(super) struct MadeCall {
    pub(super) operation: &'static str,
    pub(super) shard: usize,
    pub(super) at: Instant,
    pub(super) limit: Option<u32>,
    pub(super) start: Option<IteratorStart>,
}

#[derive(Debug)]
struct TestShard {
    shard: Shard,
    /// The oldest record that is retained.
    horizon: usize,
    is_forgotten: bool,
    records: Vec<StoredRecord>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    shard: usize,
    index: usize,
    made_at: Instant,
}

#[derive(Clone, Debug)]
struct Fault {
    code: &'static str,
    times: usize,
}

impl TestKinesis {
    pub(super) fn new(shards: usize) -> Self {
        let service = Self {
            clock: Clock::tokio(BASE + Duration::from_secs(1000)),
            state: Arc::default(),
        };
        service.state().add_even_shards(shards);
        service
    }

    /// Deletes the stream and makes another one of the same name.
    pub(super) fn make_again(&self, shards: usize) {
        let mut state = self.state();
        state.shards.clear();
        state.created_at = Some(self.clock.now());
        // No place of an iterator is one of the new stream.
        state
            .iterators
            .iter_mut()
            .for_each(|place| place.shard = usize::MAX);
        state.add_even_shards(shards);
    }

    /// Answers the next `times` listings with the shards that are there now but these.
    pub(super) fn list_without(&self, times: usize, lacking: &[usize]) {
        let mut state = self.state();
        let shards = state.shards.iter().enumerate();
        let shards = shards.filter(|(number, _)| !lacking.contains(number));
        let shards: Vec<_> = shards.map(|(_, shard)| shard.shard.clone()).collect();
        state.listings.extend(std::iter::repeat_n(shards, times));
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn clock(&self) -> Clock {
        self.clock.clone()
    }

    pub(super) fn stream<R>(&self) -> KinesisStream<R> {
        KinesisStream::with_service(Arc::new(self.clone()), "test").with_clock(self.clock())
    }

    /// The stream as a machine sees it whose clock is off by so many seconds.
    pub(super) fn stream_of_clock<R>(&self, seconds_ahead: i64) -> KinesisStream<R> {
        let (now, off) = (
            self.clock.now(),
            Duration::from_secs(seconds_ahead.unsigned_abs()),
        );
        let now = if seconds_ahead < 0 {
            now - off
        } else {
            now + off
        };
        self.stream().with_clock(Clock::tokio(now))
    }

    /// Stores a record and returns its number.
    pub(super) fn put(&self, shard: usize, text: impl Into<String>) -> SequenceNumber {
        let now = self.clock.now();
        self.state().put(shard, Bytes::from(text.into()), now)
    }

    /// Stores a record of these bytes.
    pub(super) fn put_data(&self, shard: usize, data: Bytes) {
        let now = self.clock.now();
        self.state().put(shard, data, now);
    }

    /// Gives a shard this part of the key space.
    pub(super) fn narrow(&self, shard: usize, range: HashKeyRange) {
        self.state().shards[shard].shard.hash_key_range = range;
    }

    /// Stores these texts as one aggregate.
    pub(super) fn put_aggregate(&self, shard: usize, texts: &[String]) -> SequenceNumber {
        let mut writer = aggregate::Writer::new();
        for text in texts {
            let key = PartitionKey::new("user key").unwrap();
            writer.push(&EncodedRecord::new(key, Bytes::from(text.clone())));
        }
        let now = self.clock.now();
        self.state().put(shard, writer.finish(), now)
    }

    /// Splits a shard and returns its children.
    pub(super) fn split(&self, shard: usize) -> [usize; 2] {
        let mut state = self.state();
        state.close(shard);
        let range = state.shards[shard].shard.hash_key_range;
        let middle = range.middle().max(HashKey::new(1));
        let low = HashKeyRange::new(range.start, HashKey::new(middle.value() - 1));
        let high = HashKeyRange::new(middle, range.end);
        [low, high].map(|range| state.add_shard(&[shard], range))
    }

    pub(super) fn merge(&self, first: usize, second: usize) -> usize {
        let mut state = self.state();
        state.close(first);
        state.close(second);
        let (one, other) = (state.range(first), state.range(second));
        // Tests merge shards that do not touch, too.
        let range = HashKeyRange::new(one.start.min(other.start), one.end.max(other.end));
        state.add_shard(&[first, second], range)
    }

    /// The records of a shard expire; with `entirely` the shard too.
    pub(super) fn trim(&self, shard: usize, entirely: bool) {
        let shard = &mut self.state().shards[shard];
        shard.horizon = shard.records.len();
        shard.is_forgotten = entirely;
    }

    /// Answers the next `times` calls of this kind with an error.
    pub(super) fn fail(
        &self,
        operation: &'static str,
        shard: usize,
        code: &'static str,
        times: usize,
    ) {
        self.state()
            .faults
            .insert((operation, shard), Fault { code, times });
    }

    pub(super) fn calls_of(&self, operation: &str, shard: usize) -> Vec<Instant> {
        let state = self.state();
        let calls = state.calls.iter();
        calls
            .filter(|call| call.operation == operation && call.shard == shard)
            .map(|call| call.at)
            .collect()
    }

    /// Notes the call, waits as long as calls of the shard take, and answers with a fault if one is due.
    async fn enter(&self, call: MadeCall) -> Result<(), ServiceError> {
        let key = (call.operation, call.shard);
        let (latency, fault) = {
            let mut state = self.state();
            state.calls.push(call);
            let latency = state.latencies.get(&key.1).copied();
            (
                latency.unwrap_or(Duration::from_millis(5)),
                state.next_fault(key),
            )
        };
        tokio::time::sleep(latency).await;
        match fault {
            Some("timeout") => Err(ServiceError::unanswered(
                key.0,
                "test",
                crate::service::ErrorClass::Transient,
                "no answer",
            )),
            Some(code) => Err(ServiceError::answered(key.0, "test", code, "")),
            None => Ok(()),
        }
    }

    fn made(&self, operation: &'static str, shard: usize) -> MadeCall {
        let at = self.clock.instant();
        MadeCall {
            operation,
            shard,
            at,
            limit: None,
            start: None,
        }
    }
}
