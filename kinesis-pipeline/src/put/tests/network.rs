//! The embedded Kinesis behind a network with faults, in virtual time.
//!
//! Shards, limits, refusals and sequence numbers are those of the embedded Kinesis. The network adds what a service in
//! the same process never does: latencies, lost answers, credentials that cannot be had, and listings that are stale,
//! incomplete or paged wrongly. It keeps each record that was stored, in the order in which they were.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::local::reshard;
use crate::{
    Clock, HashKey, HashKeyRange, KinesisStream, Receipt,
    local::{Fault, LocalKinesis},
    record::EncodedRecord,
    service::{
        Consumer, CreateStream, DeleteStream, DeregisterStreamConsumer, DescribeStreamConsumer,
        DescribeStreamSummary, ErrorClass, GetRecords, GetShardIterator, Kinesis, ListShards,
        ListStreams, MergeShards, PutCheck, PutRecords, PutRecordsAnswer, RecordPage,
        RegisterStreamConsumer, ServiceError, ServiceFuture, ShardIterator, ShardPage, SplitShard,
        StoredAt, StreamPage, StreamSummary, SubscribeToShard, Subscription, UpdateShardCount,
    },
    shard::{Shard, ShardId},
    wire::aggregate,
};

const STREAM: &str = "readings";
/// The time that a stream takes to be split, merged, made or deleted.
const TRANSITION: Duration = Duration::from_millis(1);
/// The times in which a stream is deleted and made again; AWS takes longer.
const MADE_AGAIN_MILLIS: [u64; 3] = [1, 100, 5_000];
const SLOW_LISTING: Duration = Duration::from_secs(2);

/// The probability of each fault.
#[derive(Clone, Copy, Default)]
pub(super) struct Faults {
    /// The records of the request are stored, and its answer does not arrive.
    pub(super) lost_answers: f64,
    pub(super) throttled_records: f64,
    pub(super) failed_records: f64,
    pub(super) failed_requests: f64,
    pub(super) throttled_listings: f64,
    pub(super) denied_listings: f64,
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

/// The longest times that a request and a listing take, each drawn apart between a quarter of it and the whole.
#[derive(Clone, Copy)]
pub(super) struct Latencies {
    pub(super) request: Duration,
    pub(super) listing: Duration,
}

/// The embedded Kinesis behind a network, with one stream.
pub(super) struct Network {
    kinesis: LocalKinesis,
    inner: Arc<dyn Kinesis>,
    state: Mutex<State>,
}

struct State {
    rng: fastrand::Rng,
    latencies: Latencies,
    faults: Faults,
    /// The service ignores keys.
    auto: bool,
    /// The source of the credentials fails until then.
    unsigned_until: Option<Instant>,
    /// The shards of the last listing of open shards, and of the last one of all.
    listed: [Vec<Shard>; 2],
    lists: usize,
    lost_records: usize,
    throttled: usize,
    stored: Vec<Stored>,
}

/// A Kinesis record that was stored.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) at: StoredAt,
    pub(super) record: EncodedRecord,
    /// The user records in it; none until [`Network::log`] has read them.
    pub(super) users: Vec<EncodedRecord>,
    /// The hash keys that the shard takes; absent until [`Network::stored`] has looked it up.
    range: Option<HashKeyRange>,
}

impl Stored {
    fn new(at: StoredAt, record: &EncodedRecord) -> Self {
        Self {
            at,
            record: record.clone(),
            users: Vec::new(),
            range: None,
        }
    }

    fn read_users(&self) -> Vec<EncodedRecord> {
        match aggregate::split(&self.record.data) {
            Some(aggregate) => aggregate.iter().collect(),
            None => vec![self.record.clone()],
        }
    }

    pub(super) fn range(&self) -> HashKeyRange {
        self.range.expect("the shard is listed")
    }

    /// Whether all user records are in a shard that takes them: KCL drops all of them otherwise.
    pub(super) fn is_whole(&self) -> bool {
        let mut users = self.users.iter();
        users.all(|user| self.range().contains(user.hash_key()))
    }
}

/// All Kinesis records that were stored, in their order.
pub(super) struct Log {
    pub(super) stored: Vec<Stored>,
    index: HashMap<(ShardId, String), usize>,
}

impl Log {
    /// The Kinesis record that a receipt points at.
    pub(super) fn at(&self, receipt: &Receipt) -> &Stored {
        let sequence_number = receipt.sequence_number.as_str().to_owned();
        let index = self.index.get(&(receipt.shard_id.clone(), sequence_number));
        &self.stored[*index.expect("a record at the receipt")]
    }

    /// The user record that a receipt points at.
    pub(super) fn user(&self, receipt: &Receipt) -> &EncodedRecord {
        let sub = usize::try_from(receipt.sub_sequence_number).unwrap();
        &self.at(receipt).users[sub]
    }

    /// All user records, in the order in which they were stored.
    pub(super) fn users(&self) -> impl Iterator<Item = &EncodedRecord> {
        self.stored.iter().flat_map(|stored| &stored.users)
    }
}

impl Network {
    /// A stream with so many shards, which enforces no limits.
    pub(super) async fn new(shards: u32, seed: u64) -> Arc<Self> {
        Self::start(shards, seed, false).await
    }

    /// The same with the limits of the shards.
    pub(super) async fn with_limits(shards: u32, seed: u64) -> Arc<Self> {
        Self::start(shards, seed, true).await
    }

    async fn start(shards: u32, seed: u64, limits: bool) -> Arc<Self> {
        let builder = LocalKinesis::builder().seed(seed).transition(TRANSITION);
        let kinesis = builder.enforce_limits(limits).start().await.unwrap();
        kinesis
            .stream::<EncodedRecord>(STREAM, shards)
            .await
            .unwrap();
        Arc::new(Self {
            inner: kinesis.service(),
            kinesis,
            state: Mutex::new(State {
                rng: fastrand::Rng::with_seed(seed),
                latencies: Latencies {
                    request: Duration::from_micros(12_500),
                    listing: Duration::from_millis(10),
                },
                faults: Faults::default(),
                auto: false,
                unsigned_until: None,
                listed: [Vec::new(), Vec::new()],
                lists: 0,
                lost_records: 0,
                throttled: 0,
                stored: Vec::new(),
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn stream(self: &Arc<Self>) -> KinesisStream<EncodedRecord> {
        KinesisStream::with_service(Arc::clone(self) as Arc<dyn Kinesis>, STREAM)
    }

    /// The stream without the network.
    async fn direct(&self) -> KinesisStream<EncodedRecord> {
        self.kinesis.stream(STREAM, 1).await.unwrap()
    }

    pub(super) fn set_faults(&self, faults: Faults) {
        let add = |fault: Fault, probability| {
            let fault = fault.probability(probability).always();
            self.kinesis.faults().add(fault).unwrap();
        };
        self.kinesis.faults().clear();
        add(Fault::fail().on("PutRecords"), faults.failed_requests);
        add(Fault::fail().each_entry(), faults.failed_records);
        add(Fault::throttle().each_entry(), faults.throttled_records);
        add(
            Fault::throttle().on("ListShards"),
            faults.throttled_listings,
        );
        add(Fault::deny().on("ListShards"), faults.denied_listings);
        let slow = Fault::delay(SLOW_LISTING).on("ListShards");
        add(slow, faults.slow_listings);
        self.state().faults = faults;
    }

    pub(super) fn set_latencies(&self, latencies: Latencies) {
        self.state().latencies = latencies;
    }

    pub(super) fn distribute(&self) {
        self.state().auto = true;
    }

    /// From now on no call can be signed, for so long.
    pub(super) fn lose_credentials(&self, outage: Duration) {
        self.state().unsigned_until = Some(Clock::system().instant() + outage);
    }

    pub(super) fn lists(&self) -> usize {
        self.state().lists
    }

    /// The number of Kinesis records that were throttled.
    pub(super) fn throttled(&self) -> usize {
        self.state().throttled
    }

    /// The number of Kinesis records that were stored.
    pub(super) fn stored_count(&self) -> usize {
        self.state().stored.len()
    }

    /// The size of the Kinesis records that were stored, in bytes.
    pub(super) fn stored_bytes(&self) -> usize {
        let state = self.state();
        state.stored.iter().map(|it| it.record.size_bytes()).sum()
    }

    /// The number of user records that were stored by requests whose answers were lost.
    pub(super) fn lost_records(&self) -> usize {
        self.state().lost_records
    }

    pub(super) async fn log(&self) -> Log {
        self.look_up_ranges().await;
        let mut stored = self.state().stored.clone();
        for it in &mut stored {
            it.users = it.read_users();
        }
        let key = |at: &StoredAt| {
            let sequence_number = at.sequence_number.as_str().to_owned();
            (at.shard_id.clone(), sequence_number)
        };
        let index: HashMap<_, _> = stored.iter().map(|it| key(&it.at)).zip(0..).collect();
        assert_eq!(index.len(), stored.len(), "each place is given once");
        Log { stored, index }
    }

    /// Finds the hash keys of the shards that have stored records. Shards that were closed are still listed.
    async fn look_up_ranges(&self) {
        self.kinesis.faults().clear();
        let all = self.inner.list_shards(ListShards::new(STREAM.into()));
        let shards = all.await.unwrap().shards.into_iter();
        let ranges: HashMap<_, _> = shards.map(|it| (it.id, it.hash_key_range)).collect();
        let faults = {
            let mut state = self.state();
            let unknown = state.stored.iter_mut().filter(|it| it.range.is_none());
            unknown.for_each(|it| it.range = ranges.get(&it.at.shard_id).copied());
            state.faults
        };
        self.set_faults(faults);
    }

    /// Splits the shard with this index among the open ones.
    pub(super) async fn split(&self, index: usize) {
        self.reshard(index, true).await;
    }

    /// Merges the shards with this index and the next among the open ones.
    pub(super) async fn merge(&self, index: usize) {
        self.reshard(index, false).await;
    }

    async fn reshard(&self, index: usize, split: bool) {
        self.kinesis.faults().clear();
        reshard(&self.direct().await, index, split).await;
        let faults = self.state().faults;
        self.set_faults(faults);
        sleep(TRANSITION).await;
    }

    /// Deletes the stream and makes it again. The records that were stored are remembered.
    pub(super) async fn make_again(&self, shards: u32) {
        self.look_up_ranges().await;
        let delete = self.inner.delete_stream(DeleteStream::new(STREAM.into()));
        delete.await.unwrap();
        let millis = MADE_AGAIN_MILLIS[self.state().rng.usize(..3)];
        sleep(Duration::from_millis(millis)).await;
        self.state().listed = [Vec::new(), Vec::new()];
        let made = self.kinesis.stream::<EncodedRecord>(STREAM, shards).await;
        made.unwrap();
    }

    fn latency(&self, of: impl Fn(&Latencies) -> Duration) -> Duration {
        let mut state = self.state();
        let part = state.rng.f64();
        of(&state.latencies).mul_f64(0.25 + 0.75 * part)
    }

    #[expect(clippy::result_large_err, reason = "what the seam returns")]
    fn sign(&self, operation: &'static str) -> Result<(), ServiceError> {
        let until = self.state().unsigned_until;
        if until.is_some_and(|until| Clock::system().instant() < until) {
            return Err(ServiceError::unsigned(operation, self.endpoint(), "busy"));
        }
        Ok(())
    }

    async fn put(&self, call: PutRecords) -> Result<PutRecordsAnswer, ServiceError> {
        self.sign("PutRecords")?;
        let records = Arc::clone(&call.records);
        let sent = self.state().placed(call);
        // The embedded Kinesis answers at once: no other request comes between the records and their log.
        let answer = self.inner.put_records(sent).await?;
        let mut state = self.state();
        let before = state.stored.len();
        state.note(&records, &answer);
        if state.rng.f64() < state.faults.lost_answers {
            let lost = state.stored[before..].iter();
            let lost: usize = lost.map(|stored| stored.read_users().len()).sum();
            state.lost_records += lost;
            let (endpoint, class) = (self.endpoint(), ErrorClass::Transient);
            let mut error = ServiceError::unanswered("PutRecords", endpoint, class, "reset");
            error.may_have_been_done = true;
            return Err(error);
        }
        Ok(answer)
    }

    async fn list(&self, mut call: ListShards) -> Result<ShardPage, ServiceError> {
        self.state().lists += 1;
        self.sign("ListShards")?;
        let is_again = call.next_token.take().is_some();
        let which = usize::from(call.filter.is_none());
        let page = self.inner.list_shards(call).await?;
        Ok(self.state().page(page, which, is_again))
    }
}

impl State {
    /// The same call, with its records anywhere if the service ignores keys.
    fn placed(&mut self, call: PutRecords) -> PutRecords {
        if !self.auto {
            return call;
        }
        let mut records = call.records.to_vec();
        for record in &mut records {
            record.explicit_hash_key = Some(HashKey::new(self.rng.u128(..)));
        }
        PutRecords::new(call.stream, records)
    }

    /// Keeps the records that were stored.
    fn note(&mut self, records: &[EncodedRecord], answer: &PutRecordsAnswer) {
        for (record, result) in records.iter().zip(&answer.results) {
            match result {
                Ok(at) => self.stored.push(Stored::new(at.clone(), record)),
                Err(failure) if failure.class == ErrorClass::Throttled => self.throttled += 1,
                Err(_) => {}
            }
        }
    }

    fn page(&mut self, mut page: ShardPage, which: usize, is_again: bool) -> ShardPage {
        let faults = self.faults;
        let before = std::mem::replace(&mut self.listed[which], page.shards.clone());
        if self.rng.f64() < faults.stale_listings && !before.is_empty() {
            page.shards = before;
        }
        if self.rng.f64() < faults.cut_listings {
            page.shards.remove(self.rng.usize(..page.shards.len()));
        }
        if is_again || self.rng.f64() < faults.repeated_tokens {
            page.next_token = Some("again".to_owned());
        }
        if faults.endless_tokens {
            page.next_token = Some(self.lists.to_string());
        }
        page
    }
}

macro_rules! passed_on {
    ($($name:ident($call:ty) -> $answer:ty;)*) => {
        $(fn $name(&self, call: $call) -> ServiceFuture<'_, $answer> {
            self.inner.$name(call)
        })*
    };
}

#[deny(clippy::missing_trait_methods)]
impl Kinesis for Network {
    fn endpoint(&self) -> &str {
        self.inner.endpoint()
    }

    /// Shards have a pace in all tests, as on AWS.
    fn enforces_limits(&self) -> bool {
        true
    }

    fn put_records(&self, call: PutRecords) -> ServiceFuture<'_, PutRecordsAnswer> {
        Box::pin(async move {
            let latency = self.latency(|latencies| latencies.request);
            sleep(latency.mul_f64(0.6)).await;
            let answer = self.put(call).await;
            sleep(latency.mul_f64(0.4)).await;
            answer
        })
    }

    fn list_shards(&self, call: ListShards) -> ServiceFuture<'_, ShardPage> {
        Box::pin(async move {
            let latency = self.latency(|latencies| latencies.listing);
            sleep(latency.mul_f64(0.5)).await;
            // The answer tells of the time when it was made, not of that when it arrives.
            let answer = self.list(call).await;
            sleep(latency.mul_f64(0.5)).await;
            answer
        })
    }

    passed_on! {
        check_put_records(PutRecords) -> PutCheck;
        get_shard_iterator(GetShardIterator) -> ShardIterator;
        get_records(GetRecords) -> RecordPage;
        list_streams(ListStreams) -> StreamPage;
        describe_stream_summary(DescribeStreamSummary) -> StreamSummary;
        create_stream(CreateStream) -> ();
        delete_stream(DeleteStream) -> ();
        split_shard(SplitShard) -> ();
        merge_shards(MergeShards) -> ();
        update_shard_count(UpdateShardCount) -> ();
        register_stream_consumer(RegisterStreamConsumer) -> Consumer;
        describe_stream_consumer(DescribeStreamConsumer) -> Consumer;
        deregister_stream_consumer(DeregisterStreamConsumer) -> ();
        subscribe_to_shard(SubscribeToShard) -> Subscription;
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}
