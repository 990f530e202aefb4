//! Tests of streams that are deleted and made again, and of workers that come and go.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use super::basics::{APP, stream_of};
use crate::{
    Batch, BoxError, Clock, ErrorPolicy, KinesisStream, Lease, LeaseChange, LeaseFuture,
    LeaseStore, LeaseWrite, LeaseWritten, LocalKinesis, MemoryLeases, ShardId, StartAt,
    WorkerBuilder, WorkerHandle, WorkerReport, service::DeleteStream,
};

type Texts = Arc<Mutex<Vec<String>>>;

/// Runs a worker that notes the texts of its records.
fn run(
    builder: WorkerBuilder<Bytes>,
    texts: &Texts,
) -> (WorkerHandle, tokio::task::JoinHandle<WorkerReport>) {
    let worker = builder.start(StartAt::TrimHorizon).build().unwrap();
    let (handle, texts) = (worker.handle(), texts.clone());
    let sink = move |batch: Batch<Bytes>| {
        let batch = batch.into_iter().map(|record| record.data.to_vec());
        let batch = batch.map(|text| String::from_utf8(text).unwrap());
        texts.lock().unwrap().extend(batch);
        std::future::ready(Ok::<(), BoxError>(()))
    };
    let run = tokio::spawn(async move { worker.run_batches(sink).await.unwrap() });
    (handle, run)
}

async fn put(stream: &KinesisStream<Bytes>, text: &'static str) -> ShardId {
    stream.put(&Bytes::from(text)).await.unwrap().shard_id
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_deleted_and_made_again_is_read_from_its_beginning() {
    let clock = Clock::tokio(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
    let local = LocalKinesis::builder().clock(clock).start().await.unwrap();
    let stream: KinesisStream<Bytes> = local.stream("test", 2).await.unwrap();
    let (store, texts) = (MemoryLeases::new(), Texts::default());
    let builder = || stream.worker(APP).leases(store.clone());
    let (handle, worker) = run(builder(), &texts);
    put(&stream, "old").await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    handle.stop();
    worker.await.unwrap();
    let delete = DeleteStream::new(stream.id().clone());
    stream.service().delete_stream(delete).await.unwrap();
    tokio::time::sleep(Duration::from_mins(5)).await;
    local.stream::<Bytes>("test", 2).await.unwrap();
    put(&stream, "new").await;
    let (_, worker) = run(builder(), &texts);
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(*texts.lock().unwrap(), ["old", "new"]);
    worker.abort();
}

#[tokio::test(start_paused = true)]
async fn the_others_go_on_within_a_round_when_a_worker_stops() {
    let stream: KinesisStream<Bytes> = stream_of(4).await;
    let (store, texts) = (MemoryLeases::new(), Texts::default());
    let builder = |id: &str| stream.worker(APP).leases(store.clone()).id(id);
    let (first, stopped) = run(builder("first"), &texts);
    let (_, second) = run(builder("second"), &texts);
    tokio::time::sleep(Duration::from_mins(2)).await;
    first.stop();
    assert_eq!(stopped.await.unwrap().released.len(), 2);
    texts.lock().unwrap().clear();
    for number in 0..40 {
        let text = Bytes::from(number.to_string());
        stream.put(&text).await.unwrap();
    }
    // The second worker needs one round and one poll.
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(
        texts.lock().unwrap().len(),
        40,
        "the second works on all shards"
    );
    let leases = store.list(APP).await.unwrap();
    let owner = Some("second".into());
    assert!(
        leases.iter().all(|lease| lease.owner == owner),
        "{leases:?}"
    );
    second.abort();
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_stopped_ends_in_time_whatever_its_processor_does() {
    let stream: KinesisStream<Bytes> = stream_of(1).await;
    let store = MemoryLeases::new();
    let shard = put(&stream, "1").await;
    let builder = stream
        .worker(APP)
        .leases(store.clone())
        .start(StartAt::TrimHorizon);
    let worker = builder.stop_max(Duration::from_secs(5)).build().unwrap();
    let handle = worker.handle();
    let sink = |_: Batch<Bytes>| std::future::pending::<Result<(), BoxError>>();
    let run = tokio::spawn(worker.run_batches(sink));
    tokio::time::sleep(Duration::from_secs(5)).await;
    handle.stop();
    let in_time = tokio::time::timeout(Duration::from_secs(6), run).await;
    assert_eq!(in_time.unwrap().unwrap().unwrap().abandoned, [shard]);
}

#[tokio::test(start_paused = true)]
async fn shards_that_are_pushed_change_hands_too() {
    let stream: KinesisStream<Bytes> = stream_of(4).await;
    let (store, texts) = (MemoryLeases::new(), Texts::default());
    let builder = || stream.worker(APP).leases(store.clone()).fan_out("consumer");
    let (_, first) = run(builder(), &texts);
    tokio::time::sleep(Duration::from_mins(1)).await;
    let (_, second) = run(builder(), &texts);
    tokio::time::sleep(Duration::from_mins(3)).await;
    let mut expected = Vec::new();
    for number in 0..40 {
        let text = format!("{number:02}");
        stream.put(&Bytes::from(text.clone())).await.unwrap();
        expected.push(text);
    }
    tokio::time::sleep(Duration::from_mins(1)).await;
    let leases = store.list(APP).await.unwrap();
    let mut owners: Vec<_> = leases.into_iter().map(|lease| lease.owner).collect();
    owners.sort();
    assert!(owners[1] != owners[2] && owners[0] == owners[1] && owners[2] == owners[3]);
    let mut texts = texts.lock().unwrap().clone();
    texts.sort();
    assert_eq!(texts, expected);
    first.abort();
    second.abort();
}

/// A store whose lists take a while.
#[derive(Debug)]
struct SlowLists(MemoryLeases);

impl LeaseStore for SlowLists {
    fn list<'a>(&'a self, app: &'a str) -> LeaseFuture<'a, Vec<Lease>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            self.0.list(app).await
        })
    }

    fn write<'a>(&'a self, app: &'a str, write: LeaseWrite) -> LeaseFuture<'a, LeaseWritten> {
        self.0.write(app, write)
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_stopped_during_a_round_takes_nothing_that_it_would_give_back() {
    let stream: KinesisStream<Bytes> = stream_of(2).await;
    let store = MemoryLeases::new();
    let builder = stream.worker(APP).leases(SlowLists(store.clone()));
    let (handle, worker) = run(builder, &Texts::default());
    tokio::time::sleep(Duration::from_secs(2)).await;
    handle.stop();
    assert_eq!(worker.await.unwrap(), WorkerReport::default());
    let leases = store.list(APP).await.unwrap();
    // Taking a lease counts it up.
    assert!(
        leases
            .iter()
            .all(|lease| lease.owner_switches == 0 && lease.courteous_owner.is_none()),
        "{leases:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_begun_once_the_worker_that_asks_for_a_lease_may_take_it_by_force() {
    let limit = Duration::from_secs(12);
    let stream: KinesisStream<Bytes> = stream_of(1).await;
    for _ in 0..8 {
        put(&stream, "a").await;
    }
    let (store, begun) = (MemoryLeases::new(), Arc::new(Mutex::new(Vec::new())));
    let (clock, calls) = (stream.target.clock.clone(), begun.clone());
    let builder = stream.worker(APP).leases(store.clone());
    let builder = builder.start(StartAt::TrimHorizon).hand_over_max(limit);
    let builder = builder.batch_wait_max(Duration::from_secs(1));
    let policy = ErrorPolicy::retry().attempts_max(1).bisect().then_skip();
    let worker = builder.on_error(policy).build().unwrap();
    // Each half of the batch is a batch that fails, too.
    let run = tokio::spawn(worker.run_batches(move |_: Batch<Bytes>| {
        calls.lock().unwrap().push(clock.instant());
        async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            Err::<(), BoxError>("bad".into())
        }
    }));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let lease = store.list(APP).await.unwrap().remove(0);
    let ask = LeaseWrite::new(lease, LeaseChange::HandOver("b".into()));
    store.write(APP, ask).await.unwrap();
    let asked_at = stream.target.clock.instant();
    // Before the lease of the other worker, which does not run, expires.
    tokio::time::sleep(limit + Duration::from_secs(8)).await;
    let last = begun.lock().unwrap().last().copied().unwrap();
    assert!(
        last > asked_at && last <= asked_at + limit,
        "{:?}",
        last - asked_at
    );
    let lease = store.list(APP).await.unwrap().remove(0);
    assert_eq!(
        (lease.owner, lease.checkpoint_owner),
        (Some("b".into()), None)
    );
    run.abort();
}
