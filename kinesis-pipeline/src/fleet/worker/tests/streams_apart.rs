//! Tests of two streams of one worker: that they are never confused, and that one may fail without the other.

use std::{
    collections::BTreeSet,
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio::task::unconstrained;

use super::{
    basics::{APP, stream_of},
    pressure::Metered,
    streams::{Log, Stream, count, put, run, two_streams, worker},
};
use crate::{
    Batch, BoxError, Checkpointer, CheckpointerError, DeadLetter, ErrorPolicy, Lease, LeaseChange,
    LeaseCheckpoint, LeaseStore as _, LeaseWrite, LocalKinesis, MemoryLeases, Position, Processor,
    ShardId, ShardStart, StartAt, StreamIdentifier, Worker, WorkerBuilder, WorkerError,
    WorkerEvent, dead_letters_to,
    local::Fault,
    service::{DescribeStreamConsumer, DescribeStreamSummary, SplitShard, StreamId},
};

const SECOND: Duration = Duration::from_secs(1);
const SHARD: &str = "shardId-000000000000";

fn builder(streams: [&Stream; 2]) -> WorkerBuilder<Bytes> {
    let builder = streams[0].worker(APP).and_stream(streams[1]);
    let builder = builder
        .leases(MemoryLeases::new())
        .start(StartAt::TrimHorizon);
    builder.stop_max(SECOND)
}

async fn described(stream: &Stream) -> StreamIdentifier {
    let call = DescribeStreamSummary::new(stream.id().clone());
    let summary = stream.service().describe_stream_summary(call).await;
    StreamIdentifier::of_stream(&summary.unwrap()).unwrap()
}

/// A shard, as a `ShardStart` or a `Batch` names it.
type Told = (StreamId, Option<StreamIdentifier>, ShardId);

/// A processor that notes the shard of its start and of its batches.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<Told>>>);

impl Processor for Listener {
    type Record = Bytes;

    async fn initialize(&mut self, start: &ShardStart, _: &Checkpointer) -> Result<(), BoxError> {
        let ShardStart {
            stream,
            stream_identifier,
            shard_id,
            ..
        } = start.clone();
        let told = (stream, stream_identifier, shard_id);
        self.0.lock().unwrap().push(told);
        Ok(())
    }

    async fn process(&mut self, batch: Batch<Bytes>, at: &Checkpointer) -> Result<(), BoxError> {
        let stream = batch.stream().unwrap().clone();
        let shard_id = batch.shard_id().unwrap().clone();
        assert_eq!(
            (&stream, &shard_id),
            (&at.token().stream, &at.token().shard_id)
        );
        let told = (stream, batch.stream_identifier().cloned(), shard_id);
        self.0.lock().unwrap().push(told);
        Ok(())
    }
}

async fn told(worker: Worker<Bytes>) -> Vec<Told> {
    let listener = Listener::default();
    let make = listener.clone();
    let run = tokio::spawn(worker.run(move |_| make.clone()));
    tokio::time::sleep(30 * SECOND).await;
    run.abort();
    let mut told = listener.0.lock().unwrap().clone();
    told.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
    told
}

#[tokio::test(start_paused = true)]
async fn starts_and_batches_tell_their_stream_and_their_shard() {
    let (_local, a, b) = two_streams(1).await;
    put(&a, "1").await;
    put(&b, "2").await;
    let of = |stream: &Stream, identifier| (stream.id().clone(), identifier, ShardId::from(SHARD));
    let (of_a, of_b) = (described(&a).await, described(&b).await);
    assert_eq!((of_a.name(), of_b.name()), ("a", "b"));
    let (of_a, of_b) = (of(&a, Some(of_a)), of(&b, Some(of_b)));
    let expected = [of_a.clone(), of_a, of_b.clone(), of_b];
    assert_eq!(
        told(builder([&a, &b]).build().unwrap()).await,
        expected,
        "at the start and for the batch"
    );

    let alone = a.worker(APP).leases(MemoryLeases::new());
    let alone = alone.start(StartAt::TrimHorizon).build().unwrap();
    let of_a = of(&a, None);
    assert_eq!(told(alone).await, [of_a.clone(), of_a]);
}

#[tokio::test(start_paused = true)]
async fn each_stream_is_read_through_a_consumer_of_its_own() {
    let (_local, a, b) = two_streams(2).await;
    let log = Log::default();
    let run = run(builder([&a, &b]).fan_out("pushed").build().unwrap(), &log);
    put(&a, "1").await;
    put(&b, "2").await;
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!((count(&log, "a 1"), count(&log, "b 2")), (1, 1), "{log:?}");
    for stream in [&a, &b] {
        let call = DescribeStreamSummary::new(stream.id().clone());
        let service = stream.service();
        let summary = service.describe_stream_summary(call).await.unwrap();
        let consumer = DescribeStreamConsumer::new(summary.arn, "pushed");
        service.describe_stream_consumer(consumer).await.unwrap();
    }
    run.abort();
}

/// Makes two streams of two services.
async fn two_services() -> ([LocalKinesis; 2], Stream, Stream) {
    let (local, a, _) = two_streams(1).await;
    let (other, _, b) = two_streams(1).await;
    ([local, other], a, b)
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_answer_leaves_the_other_alone_and_is_read_when_it_does() {
    for operation in ["DescribeStreamSummary", "ListShards"] {
        let ([_local, other], a, b) = two_services().await;
        let silent = Fault::delay(Duration::from_hours(100)).on(operation);
        other.faults().add(silent.always()).unwrap();
        let log = Log::default();
        let run = run(builder([&b, &a]).build().unwrap(), &log);
        put(&a, "1").await;
        put(&b, "2").await;
        tokio::time::sleep(60 * SECOND).await;
        assert_eq!((count(&log, "a 1"), count(&log, "b 2")), (1, 0), "{log:?}");
        other.faults().clear();
        tokio::time::sleep(180 * SECOND).await;
        assert_eq!((count(&log, "a 1"), count(&log, "b 2")), (1, 1), "{log:?}");
        assert_eq!(count(&log, "a begins"), 1);
        run.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn no_lease_of_a_stream_that_rests_is_taken_and_the_worker_goes_on() {
    let ([_local, other], a, b) = two_services().await;
    let log = Log::default();
    let worker = builder([&a, &b]).build().unwrap();
    let (handle, mut events) = (worker.handle(), worker.handle().events());
    let run = run(worker, &log);
    tokio::time::sleep(20 * SECOND).await;
    other
        .faults()
        .add(Fault::deny().on("GetRecords").always())
        .unwrap();
    tokio::time::sleep(600 * SECOND).await;
    let mut acquired = 0;
    while let Some(Some(event)) = unconstrained(events.next()).now_or_never() {
        acquired += usize::from(matches!(event, WorkerEvent::Acquired { .. }));
    }
    // The pauses are 1, 2, 4, .. 60 s, so there are some 15 tries in ten minutes, and one more for each stream at
    // first.
    assert!((5..=20).contains(&acquired), "{acquired}");
    assert_eq!(count(&log, "a begins"), 1);
    other.faults().clear();
    put(&b, "1").await;
    tokio::time::sleep(180 * SECOND).await;
    assert_eq!(count(&log, "b 1"), 1);
    assert_eq!(handle.health().shards.len(), 2);
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn health_and_events_tell_the_shards_of_two_streams_apart() {
    let (_local, a, b) = two_streams(1).await;
    put(&b, "1").await;
    let worker = builder([&a, &b]).stalled_after(10 * SECOND);
    let worker = worker.build().unwrap();
    let (handle, mut events) = (worker.handle(), worker.handle().events());
    // Only stream `b` has a record, so its processor hangs.
    let run = tokio::spawn(worker.run_batches(async |_: Batch<Bytes>| pending().await));
    tokio::time::sleep(60 * SECOND).await;
    let keys = [described(&a).await, described(&b).await].map(|of| of.lease_key(&SHARD.into()));
    let health = handle.health();
    let stalled: Vec<_> = health
        .shards
        .iter()
        .map(|(key, shard)| (key.clone(), shard.stalled_for.is_some()))
        .collect();
    assert_eq!(stalled, [(keys[0].clone(), false), (keys[1].clone(), true)]);
    assert!(health.shards.values().all(|shard| shard.lag.is_some()));
    let mut acquired = BTreeSet::new();
    while let Some(Some(event)) = unconstrained(events.next()).now_or_never() {
        acquired.extend(event.shard_id().cloned());
    }
    assert_eq!(acquired, keys.into());
    run.abort();
}

/// A processor that asks for a checkpoint before the last one.
struct Backward;

impl Processor for Backward {
    type Record = Bytes;

    async fn process(&mut self, batch: Batch<Bytes>, at: &Checkpointer) -> Result<(), BoxError> {
        let last = batch.last_position().unwrap();
        at.checkpoint(last).await?;
        let before = Position::new(SHARD.into(), 1_u128.into());
        match at.checkpoint(&before).await {
            Err(CheckpointerError::OutOfRange { position })
                if position.shard_id == last.shard_id =>
            {
                Err("out of range, told with the shard's id".into())
            }
            other => Err(format!("{other:?}").into()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn errors_name_the_shard_by_its_id_and_the_stream() {
    let (_local, a, b) = two_streams(1).await;
    put(&b, "1").await;
    let policy = ErrorPolicy::retry().attempts_max(1).then_stop();
    let worker = builder([&a, &b]).checkpointing(crate::Checkpointing::Manual);
    let worker = worker.on_error(policy).build().unwrap();
    let error = worker.run(|_| Backward).await.unwrap_err();
    let WorkerError::Processor {
        stream,
        shard,
        source,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((stream.as_str(), shard.as_str()), ("b", SHARD));
    assert!(source.to_string().contains("told with"), "{source}");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_names_its_stream() {
    let (_local, a, b) = two_streams(1).await;
    put(&a, "1").await;
    put(&b, "2").await;
    let letters = Arc::new(Mutex::new(Vec::new()));
    let place = letters.clone();
    let place = dead_letters_to(move |put: Vec<DeadLetter>| {
        place.lock().unwrap().extend(put);
        std::future::ready(Ok(()))
    });
    let policy = ErrorPolicy::retry().attempts_max(1).then_dead_letter(place);
    let worker = builder([&a, &b]).on_error(policy).build().unwrap();
    let run = tokio::spawn(worker.run_batches(async |_: Batch<Bytes>| Err("bad".into())));
    tokio::time::sleep(30 * SECOND).await;
    let letters = letters.lock().unwrap();
    let told: BTreeSet<_> = letters
        .iter()
        .map(|letter| (letter.stream.as_str(), &*letter.data))
        .collect();
    assert_eq!(told, [("a", &b"1"[..]), ("b", &b"2"[..])].into());
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_worker_of_one_stream_may_have_keys_that_name_it_and_get_others_later() {
    let (_local, a, b) = two_streams(1).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    let one = worker(&[&a], &store);
    assert_eq!(one.streams(), [a.id()]);
    let handle = one.handle();
    let run_of_one = run(one, &log);
    put(&a, "1").await;
    tokio::time::sleep(30 * SECOND).await;
    handle.stop();
    run_of_one.await.unwrap().unwrap();
    let both = worker(&[&a, &b], &store);
    assert_eq!(both.streams(), [a.id(), b.id()]);
    let run = run(both, &log);
    put(&a, "2").await;
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!((count(&log, "a 1"), count(&log, "a 2")), (1, 1), "{log:?}");
    assert_eq!(count(&log, "b begins"), 1);
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn one_stream_behind_two_endpoints_is_refused() {
    let (_local, a, b) = two_streams(1).await;
    let elsewhere = Metered {
        service: a.service().clone(),
        endpoint: "elsewhere",
        given: Arc::default(),
        listings_cut: Arc::default(),
    };
    let again = Stream::with_service(Arc::new(elsewhere), "a").with_clock(a.clock().clone());
    let worker = builder([&b, &a]).and_stream(&again).build().unwrap();
    let error = run(worker, &Log::default()).await.unwrap().unwrap_err();
    assert!(
        matches!(&error, WorkerError::DuplicateStream { identifier, .. } if identifier.name() == "a"),
        "{error}"
    );
    assert!(!error.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_ones_own_making_tells_the_shard_of_its_records() {
    let stream = stream_of::<Bytes>(1).await;
    let batch = Batch::<Bytes>::new(Vec::new());
    assert_eq!((batch.stream(), batch.shard_id()), (None, None));
    let batch = batch.with_shard(stream.id().clone(), SHARD);
    assert_eq!(batch.stream(), Some(stream.id()));
    assert_eq!(batch.shard_id(), Some(&SHARD.into()));
}

/// Returns the row of a shard. `created_at` is the creation time of its stream, in seconds since 1970.
fn row(stream: &str, created_at: u64, shard: &str) -> LeaseWrite {
    let key = format!("000000000000:{stream}:{created_at}:{shard}");
    LeaseWrite::create(Lease::new(key.into(), LeaseCheckpoint::TrimHorizon))
}

async fn keys(store: &MemoryLeases) -> Vec<String> {
    let leases = store.list(APP).await.unwrap();
    let mut keys: Vec<_> = leases.iter().map(|l| l.shard_id.to_string()).collect();
    keys.sort();
    keys
}

#[tokio::test(start_paused = true)]
async fn before_all_streams_have_answered_none_counts_as_a_former_one() {
    let ([_local, other], a, b) = two_services().await;
    let silent = Fault::delay(Duration::from_hours(100)).on("DescribeStreamSummary");
    other.faults().add(silent.always()).unwrap();
    let store = MemoryLeases::new();
    let epoch = described(&a).await.creation_epoch();
    let write = row("b", epoch, SHARD);
    store.write(APP, write).await.unwrap();
    let run = run(worker(&[&a, &b], &store), &Log::default());
    tokio::time::sleep(Duration::from_hours(3)).await;
    assert_eq!(keys(&store).await.len(), 2, "that of `b` is kept");
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_one_lease_in_use_keeps_the_others_that_nobody_writes() {
    let (_local, a, b) = two_streams(2).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    let of_b = b.worker(APP).multi_stream(true).leases(store.clone());
    let of_b = of_b.leases_max(1).start(StartAt::TrimHorizon).build();
    let of_b = run(of_b.unwrap(), &log);
    let of_a = run(worker(&[&a], &store), &log);
    tokio::time::sleep(60 * SECOND).await;
    // A deleted row would be made again within some 30 s.
    for _ in 0..720 {
        assert_eq!(keys(&store).await.len(), 4);
        tokio::time::sleep(10 * SECOND).await;
    }
    of_b.abort();
    tokio::time::sleep(Duration::from_mins(62)).await;
    assert_eq!(keys(&store).await.len(), 2, "now it is a former stream");
    of_a.abort();
}

#[tokio::test(start_paused = true)]
async fn finished_leases_are_cleaned_up_by_a_worker_that_has_their_stream() {
    let (_local, a, b) = two_streams(1).await;
    let (store, log) = (MemoryLeases::new(), Log::default());
    // The worker with the least id does not know stream `b`.
    let least = a.worker(APP).multi_stream(true).leases(store.clone());
    let least = run(least.id("a").build().unwrap(), &log);
    tokio::time::sleep(30 * SECOND).await;
    let both = b.worker(APP).and_stream(&a).leases(store.clone()).id("b");
    let both = run(both.start(StartAt::TrimHorizon).build().unwrap(), &log);
    tokio::time::sleep(30 * SECOND).await;
    let shard = b.shards().await.unwrap().remove(0);
    let middle = shard.hash_key_range.middle();
    let split = SplitShard::new(b.id().clone(), shard.id.clone(), middle);
    b.service().split_shard(split).await.unwrap();
    tokio::time::sleep(60 * SECOND).await;
    for _ in 0..64 {
        put(&b, "1").await;
    }
    tokio::time::sleep(180 * SECOND).await;
    let keys = keys(&store).await;
    let parent = described(&b).await.lease_key(&shard.id).to_string();
    assert_eq!((keys.len(), keys.contains(&parent)), (3, false), "{keys:?}");
    least.abort();
    both.abort();
}

#[tokio::test(start_paused = true)]
async fn an_open_stream_that_cannot_be_described_for_a_while_is_read_on() {
    let ([_local, other], a, b) = two_services().await;
    for (streams, text, noted) in [(vec![&b], "1", "b 1"), (vec![&a, &b], "2", "b 2")] {
        let (store, log) = (MemoryLeases::new(), Log::default());
        let worker = worker(&streams, &store);
        let mut events = worker.handle().events();
        let run = run(worker, &log);
        tokio::time::sleep(20 * SECOND).await;
        let silent = Fault::delay(Duration::from_hours(100)).on("DescribeStreamSummary");
        other.faults().add(silent.always()).unwrap();
        tokio::time::sleep(900 * SECOND).await;
        put(&b, text).await;
        tokio::time::sleep(20 * SECOND).await;
        assert_eq!(count(&log, noted), 1, "{log:?}");
        let mut lost = 0;
        while let Some(Some(event)) = unconstrained(events.next()).now_or_never() {
            lost += usize::from(matches!(event, WorkerEvent::Lost { .. }));
        }
        assert_eq!(lost, 0);
        // A lease that was deleted by hand is made again and taken. The old holder loses it only if this happens before
        // its next renewal.
        let leases = store.list(APP).await.unwrap();
        let of_b = leases
            .into_iter()
            .find(|l| l.shard_id.as_str().contains(":b:"));
        let delete = LeaseWrite::new(of_b.unwrap(), LeaseChange::Delete);
        store.write(APP, delete).await.unwrap();
        tokio::time::sleep(60 * SECOND).await;
        assert_eq!(keys(&store).await.len(), streams.len());
        other.faults().clear();
        run.abort();
    }
}
