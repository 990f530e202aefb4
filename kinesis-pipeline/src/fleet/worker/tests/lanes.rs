//! Tests of several processors that work on one shard.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;

use super::{
    basics::{APP, stream_of},
    pressure::{buffered_bytes_max, metered},
};
use crate::{
    Batch, BoxError, Checkpointer, CheckpointerError, Checkpointing, EncodedRecord, ErrorPolicy,
    InvalidWorkerOption, KinesisStream, LeaseCheckpoint, LeaseStore as _, LeaseWrite, MemoryLeases,
    Order, PartitionKey, Processor, ShardId, ShardStart, StartAt, WorkerBuilder, WorkerError,
    dead_letters_to,
};

const HANDLER: Duration = Duration::from_millis(20);

/// Puts records under this number of keys, taking the keys in turn. Returns the position of the last record.
async fn put(stream: &KinesisStream<EncodedRecord>, count: usize, keys: usize) -> LeaseCheckpoint {
    let record = |number: usize| {
        let key = PartitionKey::new(format!("key-{}", number % keys)).unwrap();
        EncodedRecord::new(key, Bytes::from(number.to_string()))
    };
    let receipts = stream.put_all((0..count).map(record)).await.ok().unwrap();
    let last = receipts.iter().map(crate::Receipt::position).max().unwrap();
    LeaseCheckpoint::after(&last)
}

fn builder(
    stream: &KinesisStream<EncodedRecord>,
    store: &MemoryLeases,
    lanes: usize,
) -> WorkerBuilder<EncodedRecord> {
    let builder = stream.worker(APP).leases(store.clone()).concurrency(lanes);
    builder.start(StartAt::TrimHorizon)
}

/// A log of the records in the order in which they were processed, also by key.
#[derive(Clone, Debug, Default)]
struct Log(Arc<Mutex<Vec<(String, usize)>>>);

impl Log {
    fn all(&self) -> Vec<(String, usize)> {
        self.0.lock().unwrap().clone()
    }

    fn by_key(&self) -> HashMap<String, Vec<usize>> {
        let mut by_key: HashMap<_, Vec<_>> = HashMap::new();
        for (key, number) in self.all() {
            by_key.entry(key).or_default().push(number);
        }
        by_key
    }
}

fn number(data: &EncodedRecord) -> usize {
    std::str::from_utf8(&data.data).unwrap().parse().unwrap()
}

type Handled = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// Returns a processor that takes the same time for each record.
fn handler(log: &Log) -> impl FnMut(Batch<EncodedRecord>) -> Handled + Clone + Send + 'static {
    noting(log, false)
}

fn noting(
    log: &Log,
    is_uneven: bool,
) -> impl FnMut(Batch<EncodedRecord>) -> Handled + Clone + Send + 'static {
    let log = log.clone();
    move |batch| {
        let log = log.clone();
        Box::pin(async move {
            for record in &batch {
                let is_slow = is_uneven && number(&record.data).is_multiple_of(13);
                tokio::time::sleep(if is_slow { HANDLER * 10 } else { HANDLER }).await;
                let entry = (record.partition_key.to_string(), number(&record.data));
                log.0.lock().unwrap().push(entry);
            }
            Ok(())
        })
    }
}

/// Returns the time that a worker needs for all records of one shard.
async fn time_for(count: usize, keys: usize, lanes: usize, order: Order) -> Duration {
    let stream: KinesisStream<EncodedRecord> = stream_of(1).await;
    put(&stream, count, keys).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    let worker = builder(&stream, &store, lanes)
        .order(order)
        .build()
        .unwrap();
    let clock = stream.target.clock.clone();
    let begun = clock.instant();
    let run = tokio::spawn(worker.run_batches(handler(&log)));
    while log.all().len() < count {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    run.abort();
    if order == Order::PerKey {
        for (key, numbers) in log.by_key() {
            assert!(numbers.is_sorted(), "{key}: {numbers:?}");
        }
    }
    clock.instant() - begun
}

#[tokio::test(start_paused = true)]
async fn sixteen_lanes_have_twelve_times_the_rate_of_one_on_a_hot_shard() {
    let alone = time_for(1_600, 200, 1, Order::PerKey).await;
    for (keys, order) in [(200, Order::PerKey), (1, Order::None)] {
        let lanes = time_for(1_600, keys, 16, order).await;
        eprintln!("{alone:?} alone, {lanes:?} with 16 lanes, {keys} keys");
        assert!(lanes * 12 <= alone, "{alone:?} alone, {lanes:?} with lanes");
    }
    // With `Order::PerKey`, records of one key are processed one by one, however many lanes there are.
    let one_key = time_for(100, 1, 16, Order::PerKey).await;
    assert!(one_key >= HANDLER * 100, "{one_key:?}");
}

/// Of each four records, three go to one lane. Its six records are one full batch of four and a rest of two.
#[tokio::test(start_paused = true)]
async fn the_rest_of_a_lanes_queue_comes_in_time_though_nothing_follows_it() {
    let stream: KinesisStream<EncodedRecord> = stream_of(1).await;
    for number in 0..8 {
        let key = if number % 4 == 3 { "rare" } else { "usual" };
        let key = PartitionKey::new(key).unwrap();
        let record = EncodedRecord::new(key, Bytes::from(number.to_string()));
        stream.put(&record).await.unwrap();
    }
    let (store, log) = (MemoryLeases::new(), Log::default());
    let builder = builder(&stream, &store, 2).batch_records_max(4);
    let worker = builder.batch_wait_max(HANDLER * 50).build().unwrap();
    let run = tokio::spawn(worker.run_batches(handler(&log)));
    tokio::time::sleep(HANDLER * 200).await;
    run.abort();
    assert_eq!(log.all().len(), 8, "{:?}", log.all());
}

#[tokio::test(start_paused = true)]
async fn a_killed_worker_loses_nothing_and_its_checkpoint_passes_nothing_unprocessed() {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let stream: KinesisStream<EncodedRecord> = stream_of(1).await;
        let last = put(&stream, 300, 7).await;
        let (store, log) = (MemoryLeases::new(), Log::default());
        loop {
            let interval = Duration::from_millis(random.choice([0, 100]).unwrap());
            let builder = builder(&stream, &store, 4).checkpoint_interval(interval);
            let builder = builder.batch_records_max(random.usize(1..20));
            let worker = builder.failover(Duration::from_secs(1)).build().unwrap();
            let run = tokio::spawn(worker.run_batches(handler(&log)));
            tokio::time::sleep(Duration::from_millis(random.u64(3_500..6_000))).await;
            run.abort();
            tokio::task::yield_now().await;
            let lease = store.list(APP).await.unwrap().remove(0);
            let done: std::collections::BTreeSet<_> =
                log.all().into_iter().map(|(_, number)| number).collect();
            if lease.checkpoint == last {
                assert_eq!(done.len(), 300, "seed {seed}");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_stops_repeats_nothing_and_skips_nothing() {
    let stream: KinesisStream<EncodedRecord> = stream_of(1).await;
    let last = put(&stream, 400, 30).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    for _ in 0..20 {
        let builder = builder(&stream, &store, 8).batch_records_max(3);
        let worker = builder.build().unwrap();
        let handle = worker.handle();
        let run = tokio::spawn(worker.run_batches(noting(&log, true)));
        tokio::time::sleep(Duration::from_millis(330)).await;
        handle.stop();
        let report = run.await.unwrap().unwrap();
        assert_eq!((report.released.len(), report.abandoned.len()), (1, 0));
    }
    let mut numbers: Vec<_> = log.all().into_iter().map(|(_, number)| number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..400).collect::<Vec<_>>(), "each once");
    let lease = store.list(APP).await.unwrap().remove(0);
    assert_eq!(lease.checkpoint, last);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_fails_in_one_lane_follows_the_policy_and_the_others_go_on() {
    let stream: KinesisStream<EncodedRecord> = stream_of(1).await;
    let last = put(&stream, 100, 10).await;
    let (store, log, letters) = (
        MemoryLeases::new(),
        Log::default(),
        Arc::new(Mutex::new(vec![])),
    );
    let kept = letters.clone();
    let policy = ErrorPolicy::retry().attempts_max(2).bisect();
    let policy = policy.then_dead_letter(dead_letters_to(move |letters| {
        kept.lock().unwrap().extend(letters);
        std::future::ready(Ok(()))
    }));
    let failing = |policy| {
        let worker = builder(&stream, &store, 4)
            .on_error(policy)
            .build()
            .unwrap();
        let mut good = handler(&log);
        worker.run_batches(move |batch: Batch<EncodedRecord>| {
            let is_bad = batch.iter().any(|record| number(&record.data) == 42);
            let good = (!is_bad).then(|| good(batch));
            async move { good.ok_or("as processors do")?.await }
        })
    };
    // The failure of one lane ends the worker, and with it the other lanes.
    let stop = ErrorPolicy::retry().attempts_max(1).then_stop();
    let error = failing(stop).await.unwrap_err();
    assert!(matches!(error, WorkerError::Processor { .. }), "{error}");
    let lease = store.list(APP).await.unwrap().remove(0);
    assert!(lease.checkpoint.is_before(&last), "{:?}", lease.checkpoint);
    let run = tokio::spawn(failing(policy));
    tokio::time::sleep(Duration::from_mins(1)).await;
    let letters = std::mem::take(&mut *letters.lock().unwrap());
    assert_eq!((letters.len(), &letters[0].data[..]), (1, &b"42"[..]));
    assert_eq!(store.list(APP).await.unwrap()[0].checkpoint, last);
    run.abort();
}

/// A processor that never finishes a batch. It counts its running calls, and its notices of a lost lease.
struct Stuck {
    alive: Arc<Mutex<(usize, usize)>>,
    refused: Arc<Mutex<Option<CheckpointerError>>>,
}

struct AtWork(Arc<Mutex<(usize, usize)>>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.lock().unwrap().0 -= 1;
    }
}

impl Processor for Stuck {
    type Record = EncodedRecord;

    async fn initialize(&mut self, _: &ShardStart, _: &Checkpointer) -> Result<(), BoxError> {
        Ok(())
    }

    async fn process(
        &mut self,
        batch: Batch<EncodedRecord>,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        let last = batch.last_position().unwrap();
        let refused = checkpointer.checkpoint(last).await.unwrap_err();
        *self.refused.lock().unwrap() = Some(refused);
        self.alive.lock().unwrap().0 += 1;
        let _at_work = AtWork(self.alive.clone());
        std::future::pending().await
    }

    async fn lease_lost(&mut self) {
        self.alive.lock().unwrap().1 += 1;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_stops_all_lanes_at_once_and_no_lane_checkpoints_for_the_others() {
    let stream: KinesisStream<EncodedRecord> = stream_of(1).await;
    put(&stream, 100, 100).await;
    let (store, alive, refused) = (
        MemoryLeases::new(),
        Arc::new(Mutex::new((0, 0))),
        Arc::default(),
    );
    let (lives, kept) = (alive.clone(), Arc::clone(&refused));
    let worker = builder(&stream, &store, 8).build().unwrap();
    let run = tokio::spawn(worker.run(move |_: &ShardId| Stuck {
        alive: lives.clone(),
        refused: Arc::clone(&kept),
    }));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(*alive.lock().unwrap(), (8, 0));
    let error = refused.lock().unwrap().take();
    assert!(
        matches!(error, Some(CheckpointerError::SeveralLanes { .. })),
        "{error:?}"
    );
    let lease = store.list(APP).await.unwrap().remove(0);
    store
        .write(APP, LeaseWrite::take(lease, "thief".into()))
        .await
        .unwrap();
    // The worker notices the loss at the next renewal.
    tokio::time::sleep(Duration::from_secs(7)).await;
    assert_eq!(*alive.lock().unwrap(), (0, 8));
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn acks_of_any_lane_in_any_order_move_the_watermark() {
    let stream: KinesisStream<EncodedRecord> = stream_of(1).await;
    let last = put(&stream, 60, 60).await;
    let store = MemoryLeases::new();
    let builder = builder(&stream, &store, 4).checkpointing(Checkpointing::Ack);
    let worker = builder
        .checkpoint_interval(Duration::from_secs(1))
        .build()
        .unwrap();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let records = kept.clone();
    let run = tokio::spawn(worker.run_batches(move |batch: Batch<EncodedRecord>| {
        records.lock().unwrap().extend(batch);
        std::future::ready(Ok::<(), BoxError>(()))
    }));
    tokio::time::sleep(Duration::from_secs(5)).await;
    let mut records = std::mem::take(&mut *kept.lock().unwrap());
    records.sort_by_key(|record| number(&record.data));
    let first = records.remove(0);
    records.iter().rev().for_each(crate::Record::ack);
    tokio::time::sleep(Duration::from_secs(15)).await;
    let checkpoint = || async { store.list(APP).await.unwrap().remove(0).checkpoint };
    assert_eq!(checkpoint().await, LeaseCheckpoint::TrimHorizon);
    first.ack();
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(checkpoint().await, last);
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_stands_still_does_not_hold_up_the_others() {
    const BATCH: usize = 5;
    const LANES: usize = 4;
    let stream: KinesisStream<EncodedRecord> = stream_of(1).await;
    put(&stream, 1_000, 1_000).await;
    let store = MemoryLeases::new();
    let begun = Arc::new(Mutex::new(0));
    let count = begun.clone();
    let worker = builder(&stream, &store, LANES)
        .batch_records_max(BATCH)
        .build()
        .unwrap();
    let run = tokio::spawn(worker.run_batches(move |batch: Batch<EncodedRecord>| {
        let count = count.clone();
        let is_stuck = batch.iter().any(|record| number(&record.data) == 0);
        *count.lock().unwrap() += batch.records.len();
        async move {
            if is_stuck {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(HANDLER).await;
            Ok::<(), BoxError>(())
        }
    }));
    tokio::time::sleep(Duration::from_mins(1)).await;
    // The stuck lane holds one batch, and the records that were assigned to it wait. The other lanes have begun all
    // others.
    let begun = *begun.lock().unwrap();
    assert!(begun >= 1_000 - LANES * BATCH, "{begun} begun");
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn what_lanes_hold_is_bounded_while_all_stand_still() {
    const RECORD_BYTES: usize = 50 * 1024;
    const BATCH_BYTES: usize = 4 * RECORD_BYTES;
    let stream: KinesisStream<Bytes> = stream_of(1).await;
    let records = (0..200).map(|number| Bytes::from(vec![number; RECORD_BYTES]));
    stream.put_all(records).await.ok().unwrap();
    let (stream, fetched) = metered(&stream);
    let builder = stream
        .worker(APP)
        .leases(MemoryLeases::new())
        .concurrency(16);
    let builder = builder.start(StartAt::TrimHorizon).order(Order::None);
    let builder = builder.batch_bytes_max(BATCH_BYTES);
    let worker = builder.prefetch_bytes_max(BATCH_BYTES).build().unwrap();
    let sink = |_: Batch<Bytes>| std::future::pending::<Result<(), BoxError>>();
    let run = tokio::spawn(worker.run_batches(sink));
    tokio::time::sleep(Duration::from_mins(5)).await;
    // The bounds: the window and the batch that exceeds it, the next batch that waits, and then the same as without
    // lanes.
    let bytes_max = BATCH_BYTES + buffered_bytes_max(BATCH_BYTES, BATCH_BYTES);
    let fetched = fetched.load(Ordering::Relaxed);
    assert!(
        fetched <= bytes_max.div_ceil(RECORD_BYTES),
        "{fetched} records"
    );
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_shard_waits_for_all_lanes() {
    let stream: KinesisStream<EncodedRecord> = stream_of(1).await;
    put(&stream, 200, 20).await;
    let shard = stream.shards().await.unwrap().remove(0);
    let id = stream.id().clone();
    let split =
        crate::service::SplitShard::new(id, shard.id.clone(), shard.hash_key_range.middle());
    stream.service().split_shard(split).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    put(&stream, 50, 20).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    let worker = builder(&stream, &store, 8).build().unwrap();
    let run = tokio::spawn(worker.run_batches(handler(&log)));
    tokio::time::sleep(Duration::from_mins(1)).await;
    let all = log.all();
    assert_eq!(all.len(), 250);
    for (key, numbers) in log.by_key() {
        let (old, new) = numbers.split_at(10);
        assert!(old.is_sorted() && new.is_sorted(), "{key}: {numbers:?}");
    }
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn settings_that_lanes_cannot_work_with_are_refused() {
    let stream: KinesisStream<EncodedRecord> = stream_of(1).await;
    let store = MemoryLeases::new();
    for lanes in [0, 257] {
        let error = builder(&stream, &store, lanes).build().unwrap_err();
        assert_eq!(error, InvalidWorkerOption::Concurrency { lanes });
    }
    let manual = builder(&stream, &store, 2).checkpointing(Checkpointing::Manual);
    assert_eq!(
        manual.build().unwrap_err(),
        InvalidWorkerOption::ManualCheckpoints
    );
}
