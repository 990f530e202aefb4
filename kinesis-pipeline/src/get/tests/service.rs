//! A Kinesis for the reader's tests: shards in memory, with the service's rules for reading and faults on
//! request.

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

impl State {
    fn add_even_shards(&mut self, count: usize) {
        let width = u128::MAX / (count.max(1) as u128);
        for number in 0..count as u128 {
            let is_last = number + 1 == count as u128;
            let end = if is_last {
                u128::MAX
            } else {
                (number + 1) * width - 1
            };
            let range = HashKeyRange::new((number * width).into(), end.into());
            self.add_shard(&[], range);
        }
    }

    fn range(&self, shard: usize) -> HashKeyRange {
        self.shards[shard].shard.hash_key_range
    }

    fn add_shard(&mut self, parents: &[usize], range: HashKeyRange) -> usize {
        let id = |number: usize| ShardId::from(format!("shardId-{number:012}"));
        let number = self.shards.len();
        let mut shard = Shard::new(id(number), range, (self.last_number + 1).into());
        shard.parent_id = parents.first().copied().map(id);
        shard.adjacent_parent_id = parents.get(1).copied().map(id);
        self.shards.push(TestShard {
            shard,
            horizon: 0,
            is_forgotten: false,
            records: Vec::new(),
        });
        number
    }

    fn close(&mut self, shard: usize) {
        assert!(self.shards[shard].shard.is_open(), "{shard} is closed");
        self.shards[shard].shard.ending_sequence_number = Some(self.last_number.into());
    }

    fn put(&mut self, shard: usize, data: Bytes, now: SystemTime) -> SequenceNumber {
        assert!(self.shards[shard].shard.is_open(), "{shard} is closed");
        self.last_number += 1;
        let number = SequenceNumber::from(self.last_number);
        let key = PartitionKey::new(format!("key-{shard}")).unwrap();
        let record = StoredRecord::new(number.clone(), now, data, key);
        self.shards[shard].records.push(record);
        number
    }

    fn next_fault(&mut self, key: (&'static str, usize)) -> Option<&'static str> {
        let fault = self.faults.get_mut(&key).filter(|fault| fault.times > 0)?;
        fault.times -= 1;
        Some(fault.code)
    }

    fn number_of(&self, id: &ShardId) -> Option<usize> {
        self.shards.iter().position(|shard| shard.shard.id == *id)
    }

    fn iterator(&mut self, place: Place) -> ShardIterator {
        self.iterators.push(place);
        ShardIterator::from((self.iterators.len() - 1).to_string())
    }

    fn index_of(&self, shard: usize, start: &IteratorStart, now: SystemTime) -> Option<usize> {
        let (records, horizon) = (&self.shards[shard].records, self.shards[shard].horizon);
        let first = |is_reached: &dyn Fn(&StoredRecord) -> bool| {
            records.iter().position(is_reached).unwrap_or(records.len())
        };
        let is_known = |number: &SequenceNumber| {
            let known = if self.moves_expired_places {
                0
            } else {
                horizon
            };
            records[known..]
                .iter()
                .any(|record| record.sequence_number == *number)
        };
        let index = match start {
            IteratorStart::TrimHorizon => Some(self.shards[shard].horizon),
            IteratorStart::Latest => Some(records.len()),
            IteratorStart::AtTimestamp(time) if *time > now => None,
            IteratorStart::AtTimestamp(time) => Some(first(&|record| record.arrived_at >= *time)),
            IteratorStart::AtSequenceNumber(number) => {
                is_known(number).then(|| first(&|record| record.sequence_number >= *number))
            }
            IteratorStart::AfterSequenceNumber(number) => {
                is_known(number).then(|| first(&|record| record.sequence_number > *number))
            }
        };
        index.map(|index| index.max(horizon))
    }

    fn page(&mut self, place: Place, limit: usize, now: SystemTime, at: Instant) -> RecordPage {
        let shard = &self.shards[place.shard];
        let end = shard.records.len().min(place.index + limit);
        let is_hidden = self.hides_end_of_full_pages && end > place.index;
        let is_last = !shard.shard.is_open() && end == shard.records.len() && !is_hidden;
        let behind = match shard.records.get(end) {
            Some(next) => now.duration_since(next.arrived_at).unwrap() + Duration::from_millis(1),
            None => Duration::ZERO,
        };
        let mut page = RecordPage {
            records: shard.records[place.index..end].to_vec(),
            behind_latest: (!self.hides_behind_latest).then_some(behind),
            ..RecordPage::default()
        };
        if is_last && !self.hides_children {
            page.child_shards = self.children(place.shard);
        }
        if !is_last {
            let next = Place {
                index: end,
                made_at: at,
                ..place
            };
            page.next_iterator = Some(self.iterator(next));
        }
        page
    }

    fn children(&self, shard: usize) -> Vec<ChildShard> {
        let parent = &self.shards[shard].shard.id;
        let shards = self.shards.iter().map(|shard| &shard.shard);
        shards
            .filter(|child| child.parents().any(|id| id == parent))
            .map(|child| {
                let parents = child.parents().cloned().collect();
                ChildShard::new(child.id.clone(), parents, child.hash_key_range)
            })
            .collect()
    }
}

impl Kinesis for TestKinesis {
    fn endpoint(&self) -> &'static str {
        "the test Kinesis"
    }

    fn get_shard_iterator(&self, call: GetShardIterator) -> ServiceFuture<'_, ShardIterator> {
        Box::pin(async move {
            let not_found = || {
                ServiceError::answered("GetShardIterator", "test", "ResourceNotFoundException", "")
            };
            let shard = self
                .state()
                .number_of(&call.shard_id)
                .ok_or_else(not_found)?;
            let start = Some(call.start.clone());
            self.enter(MadeCall {
                start,
                ..self.made("GetShardIterator", shard)
            })
            .await?;
            let mut state = self.state();
            let now = self.clock.now();
            if shard >= state.shards.len() || state.shards[shard].is_forgotten {
                return Err(not_found());
            }
            let index = state.index_of(shard, &call.start, now).ok_or_else(|| {
                ServiceError::answered("GetShardIterator", "test", "InvalidArgumentException", "")
            })?;
            Ok(state.iterator(Place {
                shard,
                index,
                made_at: self.clock.instant(),
            }))
        })
    }

    fn get_records(&self, call: GetRecords) -> ServiceFuture<'_, RecordPage> {
        Box::pin(async move {
            let number: usize = call.iterator.as_str().parse().expect("our own iterator");
            let place = self.state().iterators[number];
            let is_there = |shard: &TestShard| !shard.is_forgotten;
            if !self.state().shards.get(place.shard).is_some_and(is_there) {
                return Err(ServiceError::answered(
                    "GetRecords",
                    "test",
                    "ResourceNotFoundException",
                    "",
                ));
            }
            let limit = call.limit;
            self.enter(MadeCall {
                limit,
                ..self.made("GetRecords", place.shard)
            })
            .await?;
            let now = self.clock.instant();
            if now - place.made_at >= ITERATOR_LIFE {
                return Err(ServiceError::answered(
                    "GetRecords",
                    "test",
                    "ExpiredIteratorException",
                    "",
                ));
            }
            let limit = call.limit.unwrap_or(10_000) as usize;
            Ok(self.state().page(place, limit, self.clock.now(), now))
        })
    }

    fn list_shards(&self, call: ListShards) -> ServiceFuture<'_, ShardPage> {
        Box::pin(async move {
            self.enter(self.made("ListShards", 0)).await?;
            let mut state = self.state();
            if let Some(shards) = state.listings.pop_front() {
                let next_token = None;
                return Ok(ShardPage { shards, next_token });
            }
            let from: usize = call.next_token.map_or(0, |token| token.parse().unwrap());
            let most = state.list_page_max.unwrap_or(1000);
            let shards: Vec<_> = state
                .shards
                .iter()
                .filter(|shard| !shard.is_forgotten)
                .skip(from)
                .take(most)
                .map(|shard| shard.shard.clone())
                .collect();
            let next = if state.repeats_list_token {
                0
            } else {
                from + shards.len()
            };
            let retained = state.shards.iter().filter(|shard| !shard.is_forgotten);
            let next_token = (from + shards.len() < retained.count()).then(|| next.to_string());
            Ok(ShardPage { shards, next_token })
        })
    }

    fn put_records(&self, _: PutRecords) -> ServiceFuture<'_, PutRecordsAnswer> {
        unimplemented!("readers do not put")
    }

    fn list_streams(&self, _: ListStreams) -> ServiceFuture<'_, StreamPage> {
        unimplemented!("readers do not list streams")
    }

    fn describe_stream_summary(
        &self,
        _: DescribeStreamSummary,
    ) -> ServiceFuture<'_, StreamSummary> {
        Box::pin(async move {
            self.enter(self.made("DescribeStreamSummary", 0)).await?;
            let created_at = self.state().created_at.unwrap_or(BASE);
            let mut summary = StreamSummary::new("test", "arn", created_at);
            if let Some(retention) = self.state().retention {
                summary.retention = retention;
            }
            Ok(summary)
        })
    }

    fn create_stream(&self, _: CreateStream) -> ServiceFuture<'_, ()> {
        unimplemented!("readers do not create streams")
    }

    fn delete_stream(&self, _: DeleteStream) -> ServiceFuture<'_, ()> {
        unimplemented!("readers do not delete streams")
    }

    fn split_shard(&self, _: SplitShard) -> ServiceFuture<'_, ()> {
        unimplemented!("tests split by `split`")
    }

    fn merge_shards(&self, _: MergeShards) -> ServiceFuture<'_, ()> {
        unimplemented!("tests merge by `merge`")
    }
}
