//! Virtual half-hours of a stream on the embedded Kinesis: puts, reshards, faults, and a reader that crashes,
//! is closed, and goes on from its checkpoints. Listings are old or incomplete, new shards are not known everywhere,
//! credentials cannot be renewed for seconds, the clocks of the reader's machines differ from the service's, and the
//! stream is deleted and made again. What the reader gave out is held against what was stored.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use bytes::Bytes;

use super::unsteady::Unsteady;
use crate::{
    Clock, EncodedRecord, GetError, HashKey, KinesisStream, LocalKinesis, MemoryCheckpoints,
    PartitionKey, Reader, Record, Records, Shard, ShardId, StartAt,
    local::Fault,
    service::{
        Capacity, CreateStream, DeleteStream, MergeShards, PutRecords, ServiceError, SplitShard,
    },
    trials::seeds,
    wire::aggregate,
};

const SEEDS: u64 = 10;
const TIME: Duration = Duration::from_mins(30);
const KEYS: u128 = 24;
const SHARDS_MAX: usize = 6;
/// After the faults have ended, everything comes within this time.
const CALM: Duration = Duration::from_mins(5);

#[test]
fn readers_keep_their_promises_in_virtual_half_hours() {
    let next_seed = Arc::new(AtomicU64::new(0));
    let seeds = seeds(SEEDS);
    let strikes = Arc::new(AtomicU64::new(0));
    let threads = thread::available_parallelism().map_or(2, usize::from);
    let run = move |next_seed: Arc<AtomicU64>, strikes: Arc<AtomicU64>| {
        while let seed = next_seed.fetch_add(1, Ordering::Relaxed)
            && seed < seeds
        {
            eprintln!("seed {seed}");
            strikes.fetch_add(simulate(seed), Ordering::Relaxed);
        }
    };
    let threads: Vec<_> = (0..threads)
        .map(|_| {
            let (next_seed, strikes) = (next_seed.clone(), strikes.clone());
            thread::spawn(move || run(next_seed, strikes))
        })
        .collect();
    for thread in threads {
        thread.join().expect("the promises are kept");
    }
    let strikes = strikes.load(Ordering::Relaxed);
    assert!(strikes > 10 * seeds, "{strikes} answers were wrong");
}

/// Returns how many answers were those of another moment.
fn simulate(seed: u64) -> u64 {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    fastrand::seed(seed);
    runtime.block_on(async { Simulation::start(seed).await.run().await })
}

struct Simulation {
    random: fastrand::Rng,
    local: LocalKinesis,
    clock: Clock,
    stream: KinesisStream<Bytes>,
    /// What the reader reads the stream through.
    unsteady: Unsteady,
    /// The number of the application: a stream that was made again needs another one.
    app: u32,
    store: Arc<MemoryCheckpoints>,
    needs_ack: bool,
    starts_at_latest: bool,
    poll_interval: Duration,
    page_records_max: u32,
    shards: Vec<Shard>,
    history: History,
}

/// What was stored, and what of it was given out.
#[derive(Default)]
struct History {
    parents: HashMap<ShardId, Vec<ShardId>>,
    keys: HashMap<u128, Key>,
    /// How many records each shard has, and how many of them were given out.
    counts: HashMap<ShardId, (usize, usize)>,
    repeated: usize,
}

#[derive(Default)]
struct Key {
    /// How many tries to put there were: each has a number of its own.
    tries: u32,
    /// The tries that were stored, in order, and in which shard.
    stored: Vec<(u32, ShardId)>,
    /// How many of these were given out.
    given: usize,
    /// Which comes next; unknown after a crash.
    next: Option<usize>,
}

impl History {
    fn store(&mut self, key: u128, number: u32, shard_id: &ShardId) {
        let stored = &mut self.keys.entry(key).or_default().stored;
        stored.push((number, shard_id.clone()));
        self.counts.entry(shard_id.clone()).or_default().0 += 1;
    }

    fn crash(&mut self) {
        self.keys.values_mut().for_each(|key| key.next = None);
    }

    fn give(&mut self, record: &Record<Bytes>) {
        let text = str::from_utf8(&record.data).unwrap();
        let (key, number) = text.split_once('/').unwrap();
        let (key, number): (u128, u32) = (key.parse().unwrap(), number.parse().unwrap());
        let key = self.keys.get_mut(&key).expect("it was put");
        let index = key
            .stored
            .binary_search_by_key(&number, |stored| stored.0)
            .expect("only what was stored comes");
        match key.next {
            Some(next) => assert_eq!(index, next, "{text} is out of order"),
            None => assert!(index <= key.given, "{text} comes before others"),
        }
        key.next = Some(index + 1);
        let shard_id = &key.stored[index].1;
        assert_eq!(record.position().shard_id, *shard_id);
        for parent in self.parents.get(shard_id).into_iter().flatten() {
            let (stored, given) = self.counts.get(parent).copied().unwrap_or_default();
            assert_eq!(stored, given, "{text} before the end of {parent}");
        }
        if index < key.given {
            self.repeated += 1;
            return;
        }
        key.given = index + 1;
        self.counts.get_mut(shard_id).expect("it has records").1 += 1;
    }

    fn check_complete(&self) {
        for (shard_id, (stored, given)) in &self.counts {
            assert_eq!(stored, given, "records of {shard_id} are missing");
        }
    }
}

impl Simulation {
    async fn start(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let clock = Clock::tokio(std::time::SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
        let builder = LocalKinesis::builder().clock(clock.clone()).seed(seed);
        let local = builder.enforce_limits(random.bool()).start().await.unwrap();
        let stream = local.stream("test", random.u32(1..4)).await.unwrap();
        let stream: KinesisStream<Bytes> = stream;
        let unsteady = Unsteady::new(stream.service().clone(), clock.clone(), seed);
        let mut simulation = Self {
            local,
            clock,
            stream,
            unsteady,
            app: 0,
            store: Arc::default(),
            needs_ack: random.bool(),
            starts_at_latest: random.bool(),
            poll_interval: Duration::from_secs(random.u64(1..10)),
            page_records_max: random.choice([1, 7, 10_000]).unwrap(),
            shards: Vec::new(),
            history: History::default(),
            random,
        };
        simulation.list().await;
        simulation
    }

    async fn run(mut self) -> u64 {
        let begun = self.clock.instant();
        let mut records = self.open().await;
        while self.clock.instant() - begun < TIME {
            match self.random.u8(..40) {
                0 => self.reshard().await,
                1 => self.disturb(),
                2 => self.local.faults().clear(),
                3 => {
                    self.crash_or_close(records).await;
                    records = self.open().await;
                }
                4 if self.random.u8(..4) == 0 => self.sleep(Duration::from_mins(7)).await,
                5 if self.random.u8(..8) == 0 => records = self.make_again(records).await,
                6..8 => self.unsteady.disturb(false),
                4..6 => self.sleep(Duration::from_secs(30)).await,
                8..20 => self.read(&mut records).await,
                _ => self.put().await,
            }
        }
        self.local.faults().clear();
        self.unsteady.calm();
        self.take(&mut records, CALM).await;
        self.history.check_complete();
        records.close().await.unwrap();
        self.unsteady.strikes().into()
    }

    /// The stream is deleted when all was read, and made again: the checkpoints are refused until the application
    /// takes another name.
    async fn make_again(&mut self, mut records: Records<Bytes>) -> Records<Bytes> {
        self.local.faults().clear();
        self.unsteady.calm();
        self.take(&mut records, CALM).await;
        self.history.check_complete();
        records.close().await.unwrap();
        let (id, shards) = (self.stream.id().clone(), self.random.u32(1..4));
        let service = self.stream.service().clone();
        service
            .delete_stream(DeleteStream::new(id.clone()))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        service
            .create_stream(CreateStream::new(id.name(), Capacity::Provisioned(shards)))
            .await
            .unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        self.history = History::default();
        self.unsteady.begin_anew();
        self.list().await;
        let error = self.reader().open().await.unwrap_err();
        assert!(matches!(error, GetError::Mismatch { .. }), "{error:?}");
        self.app += 1;
        self.open().await
    }

    async fn open(&mut self) -> Records<Bytes> {
        let reader = self.reader();
        // Opening gives up sooner than reading: the faults may be more than it takes.
        self.local.faults().clear();
        self.unsteady.calm();
        self.unsteady.disturb(true);
        let records = reader.open().await.unwrap();
        self.disturb();
        // A crash before the first save leaves nothing to go on from.
        tokio::time::sleep(Duration::from_millis(100)).await;
        records
    }

    /// A reader on a machine whose clock is off.
    fn reader(&mut self) -> Reader<Bytes> {
        let off = Duration::from_secs(self.random.u64(..60));
        let now = self.clock.now();
        let now = if self.random.bool() {
            now - off
        } else {
            now + off
        };
        let service = Arc::new(self.unsteady.clone());
        let stream = KinesisStream::<Bytes>::with_service(service, "test");
        let reader = stream.with_clock(Clock::tokio(now)).reader();
        // Everything comes from LATEST too: the stream is empty when the first reader opens.
        let start = if self.starts_at_latest {
            StartAt::Latest
        } else {
            StartAt::TrimHorizon
        };
        let mut reader = reader
            .start(start)
            .checkpoints(self.store.clone(), format!("app-{}", self.app))
            .checkpoint_interval(Duration::from_secs(self.random.u64(1..20)))
            .poll_interval(self.poll_interval)
            .page_records_max(self.page_records_max);
        if self.needs_ack {
            reader = reader.require_ack();
        }
        reader
    }

    async fn crash_or_close(&mut self, records: Records<Bytes>) {
        if self.random.bool() {
            drop(records);
            self.history.crash();
        } else {
            records.close().await.unwrap();
        }
    }

    async fn sleep(&mut self, at_most: Duration) {
        tokio::time::sleep(at_most.mul_f64(self.random.f64())).await;
    }

    async fn read(&mut self, records: &mut Records<Bytes>) {
        let wait = Duration::from_secs(12).mul_f64(self.random.f64());
        self.take(records, wait).await;
    }

    /// Reads until nothing comes for `wait`; sometimes only a few records.
    async fn take(&mut self, records: &mut Records<Bytes>, wait: Duration) {
        let is_calm = wait == CALM;
        while let Ok(item) = tokio::time::timeout(wait, records.next()).await {
            let record = item.expect("a stream does not end").unwrap();
            record.ack();
            self.history.give(&record);
            if !is_calm && self.random.u8(..50) == 0 {
                return;
            }
        }
    }

    /// Lets calls fail in a way of its own, with a chance of its own, until the faults are cleared.
    fn disturb(&mut self) {
        let fault = match self.random.u8(..8) {
            0 => Fault::throttle().on("GetRecords"),
            1 => Fault::fail().on("GetRecords"),
            2 => Fault::expire_iterator(),
            3 => Fault::lose_response().on("GetRecords"),
            4 => Fault::delay(Duration::from_secs(self.random.u64(1..45))).on("GetRecords"),
            5 => Fault::fail().on("GetShardIterator"),
            6 => Fault::throttle().on("ListShards"),
            _ => Fault::lose_response().on("PutRecords"),
        };
        let chance = self.random.f64() * 0.6;
        let fault = fault.probability(chance).always();
        self.local.faults().add(fault).unwrap();
    }

    /// Puts records of one key, alone or in an aggregate, until they are stored.
    async fn put(&mut self) {
        let key = self.random.u128(..KEYS);
        let (count, is_aggregated) = (self.random.u32(1..8), self.random.bool());
        let hash_key = HashKey::new(key * (u128::MAX / KEYS));
        let shard = self
            .shards
            .iter()
            .find(|shard| shard.is_open() && shard.hash_key_range.contains(hash_key));
        let shard_id = shard.expect("the shards cover all keys").id.clone();
        let mut tries = Vec::new();
        loop {
            let next = &mut self.history.keys.entry(key).or_default().tries;
            let numbers = *next..*next + count;
            *next += count;
            let records: Vec<_> = numbers.clone().map(|n| record(key, hash_key, n)).collect();
            let (records, stored) = if is_aggregated {
                (vec![aggregate_of(&records, hash_key)], numbers)
            } else {
                (records[..1].to_vec(), numbers.start..numbers.start + 1)
            };
            let answer = self.send(records).await;
            let may_be_stored = answer
                .as_ref()
                .err()
                .is_some_and(|error| error.may_have_been_done);
            if answer.is_ok() || may_be_stored {
                stored.for_each(|number| self.history.store(key, number, &shard_id));
            }
            if answer.is_ok() {
                return;
            }
            tries.push(answer);
            assert!(tries.len() < 100, "{tries:?}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    async fn send(&self, records: Vec<EncodedRecord>) -> Result<(), ServiceError> {
        let call = PutRecords::new(self.stream.id().clone(), records);
        let answer = self.stream.service().put_records(call).await?;
        assert!(
            answer.results.iter().all(Result::is_ok),
            "no entry is refused alone"
        );
        Ok(())
    }

    /// Splits a random shard or merges two that touch.
    async fn reshard(&mut self) {
        let mut open: Vec<_> = self.shards.iter().filter(|shard| shard.is_open()).collect();
        open.sort_by_key(|shard| shard.hash_key_range.start);
        let (id, index) = (self.stream.id().clone(), self.random.usize(..open.len()));
        let shard = open[index];
        let wants_merge = open.len() >= SHARDS_MAX || self.random.bool();
        let service = self.stream.service();
        match open.get(index + 1) {
            Some(next) if wants_merge => {
                let call = MergeShards::new(id, shard.id.clone(), next.id.clone());
                service.merge_shards(call).await.unwrap();
            }
            _ if open.len() < SHARDS_MAX => {
                let call = SplitShard::new(id, shard.id.clone(), shard.hash_key_range.middle());
                service.split_shard(call).await.unwrap();
            }
            _ => return,
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        self.list().await;
    }

    async fn list(&mut self) {
        self.local.faults().clear();
        self.shards = self.stream.shards().await.unwrap();
        for shard in &self.shards {
            let parents = shard.parents().cloned().collect();
            self.history.parents.insert(shard.id.clone(), parents);
        }
        self.unsteady.note(&self.shards);
    }
}

fn record(key: u128, hash_key: HashKey, number: u32) -> EncodedRecord {
    let name = PartitionKey::new(format!("key-{key}")).unwrap();
    let mut record = EncodedRecord::new(name, Bytes::from(format!("{key}/{number}")));
    record.explicit_hash_key = Some(hash_key);
    record
}

fn aggregate_of(records: &[EncodedRecord], hash_key: HashKey) -> EncodedRecord {
    let mut writer = aggregate::Writer::new();
    for record in records {
        writer.push(record);
    }
    let mut whole = EncodedRecord::new(PartitionKey::new("a").unwrap(), writer.finish());
    whole.explicit_hash_key = Some(hash_key);
    whole
}
