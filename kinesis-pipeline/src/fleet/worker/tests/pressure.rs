//! Tests of a slow or blocked sink, and of the number of requests of an idle fleet.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use super::basics::{APP, stream_of};
use crate::{
    Batch, BoxError, EncodedRecord, HashKey, KinesisStream, Lease, LeaseFuture, LeaseStore,
    LeaseWrite, LeaseWritten, MemoryLeases, PartitionKey, ShardId, StartAt, WorkerId,
    service::{
        CreateStream, DeleteStream, DescribeStreamSummary, GetRecords, GetShardIterator, Kinesis,
        ListShards, ListStreams, MergeShards, PutRecords, PutRecordsAnswer, RecordPage,
        ServiceFuture, ShardIterator, ShardPage, SplitShard, StreamPage, StreamSummary,
    },
};

const SECOND: Duration = Duration::from_secs(1);

/// A service that counts the records that it returns.
#[derive(Clone, Debug)]
pub(super) struct Metered {
    pub(super) service: Arc<dyn Kinesis>,
    pub(super) endpoint: &'static str,
    pub(super) given: Arc<AtomicUsize>,
    /// The number of listings that still lack the last shard.
    pub(super) listings_cut: Arc<AtomicUsize>,
}

impl Kinesis for Metered {
    fn endpoint(&self) -> &str {
        self.endpoint
    }

    fn put_records(&self, call: PutRecords) -> ServiceFuture<'_, PutRecordsAnswer> {
        self.service.put_records(call)
    }

    fn get_shard_iterator(&self, call: GetShardIterator) -> ServiceFuture<'_, ShardIterator> {
        self.service.get_shard_iterator(call)
    }

    fn get_records(&self, call: GetRecords) -> ServiceFuture<'_, RecordPage> {
        Box::pin(async {
            let page = self.service.get_records(call).await?;
            self.given.fetch_add(page.records.len(), Ordering::Relaxed);
            Ok(page)
        })
    }

    fn list_shards(&self, call: ListShards) -> ServiceFuture<'_, ShardPage> {
        Box::pin(async {
            let mut page = self.service.list_shards(call).await?;
            let left = self.listings_cut.load(Ordering::Relaxed);
            if left > 0 {
                self.listings_cut.store(left - 1, Ordering::Relaxed);
                page.shards.pop();
            }
            Ok(page)
        })
    }

    fn list_streams(&self, call: ListStreams) -> ServiceFuture<'_, StreamPage> {
        self.service.list_streams(call)
    }

    fn describe_stream_summary(
        &self,
        call: DescribeStreamSummary,
    ) -> ServiceFuture<'_, StreamSummary> {
        self.service.describe_stream_summary(call)
    }

    fn create_stream(&self, call: CreateStream) -> ServiceFuture<'_, ()> {
        self.service.create_stream(call)
    }

    fn delete_stream(&self, call: DeleteStream) -> ServiceFuture<'_, ()> {
        self.service.delete_stream(call)
    }

    fn split_shard(&self, call: SplitShard) -> ServiceFuture<'_, ()> {
        self.service.split_shard(call)
    }

    fn merge_shards(&self, call: MergeShards) -> ServiceFuture<'_, ()> {
        self.service.merge_shards(call)
    }
}

/// Returns the same stream, with a count of the records that it returns.
pub(super) fn metered(stream: &KinesisStream<Bytes>) -> (KinesisStream<Bytes>, Arc<AtomicUsize>) {
    let given = Arc::new(AtomicUsize::new(0));
    let service = Metered {
        service: stream.service().clone(),
        endpoint: "metered",
        given: given.clone(),
        listings_cut: Arc::default(),
    };
    let metered = KinesisStream::with_service(Arc::new(service), stream.id().clone());
    let clock = stream.target.clock.clone();
    (metered.with_clock(clock), given)
}

/// Puts one record into each shard; the shards have equal shares of the hash keys.
async fn put_everywhere(stream: &KinesisStream<Bytes>, shards: u32, bytes: usize) {
    for number in 0..shards {
        let name = PartitionKey::new("key").unwrap();
        let mut record = EncodedRecord::new(name, Bytes::from(vec![0; bytes]));
        let part = u128::MAX / u128::from(shards);
        record.explicit_hash_key = Some(HashKey::new(part * u128::from(number) + part / 2));
        let call = PutRecords::new(stream.id().clone(), vec![record]);
        stream.service().put_records(call).await.unwrap();
    }
}

/// Returns the owners of all leases. Fails if a lease has none.
async fn owners(store: &MemoryLeases) -> Vec<(ShardId, Option<WorkerId>)> {
    let leases = store.list(APP).await.unwrap();
    let owners: Vec<_> = leases
        .into_iter()
        .map(|lease| (lease.shard_id, lease.owner))
        .collect();
    assert!(owners.iter().all(|(_, owner)| owner.is_some()));
    owners
}

/// The limit of the bytes of a shard between the service and a processor: the current batch and the next one, the
/// prefetch budget, and the page that exceeds the budget.
pub(super) fn buffered_bytes_max(batch: usize, prefetch: usize) -> usize {
    const PAGE_BYTES_MAX: usize = 1024 * 1024;
    2 * batch + prefetch + PAGE_BYTES_MAX
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_stands_still_keeps_its_leases_and_goes_on() {
    const SHARDS: u32 = 64;
    const RECORDS: usize = 40;
    const RECORD_BYTES: usize = 100 * 1024;
    const PREFETCH_BYTES_MAX: usize = 256 * 1024;
    const BATCH: usize = 4;
    let stream: KinesisStream<Bytes> = stream_of(SHARDS).await;
    let (stream, given) = metered(&stream);
    let store = MemoryLeases::new();
    let (is_open, at_work, done) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(Mutex::new(HashMap::<_, usize>::new())),
        Arc::new(AtomicUsize::new(0)),
    );
    let (open, work, count) = (is_open.clone(), at_work.clone(), done.clone());
    let sink = move |batch: Batch<Bytes>| {
        let (open, work, count) = (open.clone(), work.clone(), count.clone());
        async move {
            let shard = batch.last_position().unwrap().shard_id.clone();
            *work.lock().unwrap().entry(shard.clone()).or_default() += 1;
            while !open.load(Ordering::Relaxed) {
                tokio::time::sleep(SECOND).await;
            }
            count.fetch_add(batch.records.len(), Ordering::Relaxed);
            *work.lock().unwrap().entry(shard).or_default() -= 1;
            Ok::<(), BoxError>(())
        }
    };
    let worker = || {
        let builder = stream.worker(APP).leases(store.clone());
        let builder = builder.start(StartAt::TrimHorizon).batch_records_max(BATCH);
        builder
            .prefetch_bytes_max(PREFETCH_BYTES_MAX)
            .build()
            .unwrap()
    };
    let first = tokio::spawn(worker().run_batches(sink.clone()));
    tokio::time::sleep(15 * SECOND).await;
    let second = tokio::spawn(worker().run_batches(sink));
    tokio::time::sleep(600 * SECOND).await;
    for _ in 0..RECORDS {
        put_everywhere(&stream, SHARDS, RECORD_BYTES).await;
    }
    tokio::time::sleep(10 * SECOND).await;
    let before = owners(&store).await;
    tokio::time::sleep(50 * SECOND).await;
    assert_eq!(owners(&store).await, before, "five fail-over times");
    let readers = at_work.lock().unwrap().clone();
    assert_eq!(readers.len(), SHARDS as usize);
    assert!(readers.values().all(|readers| *readers == 1), "{readers:?}");
    let bytes_max = buffered_bytes_max(BATCH * RECORD_BYTES, PREFETCH_BYTES_MAX);
    let records_max = SHARDS as usize * bytes_max.div_ceil(RECORD_BYTES);
    let buffered = given.load(Ordering::Relaxed);
    assert!(
        buffered <= records_max,
        "{buffered} records of {records_max}"
    );
    assert!(
        records_max < SHARDS as usize * RECORDS,
        "the bound says something"
    );
    is_open.store(true, Ordering::Relaxed);
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(
        done.load(Ordering::Relaxed),
        RECORDS * SHARDS as usize,
        "once each"
    );
    assert_eq!(owners(&store).await, before);
    first.abort();
    second.abort();
}

/// A lease store that counts its calls.
#[derive(Clone, Debug, Default)]
struct Counting {
    store: MemoryLeases,
    lists: Arc<AtomicU64>,
    writes: Arc<AtomicU64>,
}

impl LeaseStore for Counting {
    fn list<'a>(&'a self, app: &'a str) -> LeaseFuture<'a, Vec<Lease>> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.store.list(app)
    }

    fn write<'a>(&'a self, app: &'a str, write: LeaseWrite) -> LeaseFuture<'a, LeaseWritten> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.store.write(app, write)
    }
}

/// For comparison: KCL 2 renews each lease every third of the fail-over time, and every worker scans the table once in
/// two fail-over times.
#[tokio::test(start_paused = true)]
async fn a_fleet_at_rest_makes_half_the_requests_of_kcl_2_at_most() {
    const SHARDS: u32 = 100;
    const WORKERS: u64 = 4;
    let stream: KinesisStream<Bytes> = stream_of(SHARDS).await;
    let store = Counting::default();
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            let builder = stream.worker(APP).leases(store.clone());
            let builder = builder.poll_interval(60 * SECOND);
            let worker = builder.start(StartAt::TrimHorizon).build().unwrap();
            let sink = |_: Batch<Bytes>| std::future::ready(Ok::<(), BoxError>(()));
            tokio::spawn(worker.run_batches(sink))
        })
        .collect();
    tokio::time::sleep(900 * SECOND).await;
    let calls = || {
        let lists = store.lists.load(Ordering::Relaxed);
        (lists, store.writes.load(Ordering::Relaxed))
    };
    let before = calls();
    tokio::time::sleep(600 * SECOND).await;
    let (lists, writes) = (calls().0 - before.0, calls().1 - before.1);
    let ours = (lists + writes) / 10;
    let kcl_2 = u64::from(SHARDS) * 60 * 3 / 10 + WORKERS * 3;
    eprintln!("{ours} requests a minute, KCL 2 makes {kcl_2}");
    assert!(
        ours * 2 <= kcl_2,
        "{lists} lists and {writes} writes in ten minutes"
    );
    for worker in workers {
        worker.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_listing_that_lacks_a_shard_is_made_again() {
    let (stream, store) = (stream_of::<Bytes>(4).await, MemoryLeases::new());
    let cut = Metered {
        service: stream.service().clone(),
        endpoint: "cut",
        given: Arc::default(),
        listings_cut: Arc::new(AtomicUsize::new(3)),
    };
    let cut = KinesisStream::<Bytes>::with_service(Arc::new(cut), stream.id().clone());
    let cut = cut.with_clock(stream.target.clock.clone());
    let worker = cut.worker(APP).leases(store.clone());
    let worker = worker.start(StartAt::Latest).build().unwrap();
    let handle = worker.handle();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let run = tokio::spawn(worker.run_batches(move |batch: Batch<Bytes>| {
        counted.fetch_add(batch.records.len(), Ordering::Relaxed);
        async { Ok::<(), BoxError>(()) }
    }));
    tokio::time::sleep(8 * SECOND).await;
    // The other shards stay quiet, so the table counts as one that is being filled.
    let mut record = EncodedRecord::new(PartitionKey::new("key").unwrap(), Bytes::new());
    record.explicit_hash_key = Some(HashKey::MAX);
    let call = PutRecords::new(stream.id().clone(), vec![record]);
    stream.service().put_records(call).await.unwrap();
    tokio::time::sleep(120 * SECOND).await;
    assert_eq!(count.load(Ordering::Relaxed), 1);
    handle.stop();
    run.await.unwrap().unwrap();
}
