//! Tests of several streams in one worker.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::basics::APP;
use crate::{
    Batch, BoxError, Checkpointer, Clock, InvalidWorkerOption, KinesisStream, Lease,
    LeaseCheckpoint, LeaseStore as _, LeaseWrite, LocalKinesis, MemoryLeases, Processor, ShardId,
    ShardStart, StartAt, StreamIdentifier, Worker, WorkerError, WorkerReport,
    service::{Capacity, CreateStream, DeleteStream, SplitShard, list_all::list_all},
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

pub(super) type Stream = KinesisStream<Bytes>;
pub(super) type Log = Arc<Mutex<Vec<String>>>;

/// A processor that notes its calls, each with the name of its stream.
struct Scribe(Log);

impl Scribe {
    fn note(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }
}

impl Processor for Scribe {
    type Record = Bytes;

    async fn initialize(
        &mut self,
        start: &ShardStart,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        assert_eq!(checkpointer.token().stream, start.stream);
        assert!(start.shard_id.as_str().starts_with("shardId-"), "{start:?}");
        self.note(format!("{} begins", start.stream));
        Ok(())
    }

    async fn process(
        &mut self,
        batch: Batch<Bytes>,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        let stream = batch.stream().unwrap().clone();
        for record in &batch {
            self.note(format!(
                "{stream} {}",
                String::from_utf8_lossy(&record.data)
            ));
        }
        if let Some(last) = batch.last_position() {
            checkpointer.checkpoint(last).await?;
        }
        Ok(())
    }
}

/// Makes two streams of one service, on virtual time.
pub(super) async fn two_streams(shards: u32) -> (LocalKinesis, Stream, Stream) {
    let clock = Clock::tokio(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
    let local = LocalKinesis::builder().clock(clock).start().await.unwrap();
    let a = local.stream("a", shards).await.unwrap();
    let b = local.stream("b", shards).await.unwrap();
    (local, a, b)
}

pub(super) fn worker(streams: &[&Stream], store: &MemoryLeases) -> Worker<Bytes> {
    let (first, others) = streams.split_first().unwrap();
    let builder = first.worker(APP).multi_stream(true).leases(store.clone());
    let builder = others
        .iter()
        .fold(builder, |builder, other| builder.and_stream(other));
    builder.start(StartAt::TrimHorizon).build().unwrap()
}

pub(super) fn run(
    worker: Worker<Bytes>,
    log: &Log,
) -> tokio::task::JoinHandle<Result<WorkerReport, WorkerError>> {
    let log = log.clone();
    tokio::spawn(worker.run(move |_| Scribe(log.clone())))
}

pub(super) async fn put(stream: &Stream, text: &'static str) {
    stream.put(&Bytes::from(text)).await.unwrap();
}

pub(super) fn count(log: &Log, text: &str) -> usize {
    log.lock()
        .unwrap()
        .iter()
        .filter(|line| *line == text)
        .count()
}

async fn leases(store: &MemoryLeases) -> Vec<Lease> {
    store.list(APP).await.unwrap()
}

/// Returns the streams that have rows, by their identifiers.
async fn streams_of(store: &MemoryLeases) -> BTreeSet<StreamIdentifier> {
    let leases = leases(store).await;
    let streams = leases
        .iter()
        .map(|l| StreamIdentifier::of_lease_key(&l.shard_id));
    streams.map(|stream| stream.unwrap().0).collect()
}

async fn delete<R>(stream: &KinesisStream<R>) {
    let call = DeleteStream::new(stream.id().clone());
    stream.service().delete_stream(call).await.unwrap();
}

async fn create<R>(stream: &KinesisStream<R>) {
    let call = CreateStream::new(stream.id().name(), Capacity::Provisioned(1));
    stream.service().create_stream(call).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_worker_reads_two_streams_under_keys_that_name_them() {
    let (_local, a, b) = two_streams(2).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    let worker = worker(&[&a, &b], &store);
    let handle = worker.handle();
    let run = run(worker, &log);
    put(&a, "1").await;
    put(&b, "2").await;
    tokio::time::sleep(30 * SECOND).await;
    handle.stop();
    let report = run.await.unwrap().unwrap();
    for (line, times) in [("a begins", 2), ("b begins", 2), ("a 1", 1), ("b 2", 1)] {
        assert_eq!(count(&log, line), times, "{line}: {log:?}");
    }
    let keys: BTreeSet<_> = leases(&store)
        .await
        .into_iter()
        .map(|lease| lease.shard_id)
        .collect();
    let released: BTreeSet<_> = report.released.into_iter().collect();
    assert_eq!(released, keys);
    let expected = ["a", "b"].map(|name| {
        let epoch = 500_000 * 3_600;
        let stream = format!("000000000000:{name}:{epoch}");
        [0, 1].map(|number| ShardId::from(format!("{stream}:shardId-00000000000{number}")))
    });
    assert_eq!(keys, expected.into_iter().flatten().collect());
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_in_both_streams() {
    let (_local, a, b) = two_streams(1).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    for texts in [["1", "2"], ["3", "4"]] {
        let worker = worker(&[&a, &b], &store);
        let handle = worker.handle();
        let run = run(worker, &log);
        put(&a, texts[0]).await;
        put(&b, texts[1]).await;
        tokio::time::sleep(30 * SECOND).await;
        handle.stop();
        run.await.unwrap().unwrap();
    }
    for line in ["a 1", "b 2", "a 3", "b 4"] {
        assert_eq!(count(&log, line), 1, "{line}: {log:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_leases_of_all_streams_are_balanced_together() {
    let (_local, a, b) = two_streams(3).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    let workers = [0, 1].map(|_| run(worker(&[&a, &b], &store), &log));
    tokio::time::sleep(600 * SECOND).await;
    let mut loads = std::collections::HashMap::<_, usize>::new();
    for lease in leases(&store).await {
        *loads.entry(lease.owner.unwrap()).or_default() += 1;
    }
    assert_eq!(loads.into_values().collect::<Vec<_>>(), [3, 3]);
    workers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test(start_paused = true)]
async fn a_split_of_one_stream_is_followed_beside_the_other() {
    let (_local, a, b) = two_streams(1).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    let run = run(worker(&[&a, &b], &store), &log);
    put(&a, "1").await;
    tokio::time::sleep(20 * SECOND).await;
    let shard = a.shards().await.unwrap().remove(0);
    let split = SplitShard::new(
        a.id().clone(),
        shard.id.clone(),
        shard.hash_key_range.middle(),
    );
    a.service().split_shard(split).await.unwrap();
    tokio::time::sleep(60 * SECOND).await;
    for _ in 0..64 {
        put(&a, "later").await;
    }
    tokio::time::sleep(180 * SECOND).await;
    assert_eq!((count(&log, "a begins"), count(&log, "b begins")), (3, 1));
    assert_eq!(count(&log, "a later"), 64);
    let leases = leases(&store).await;
    assert_eq!(
        leases.len(),
        3,
        "the parent's went when its children had begun"
    );
    let parents = leases.iter().flat_map(|lease| &lease.parents);
    assert!(
        parents.into_iter().all(|parent| *parent == shard.id),
        "as KCL writes them"
    );
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_fails_leaves_the_other_alone_and_is_another_one_when_it_is_made_again() {
    let (_local, a, b) = two_streams(1).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    let run = run(worker(&[&a, &b], &store), &log);
    put(&b, "1").await;
    tokio::time::sleep(20 * SECOND).await;
    delete(&b).await;
    tokio::time::sleep(300 * SECOND).await;
    put(&a, "2").await;
    tokio::time::sleep(20 * SECOND).await;
    assert_eq!((count(&log, "b 1"), count(&log, "a 2")), (1, 1), "{log:?}");
    create(&b).await;
    tokio::time::sleep(60 * SECOND).await;
    put(&b, "3").await;
    tokio::time::sleep(400 * SECOND).await;
    assert_eq!(count(&log, "b 3"), 1, "{log:?}");
    assert_eq!(
        streams_of(&store).await.len(),
        3,
        "the former stream's row is kept for a while"
    );
    tokio::time::sleep(2 * HOUR).await;
    let streams = streams_of(&store).await;
    assert_eq!(
        streams
            .iter()
            .map(StreamIdentifier::name)
            .collect::<Vec<_>>(),
        ["a", "b"]
    );
    assert_eq!(count(&log, "a begins"), 1, "never disturbed");
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stream_made_again_between_two_looks_is_read_under_its_new_name() {
    let (_local, a, b) = two_streams(1).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    let worker = worker(&[&a, &b], &store);
    let handle = worker.handle();
    let run = run(worker, &log);
    tokio::time::sleep(20 * SECOND).await;
    delete(&b).await;
    while list_all(&**b.service(), b.id()).await.is_ok() {
        tokio::time::sleep(SECOND / 20).await;
    }
    create(&b).await;
    tokio::time::sleep(600 * SECOND).await;
    put(&b, "1").await;
    tokio::time::sleep(30 * SECOND).await;
    let before = leases(&store).await;
    tokio::time::sleep(30 * SECOND).await;
    let after = leases(&store).await;
    let pairs = before.iter().zip(&after);
    let renewed = pairs.filter(|(before, after)| before.counter != after.counter);
    let renewed: BTreeSet<_> = renewed
        .filter_map(|(lease, _)| StreamIdentifier::of_lease_key(&lease.shard_id))
        .map(|(stream, _)| stream)
        .collect();
    let all = streams_of(&store).await;
    assert_eq!(all.len(), 3, "a, and b twice");
    assert_eq!(handle.health().fleet_shards, Some(2));
    let former = all.iter().find(|stream| stream.name() == "b").unwrap();
    assert!(
        renewed.len() == 2 && !renewed.contains(former),
        "{renewed:?}"
    );
    assert_eq!(count(&log, "b 1"), 1, "{log:?}");
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn the_leases_of_a_stream_that_another_worker_has_are_left_to_it() {
    let (_local, a, b) = two_streams(1).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    let both = run(worker(&[&a, &b], &store), &log);
    tokio::time::sleep(60 * SECOND).await;
    let one = run(worker(&[&a], &store), &log);
    tokio::time::sleep(3 * HOUR).await;
    assert_eq!(streams_of(&store).await.len(), 2);
    assert_eq!(count(&log, "b begins"), 1);
    both.abort();
    tokio::time::sleep(HOUR / 2).await;
    assert_eq!(streams_of(&store).await.len(), 2, "it may come back");
    tokio::time::sleep(HOUR).await;
    let streams = streams_of(&store).await;
    assert_eq!(
        streams
            .iter()
            .map(StreamIdentifier::name)
            .collect::<Vec<_>>(),
        ["a"]
    );
    one.abort();
}

#[tokio::test(start_paused = true)]
async fn a_worker_ends_when_none_of_its_streams_can_be_read() {
    let (_local, a, b) = two_streams(1).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    let run = run(worker(&[&a, &b], &store), &log);
    tokio::time::sleep(20 * SECOND).await;
    for stream in [&a, &b] {
        delete(stream).await;
    }
    let ended = tokio::time::timeout(600 * SECOND, run).await;
    let error = ended.expect("it ends").unwrap().unwrap_err();
    assert!(matches!(error, WorkerError::Read { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_table_of_one_stream_and_one_of_several_are_told_apart() {
    let (_local, a, b) = two_streams(1).await;
    let single = || a.worker(APP);
    for several_first in [true, false] {
        let store = MemoryLeases::new();
        let mut lease = Lease::new("shardId-000000000000".into(), LeaseCheckpoint::TrimHorizon);
        if several_first {
            lease.shard_id = "000000000000:a:1:shardId-000000000000".into();
        }
        store.write(APP, LeaseWrite::create(lease)).await.unwrap();
        let builder = if several_first {
            single()
        } else {
            single().and_stream(&b)
        };
        let worker = builder.leases(store).build().unwrap();
        let ended = tokio::time::timeout(HOUR, run(worker, &Log::default())).await;
        let error = ended.expect("it ends").unwrap().unwrap_err();
        assert!(
            matches!(error, WorkerError::KeysOfOtherKind { .. }),
            "{error}"
        );
        assert!(!error.is_retryable());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_twice_and_keys_without_streams_are_refused() {
    let (_local, a, b) = two_streams(1).await;
    let error = a
        .worker(APP)
        .and_stream(&b)
        .and_stream(&a)
        .build()
        .unwrap_err();
    assert!(
        matches!(error, InvalidWorkerOption::DuplicateStream { .. }),
        "{error}"
    );
    let builder = a.worker(APP).and_stream(&b).multi_stream(false);
    assert_eq!(
        builder.build().unwrap_err(),
        InvalidWorkerOption::SingleStreamKeys
    );
}
