//! Tests of a worker's events and health.

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
    streams::{two_streams, worker},
};
use crate::{
    Batch, BoxError, Checkpointer, Checkpointing, ErrorPolicy, KinesisStream, LeaseStore as _,
    MemoryLeases, Processor, ProcessorError, ShardStart, StartAt, WorkerBuilder, WorkerEvent,
    WorkerEvents, WorkerPhase,
};

const SECOND: Duration = Duration::from_secs(1);

fn builder(stream: &KinesisStream<Bytes>, store: &MemoryLeases, id: &str) -> WorkerBuilder<Bytes> {
    let builder = stream.worker(APP).leases(store.clone()).id(id);
    builder.start(StartAt::TrimHorizon).stop_max(SECOND)
}

/// Returns the kinds of the events that are ready.
fn kinds(events: &mut WorkerEvents) -> Vec<&'static str> {
    let mut kinds = Vec::new();
    // Tokio's cooperative budget would end the loop after some events.
    while let Some(Some(event)) = unconstrained(events.next()).now_or_never() {
        kinds.push(match event {
            WorkerEvent::Acquired { .. } => "acquired",
            WorkerEvent::Lost { .. } => "lost",
            WorkerEvent::HandedOver { .. } => "handed over",
            WorkerEvent::Released { .. } => "released",
            WorkerEvent::ShardEnded { .. } => "ended",
            WorkerEvent::ProcessorFailed { .. } => "failed",
            WorkerEvent::DeadLettered { .. } => "dead-lettered",
            WorkerEvent::Skipped { .. } => "skipped",
            WorkerEvent::LeaseWriteFailed { .. } => "not written",
            WorkerEvent::Missed { .. } => "missed",
            WorkerEvent::Stopped { .. } => "stopped",
        });
    }
    kinds
}

async fn succeed(_: Batch<Bytes>) -> Result<(), BoxError> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn events_tell_how_leases_change_hands_and_end_with_the_worker() {
    let (stream, store) = (stream_of::<Bytes>(2).await, MemoryLeases::new());
    let first = builder(&stream, &store, "a").build().unwrap();
    let (first_handle, mut first_events) = (first.handle(), first.handle().events());
    let first_run = tokio::spawn(first.run_batches(succeed));
    tokio::time::sleep(30 * SECOND).await;
    assert_eq!(kinds(&mut first_events), ["acquired", "acquired"]);

    let second = builder(&stream, &store, "b").build().unwrap();
    let mut second_events = second.handle().events();
    let second_run = tokio::spawn(second.run_batches(succeed));
    tokio::time::sleep(60 * SECOND).await;
    assert_eq!(kinds(&mut first_events), ["handed over"]);
    assert_eq!(kinds(&mut second_events), ["acquired"]);

    first_handle.stop();
    first_run.await.unwrap().unwrap();
    assert_eq!(kinds(&mut first_events), ["released", "stopped"]);
    assert!(first_events.next().await.is_none());
    // Dropping the run is like a crash of its machine.
    second_run.abort();
    assert!(second_run.await.unwrap_err().is_cancelled());
    assert_eq!(kinds(&mut second_events).last(), Some(&"stopped"));
    assert!(first_handle.events().next().await.is_none());
    assert_eq!(first_handle.health().phase, WorkerPhase::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_slow_is_told_how_many_events_it_missed_and_slows_nothing() {
    let (stream, store) = (stream_of::<Bytes>(1).await, MemoryLeases::new());
    stream.put(&"bad".into()).await.unwrap();
    let policy = ErrorPolicy::retry().attempts_max(2_000).then_skip();
    let policy = policy.pause_max(Duration::from_millis(1));
    let worker = builder(&stream, &store, "a")
        .on_error(policy)
        .build()
        .unwrap();
    let mut events = worker.handle().events();
    let run = tokio::spawn(worker.run_batches(async |_: Batch<Bytes>| Err("bad".into())));
    tokio::time::sleep(2_000 * SECOND).await;
    let Some(WorkerEvent::Missed { events: missed }) = events.next().await else {
        panic!("events are missing");
    };
    let kinds = kinds(&mut events);
    assert_eq!((kinds.len(), kinds.last()), (1_024, Some(&"skipped")));
    // There is one event for the lease, one for each failure, and one for the record.
    assert_eq!(missed, 1 + 2_000 + 1 - 1_024);
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_hangs_makes_its_shard_stalled_and_the_lag_grow() {
    let (stream, store) = (stream_of::<Bytes>(1).await, MemoryLeases::new());
    let worker = builder(&stream, &store, "a")
        .stalled_after(60 * SECOND)
        .build()
        .unwrap();
    let handle = worker.handle();
    assert_eq!(handle.health().phase, WorkerPhase::Built);
    let run = tokio::spawn(worker.run_batches(async |_: Batch<Bytes>| pending().await));
    tokio::time::sleep(120 * SECOND).await;
    let health = handle.health();
    assert!(health.is_healthy() && health.is_ready());
    assert_eq!(health.lag_max(), Some(Duration::ZERO));
    assert_eq!(
        (health.fleet_shards, health.fleet_workers),
        (Some(1), Some(1))
    );

    stream.put(&"a".into()).await.unwrap();
    tokio::time::sleep(50 * SECOND).await;
    assert!(handle.health().is_healthy());
    tokio::time::sleep(50 * SECOND).await;
    let health = handle.health();
    let shard = health.shards.values().next().unwrap();
    assert!(!health.is_healthy() && shard.is_renewed, "{health:?}");
    assert!(
        shard.stalled_for >= Some(95 * SECOND) && shard.lag >= Some(95 * SECOND),
        "{health:?}"
    );
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn records_without_an_ack_stall_their_shard_and_an_ack_that_is_saved_is_progress() {
    let (stream, store) = (stream_of::<Bytes>(1).await, MemoryLeases::new());
    stream.put(&"a".into()).await.unwrap();
    let builder = builder(&stream, &store, "a").checkpointing(Checkpointing::Ack);
    let worker = builder.stalled_after(60 * SECOND).build().unwrap();
    let handle = worker.handle();
    let (kept, mut records) = tokio::sync::mpsc::unbounded_channel();
    let run = tokio::spawn(worker.run_batches(move |batch: Batch<Bytes>| {
        let kept = kept.clone();
        async move {
            for record in batch {
                let _ = kept.send(record);
            }
            Ok(())
        }
    }));
    let record = records.recv().await.unwrap();
    tokio::time::sleep(120 * SECOND).await;
    assert!(!handle.health().is_healthy());
    record.ack();
    tokio::time::sleep(20 * SECOND).await;
    let health = handle.health();
    let shard = health.shards.values().next().unwrap();
    assert!(
        health.is_healthy() && shard.checkpoint.has_begun(),
        "{health:?}"
    );
    assert!(
        shard
            .since_checkpoint
            .is_some_and(|since| since < 20 * SECOND)
    );
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_taken_by_force_is_lost_and_not_held() {
    let (stream, store) = (stream_of::<Bytes>(1).await, MemoryLeases::new());
    let worker = builder(&stream, &store, "a").build().unwrap();
    let (handle, mut events) = (worker.handle(), worker.handle().events());
    let run = tokio::spawn(worker.run_batches(succeed));
    tokio::time::sleep(30 * SECOND).await;
    let lease = store.list(APP).await.unwrap().remove(0);
    store
        .write(APP, crate::LeaseWrite::take(lease, "thief".into()))
        .await
        .unwrap();
    tokio::time::sleep(9 * SECOND).await;
    assert_eq!(kinds(&mut events), ["acquired", "lost"]);
    assert!(handle.health().shards.is_empty());
    run.abort();
}

/// A processor that cannot begin without a person's help.
struct Helpless;

impl Processor for Helpless {
    type Record = Bytes;

    async fn initialize(&mut self, _: &ShardStart, _: &Checkpointer) -> Result<(), BoxError> {
        Err(ProcessorError::needs_repair("a table is missing").into())
    }

    async fn process(&mut self, _: Batch<Bytes>, _: &Checkpointer) -> Result<(), BoxError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_cannot_begin_is_shown_under_the_key_of_its_lease() {
    let (_local, a, b) = two_streams(1).await;
    let store = MemoryLeases::new();
    let worker = worker(&[&a, &b], &store);
    let (handle, mut events) = (worker.handle(), worker.handle().events());
    let run = tokio::spawn(worker.run(|_| Helpless));
    tokio::time::sleep(600 * SECOND).await;
    let health = handle.health();
    assert!(!health.is_healthy(), "{health:?}");
    let mut failed = BTreeSet::new();
    while let Some(Some(event)) = unconstrained(events.next()).now_or_never() {
        if let WorkerEvent::ProcessorFailed { shard_id, .. } = event {
            failed.insert(shard_id);
        }
    }
    assert_eq!(failed, health.shards.into_keys().collect());
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn many_quiet_shards_of_a_worker_are_polled_less_often_and_few_each_second() {
    for (shards, wait_max) in [(100, 1_300), (600, 3_300)] {
        let stream = stream_of::<Bytes>(shards).await;
        let waits = Arc::new(Mutex::new(Vec::new()));
        let worker = builder(&stream, &MemoryLeases::new(), "a").build().unwrap();
        let (clock, noted) = (stream.target.clock.clone(), waits.clone());
        let run = tokio::spawn(worker.run_batches(move |batch: Batch<Bytes>| {
            let now = clock.now();
            let ages = batch
                .iter()
                .map(|record| now.duration_since(record.arrived_at).unwrap());
            noted.lock().unwrap().extend(ages);
            std::future::ready(Ok::<(), BoxError>(()))
        }));
        tokio::time::sleep(60 * SECOND).await;
        // The shards are polled at the same times, which the puts are not.
        for _ in 0..100 {
            stream.put(&"a".into()).await.unwrap();
            tokio::time::sleep(SECOND / 10).await;
        }
        tokio::time::sleep(10 * SECOND).await;
        let waits = waits.lock().unwrap();
        let longest = waits.iter().max().unwrap().as_millis();
        assert_eq!(waits.len(), 100);
        assert!(
            (wait_max - 700..=wait_max).contains(&longest),
            "{shards}: {longest} ms"
        );
        run.abort();
    }
}
