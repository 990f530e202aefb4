//! A sink that stands still, and what a fleet at rest costs.

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
    LeaseWrite, LeaseWritten, MemoryLeases, PartitionKey, StartAt, service::PutRecords,
};

const SECOND: Duration = Duration::from_secs(1);

/// Puts a record into each of so many shards of equal size.
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

#[tokio::test(start_paused = true)]
async fn a_sink_that_stands_still_keeps_its_leases_and_goes_on() {
    const SHARDS: u32 = 64;
    let stream: KinesisStream<Bytes> = stream_of(SHARDS).await;
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
        let builder = builder.start(StartAt::TrimHorizon).batch_records_max(4);
        builder.build().unwrap()
    };
    let first = tokio::spawn(worker().run_batches(sink.clone()));
    tokio::time::sleep(15 * SECOND).await;
    let second = tokio::spawn(worker().run_batches(sink));
    tokio::time::sleep(600 * SECOND).await;
    for _ in 0..10 {
        put_everywhere(&stream, SHARDS, 1_000).await;
    }
    let owners = || async {
        let leases = store.list(APP).await.unwrap();
        let owners: Vec<_> = leases
            .into_iter()
            .map(|lease| (lease.shard_id, lease.owner))
            .collect();
        assert!(owners.iter().all(|(_, owner)| owner.is_some()));
        owners
    };
    tokio::time::sleep(10 * SECOND).await;
    let before = owners().await;
    tokio::time::sleep(50 * SECOND).await;
    assert_eq!(owners().await, before, "five fail-over times");
    let readers = at_work.lock().unwrap().clone();
    assert_eq!(readers.len(), SHARDS as usize);
    assert!(readers.values().all(|readers| *readers == 1), "{readers:?}");
    is_open.store(true, Ordering::Relaxed);
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(
        done.load(Ordering::Relaxed),
        10 * SHARDS as usize,
        "once each"
    );
    assert_eq!(owners().await, before);
    first.abort();
    second.abort();
}

/// Counts the calls of a store.
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

/// KCL 2 renews each lease every third of the fail-over time, and every worker scans the table every two of them.
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
