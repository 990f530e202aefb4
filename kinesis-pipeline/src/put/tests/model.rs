//! A service with shards, limits and faults, in virtual time.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::script::ENDPOINT;
use crate::{
    Clock, HashKeyRange, KinesisStream, Receipt,
    record::EncodedRecord,
    service::{
        CreateStream, DeleteStream, DescribeStreamSummary, EntryFailure, ErrorClass, GetRecords,
        GetShardIterator, Kinesis, ListShards, ListStreams, MergeShards, PutRecords,
        PutRecordsAnswer, RecordPage, ServiceError, ServiceFuture, ShardIterator, ShardPage,
        SplitShard, StoredAt, StreamPage, StreamSummary,
    },
    shard::{HashKey, Shard, ShardId},
    wire::aggregate,
};

const BYTES_PER_SECOND: usize = 1_048_576;
const RECORDS_PER_SECOND: usize = 1_000;
const THROTTLED: &str = "ProvisionedThroughputExceededException";

/// What goes wrong, each with its probability.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    pub(super) lost_answers: f64,
    pub(super) throttled_records: f64,
    pub(super) failed_records: f64,
    pub(super) failed_requests: f64,
    pub(super) throttled_listings: f64,
    /// The answer to the listing before is given once more.
    pub(super) stale_listings: f64,
    /// A shard is missing.
    pub(super) cut_listings: f64,
    /// The token of the page is given again and again, with the same page.
    pub(super) repeated_tokens: f64,
    /// Each page has another token.
    pub(super) endless_tokens: bool,
    /// The listing takes two seconds.
    pub(super) slow_listings: f64,
}

/// The longest that a request and a listing take, each drawn apart between a quarter of it and the whole.
#[derive(Clone, Copy)]
pub(super) struct Latencies {
    pub(super) request: Duration,
    pub(super) listing: Duration,
}

pub(super) struct Model {
    inner: Mutex<Inner>,
}

struct Inner {
    latencies: Latencies,
    shards: Vec<ModelShard>,
    /// How often the stream was made.
    made: u32,
    /// The answer to the last listing.
    listed: Vec<Shard>,
    /// All that is stored, in the order in which it was.
    stored: Vec<Stored>,
    faults: Faults,
    limits: bool,
    /// The service ignores keys.
    auto: bool,
    list_denied: bool,
    /// The source of the credentials fails until then.
    unsigned_until: Option<Instant>,
    lists: usize,
    lost_records: usize,
    throttled: usize,
    rng: fastrand::Rng,
}

struct ModelShard {
    shard: Shard,
    window: Option<Instant>,
    bytes: usize,
    records: usize,
}

#[derive(Clone)]
pub(super) struct Stored {
    pub(super) shard_id: ShardId,
    /// The hash keys that the shard takes.
    pub(super) range: HashKeyRange,
    pub(super) record: EncodedRecord,
}

impl Stored {
    /// The user records in it.
    pub(super) fn users(&self) -> Vec<EncodedRecord> {
        match aggregate::split(&self.record.data) {
            Some(aggregate) => aggregate.iter().collect(),
            None => vec![self.record.clone()],
        }
    }

    /// Whether all user records are in a shard that takes them: KCL drops all of them otherwise.
    pub(super) fn is_whole(&self) -> bool {
        let mut users = self.users().into_iter();
        users.all(|user| self.range.contains(user.hash_key()))
    }
}

impl Model {
    pub(super) fn new(shards: u32, seed: u64) -> Arc<Self> {
        let latencies = Latencies {
            request: Duration::from_micros(12_500),
            listing: Duration::from_millis(10),
        };
        Arc::new(Self {
            inner: Mutex::new(Inner {
                latencies,
                shards: even(shards, 1),
                made: 1,
                listed: Vec::new(),
                stored: Vec::new(),
                faults: Faults::default(),
                limits: false,
                auto: false,
                list_denied: false,
                unsigned_until: None,
                lists: 0,
                lost_records: 0,
                throttled: 0,
                rng: fastrand::Rng::with_seed(seed),
            }),
        })
    }

    pub(super) fn stream(self: &Arc<Self>) -> KinesisStream<EncodedRecord> {
        KinesisStream::with_service(Arc::clone(self) as Arc<dyn Kinesis>, "readings")
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        self.inner.lock().unwrap().faults = faults;
    }

    pub(super) fn set_latencies(&self, latencies: Latencies) {
        self.inner.lock().unwrap().latencies = latencies;
    }

    pub(super) fn enforce_limits(&self) {
        self.inner.lock().unwrap().limits = true;
    }

    pub(super) fn distribute(&self) {
        self.inner.lock().unwrap().auto = true;
    }

    pub(super) fn deny_listing(&self) {
        self.inner.lock().unwrap().list_denied = true;
    }

    /// From now on no call can be signed, for so long.
    pub(super) fn lose_credentials(&self, outage: Duration) {
        let until = Clock::system().instant() + outage;
        self.inner.lock().unwrap().unsigned_until = Some(until);
    }

    pub(super) fn lists(&self) -> usize {
        self.inner.lock().unwrap().lists
    }

    pub(super) fn throttled(&self) -> usize {
        self.inner.lock().unwrap().throttled
    }

    /// How many user records were stored by requests whose answers were lost.
    pub(super) fn lost_records(&self) -> usize {
        self.inner.lock().unwrap().lost_records
    }

    pub(super) fn stored(&self) -> Vec<Stored> {
        self.inner.lock().unwrap().stored.clone()
    }

    /// Deletes the stream and makes it again. What was stored is remembered.
    pub(super) fn make_again(&self, shards: u32) {
        let mut inner = self.inner.lock().unwrap();
        inner.made += 1;
        inner.shards = even(shards, inner.made);
        inner.listed.clear();
    }

    /// Where the Kinesis record that a receipt points at stands among all that are stored.
    pub(super) fn index_of(receipt: &Receipt) -> usize {
        let number: usize = receipt.sequence_number.as_str().parse().unwrap();
        number - 1
    }

    /// The user record that a receipt points at.
    pub(super) fn at(stored: &[Stored], receipt: &Receipt) -> EncodedRecord {
        let index = Self::index_of(receipt);
        assert_eq!(stored[index].shard_id, receipt.shard_id);
        let sub = usize::try_from(receipt.sub_sequence_number).unwrap();
        stored[index].users().swap_remove(sub)
    }

    /// Splits the open shard with this index among the open ones.
    pub(super) fn split(&self, index: usize) {
        self.inner.lock().unwrap().split(index);
    }

    /// Merges the open shards with this index and the next.
    pub(super) fn merge(&self, index: usize) {
        self.inner.lock().unwrap().merge(index);
    }
}

/// The shards of a stream that is made for this time.
fn even(shards: u32, made: u32) -> Vec<ModelShard> {
    let step = u128::MAX / u128::from(shards);
    let shards = (0..u128::from(shards)).map(|index| {
        let last = index + 1 == u128::from(shards);
        let end = if last {
            u128::MAX
        } else {
            (index + 1) * step - 1
        };
        shard(usize::try_from(index).unwrap(), index * step, end, made)
    });
    shards.collect()
}

fn shard(number: usize, start: u128, end: u128, made: u32) -> ModelShard {
    let id = format!("shardId-{number:012}");
    let range = HashKeyRange::new(HashKey::new(start), HashKey::new(end));
    ModelShard {
        shard: Shard::new(id.into(), range, u128::from(made).into()),
        window: None,
        bytes: 0,
        records: 0,
    }
}

impl Inner {
    fn open(&self) -> Vec<usize> {
        let mut open: Vec<_> = (0..self.shards.len())
            .filter(|&index| self.shards[index].shard.is_open())
            .collect();
        open.sort_by_key(|&index| self.shards[index].shard.hash_key_range.start);
        open
    }

    fn close(&mut self, index: usize) -> HashKeyRange {
        self.shards[index].shard.ending_sequence_number = Some(9_u128.into());
        self.shards[index].shard.hash_key_range
    }

    fn split(&mut self, index: usize) {
        let parent = self.open()[index];
        let range = self.close(parent);
        let (start, end) = (range.start.value(), range.end.value());
        let middle = start + (end - start) / 2;
        for (start, end) in [(start, middle), (middle + 1, end)] {
            let mut child = shard(self.shards.len(), start, end, self.made);
            child.shard.parent_id = Some(self.shards[parent].shard.id.clone());
            self.shards.push(child);
        }
    }

    fn merge(&mut self, index: usize) {
        let open = self.open();
        let (low, high) = (self.close(open[index]), self.close(open[index + 1]));
        let (start, end) = (low.start.value(), high.end.value());
        let mut child = shard(self.shards.len(), start, end, self.made);
        child.shard.parent_id = Some(self.shards[open[index]].shard.id.clone());
        child.shard.adjacent_parent_id = Some(self.shards[open[index + 1]].shard.id.clone());
        self.shards.push(child);
    }

    fn put(&mut self, record: &EncodedRecord, now: Instant) -> Result<StoredAt, EntryFailure> {
        let open = self.open();
        let key = record.hash_key();
        let index = if self.auto {
            open[self.rng.usize(..open.len())]
        } else {
            let holds = |&&index: &&usize| self.shards[index].shard.hash_key_range.contains(key);
            *open.iter().find(holds).unwrap()
        };
        if self.rng.f64() < self.faults.failed_records {
            return Err(EntryFailure::new("InternalFailure", ""));
        }
        let over = self.limits && !self.shards[index].takes(record.size_bytes(), now);
        if over || self.rng.f64() < self.faults.throttled_records {
            self.throttled += 1;
            return Err(EntryFailure::new(THROTTLED, ""));
        }
        let shard_id = self.shards[index].shard.id.clone();
        let number = self.stored.len() as u128 + 1;
        self.stored.push(Stored {
            shard_id: shard_id.clone(),
            range: self.shards[index].shard.hash_key_range,
            record: record.clone(),
        });
        Ok(StoredAt::new(shard_id, number.into()))
    }
}

impl ModelShard {
    /// Counts by whole seconds, which allows bursts and forgives nothing.
    fn takes(&mut self, bytes: usize, now: Instant) -> bool {
        let second = Duration::from_secs(1);
        if self
            .window
            .is_none_or(|since| now.duration_since(since) >= second)
        {
            (self.window, self.bytes, self.records) = (Some(now), 0, 0);
        }
        let takes = self.bytes + bytes <= BYTES_PER_SECOND && self.records < RECORDS_PER_SECOND;
        if takes {
            self.bytes += bytes;
            self.records += 1;
        }
        takes
    }
}

#[expect(clippy::result_large_err, reason = "what the seam returns")]
impl Model {
    fn latency(&self, of: impl Fn(&Latencies) -> Duration) -> Duration {
        let mut inner = self.inner.lock().unwrap();
        let part = inner.rng.f64();
        of(&inner.latencies).mul_f64(0.25 + 0.75 * part)
    }

    fn put_now(&self, call: &PutRecords) -> Result<PutRecordsAnswer, ServiceError> {
        let mut inner = self.inner.lock().unwrap();
        let now = Clock::system().instant();
        if inner.unsigned_until.is_some_and(|until| now < until) {
            return Err(ServiceError::unsigned("PutRecords", ENDPOINT, "busy"));
        }
        if inner.rng.f64() < inner.faults.failed_requests {
            return Err(ServiceError::answered(
                "PutRecords",
                ENDPOINT,
                "InternalFailure",
                "",
            ));
        }
        let before = inner.stored.len();
        let results = call
            .records
            .iter()
            .map(|record| inner.put(record, now))
            .collect();
        if inner.rng.f64() < inner.faults.lost_answers {
            let lost: usize = inner.stored[before..]
                .iter()
                .map(|stored| stored.users().len())
                .sum();
            inner.lost_records += lost;
            let mut lost =
                ServiceError::unanswered("PutRecords", ENDPOINT, ErrorClass::Transient, "reset");
            lost.may_have_been_done = true;
            return Err(lost);
        }
        Ok(PutRecordsAnswer::new(results))
    }

    fn list_now(&self, call: &ListShards) -> Result<ShardPage, ServiceError> {
        let mut inner = self.inner.lock().unwrap();
        inner.lists += 1;
        let now = Clock::system().instant();
        if inner.unsigned_until.is_some_and(|until| now < until) {
            return Err(ServiceError::unsigned("ListShards", ENDPOINT, "busy"));
        }
        let failed = |code| ServiceError::answered("ListShards", ENDPOINT, code, "");
        if inner.list_denied {
            return Err(failed("AccessDeniedException"));
        }
        if inner.rng.f64() < inner.faults.throttled_listings {
            return Err(failed("LimitExceededException"));
        }
        Ok(inner.page(call))
    }
}

impl Inner {
    fn page(&mut self, call: &ListShards) -> ShardPage {
        let faults = self.faults;
        let all = self.shards.iter().map(|it| it.shard.clone()).collect();
        let before = std::mem::replace(&mut self.listed, all);
        let is_stale = self.rng.f64() < faults.stale_listings && !before.is_empty();
        let mut shards = if is_stale {
            before
        } else {
            self.listed.clone()
        };
        let is_again = call.next_token.is_some();
        if call.filter.is_some() {
            shards.retain(Shard::is_open);
        }
        if self.rng.f64() < faults.cut_listings {
            shards.remove(self.rng.usize(..shards.len()));
        }
        let mut page = ShardPage {
            shards,
            ..ShardPage::default()
        };
        if is_again || self.rng.f64() < faults.repeated_tokens {
            page.next_token = Some("again".to_owned());
        }
        if faults.endless_tokens {
            page.next_token = Some(self.lists.to_string());
        }
        page
    }
}

impl Kinesis for Model {
    fn endpoint(&self) -> &str {
        ENDPOINT
    }

    fn put_records(&self, call: PutRecords) -> ServiceFuture<'_, PutRecordsAnswer> {
        Box::pin(async move {
            let latency = self.latency(|latencies| latencies.request);
            tokio::time::sleep(latency.mul_f64(0.6)).await;
            let answer = self.put_now(&call);
            tokio::time::sleep(latency.mul_f64(0.4)).await;
            answer
        })
    }

    fn list_shards(&self, call: ListShards) -> ServiceFuture<'_, ShardPage> {
        Box::pin(async move {
            let latency = self.latency(|latencies| latencies.listing);
            let is_slow = {
                let mut inner = self.inner.lock().unwrap();
                inner.rng.f64() < inner.faults.slow_listings
            };
            let more = Duration::from_secs(if is_slow { 2 } else { 0 });
            tokio::time::sleep(latency.mul_f64(0.5) + more).await;
            // It tells of the time when it was made, not of that when it arrives.
            let answer = self.list_now(&call);
            tokio::time::sleep(latency.mul_f64(0.5)).await;
            answer
        })
    }

    fn get_shard_iterator(&self, _: GetShardIterator) -> ServiceFuture<'_, ShardIterator> {
        unimplemented!()
    }

    fn get_records(&self, _: GetRecords) -> ServiceFuture<'_, RecordPage> {
        unimplemented!()
    }

    fn list_streams(&self, _: ListStreams) -> ServiceFuture<'_, StreamPage> {
        unimplemented!()
    }

    fn describe_stream_summary(
        &self,
        _: DescribeStreamSummary,
    ) -> ServiceFuture<'_, StreamSummary> {
        let time = std::time::SystemTime::UNIX_EPOCH;
        let mut stream = StreamSummary::new("readings", "arn", time);
        stream.record_bytes_max = 4 * 1024 * 1024;
        Box::pin(async move { Ok(stream) })
    }

    fn create_stream(&self, _: CreateStream) -> ServiceFuture<'_, ()> {
        unimplemented!()
    }

    fn delete_stream(&self, _: DeleteStream) -> ServiceFuture<'_, ()> {
        unimplemented!()
    }

    fn split_shard(&self, _: SplitShard) -> ServiceFuture<'_, ()> {
        unimplemented!()
    }

    fn merge_shards(&self, _: MergeShards) -> ServiceFuture<'_, ()> {
        unimplemented!()
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Model")
    }
}
