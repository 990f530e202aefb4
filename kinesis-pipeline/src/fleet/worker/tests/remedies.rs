//! Tests of processors that return errors with a special meaning, or keep positions of their own.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use super::basics::{APP, stream_of};
use crate::{
    BadRecord, Batch, BoxError, Checkpointer, DeadLetter, ErrorPolicy, KinesisStream,
    LeaseCheckpoint, LeaseStore as _, MemoryLeases, Position, Processor, ProcessorError, ShardId,
    ShardStart, StartAt, WorkerError, WorkerEvent, dead_letters_to,
};

/// A processor that notes its records. The closure decides the answer to the nth call.
#[derive(Clone)]
struct Answering<F> {
    answer: F,
    start_after: Option<Position>,
    log: Arc<Mutex<Vec<String>>>,
}

impl<F> Processor for Answering<F>
where
    F: FnMut(usize, &Batch<String>) -> Result<(), ProcessorError> + Send,
{
    type Record = String;

    fn start_after(&self) -> Option<Position> {
        self.start_after.clone()
    }

    async fn process(&mut self, batch: Batch<String>, _: &Checkpointer) -> Result<(), BoxError> {
        let texts: Vec<_> = batch.iter().map(|record| &*record.data).collect();
        let call = {
            let mut log = self.log.lock().unwrap();
            log.push(texts.join(","));
            log.len()
        };
        Ok((self.answer)(call, &batch)?)
    }

    async fn lease_lost(&mut self) {
        self.log.lock().unwrap().push("lost".to_owned());
    }
}

struct Outcome {
    log: Vec<String>,
    letters: Vec<DeadLetter>,
    checkpoint: LeaseCheckpoint,
}

async fn run<F>(
    stream: &KinesisStream<String>,
    store: &MemoryLeases,
    policy: ErrorPolicy,
    start_after: Option<Position>,
    answer: F,
) -> Outcome
where
    F: FnMut(usize, &Batch<String>) -> Result<(), ProcessorError> + Clone + Send + Sync + 'static,
{
    let letters: Arc<Mutex<Vec<DeadLetter>>> = Arc::default();
    let kept = letters.clone();
    let policy = policy.then_dead_letter(dead_letters_to(move |letters| {
        kept.lock().unwrap().extend(letters);
        std::future::ready(Ok(()))
    }));
    let builder = stream.worker(APP).leases(store.clone()).on_error(policy);
    let builder = builder.batch_wait_max(Duration::from_secs(1));
    let worker = builder.start(StartAt::TrimHorizon).build().unwrap();
    let handle = worker.handle();
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let processor = Answering {
        answer,
        start_after,
        log: log.clone(),
    };
    let run = tokio::spawn(worker.run(move |_: &ShardId| processor.clone()));
    tokio::time::sleep(Duration::from_mins(10)).await;
    handle.stop();
    run.await.unwrap().unwrap();
    let lease = store.list(APP).await.unwrap().remove(0);
    let log = log.lock().unwrap().clone();
    let letters = letters.lock().unwrap().clone();
    Outcome {
        log,
        letters,
        checkpoint: lease.checkpoint,
    }
}

/// Returns a stream of one shard with these records, and their positions.
async fn shard(texts: &[&str]) -> (KinesisStream<String>, Vec<Position>) {
    let stream = stream_of(1).await;
    let mut positions = Vec::new();
    for text in texts {
        let receipt = stream.put(&(*text).to_owned()).await.unwrap();
        positions.push(receipt.position());
    }
    (stream, positions)
}

#[tokio::test(start_paused = true)]
async fn tries_are_not_counted_while_something_is_not_available() {
    let (stream, positions) = shard(&["a", "b"]).await;
    let policy = ErrorPolicy::retry().attempts_max(1);
    let store = MemoryLeases::new();
    let outcome = run(&stream, &store, policy, None, |call, _| {
        let down = ProcessorError::unavailable("the database is down");
        if call < 8 { Err(down) } else { Ok(()) }
    });
    let outcome = outcome.await;
    assert_eq!(outcome.log, ["a,b"; 8]);
    assert_eq!(outcome.letters, []);
    assert_eq!(outcome.checkpoint, LeaseCheckpoint::after(&positions[1]));
}

#[tokio::test(start_paused = true)]
async fn only_the_records_that_a_processor_names_have_the_fate_of_the_policy() {
    let (stream, positions) = shard(&["a", "bad 1", "b", "bad 2", "c"]).await;
    let policy = ErrorPolicy::retry().attempts_max(3);
    let store = MemoryLeases::new();
    let outcome = run(&stream, &store, policy, None, |_, batch| {
        let bad = batch.iter().filter(|record| record.data.starts_with("bad"));
        let bad = bad.map(|record| BadRecord::new(record.position().clone(), "it is bad"));
        let bad: Vec<_> = bad.collect();
        if bad.is_empty() {
            return Ok(());
        }
        Err(ProcessorError::bad_records(bad))
    });
    let outcome = outcome.await;
    assert_eq!(outcome.log, ["a,bad 1,b,bad 2,c", "a,b,c"]);
    let letters: Vec<_> = outcome.letters.iter().map(|letter| &letter.data).collect();
    assert_eq!(letters, ["bad 1", "bad 2"]);
    assert_eq!(outcome.letters[0].position, positions[1]);
    assert_eq!(outcome.letters[0].error, "it is bad");
    assert_eq!(outcome.checkpoint, LeaseCheckpoint::after(&positions[4]));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_named_and_not_of_the_batch_is_no_way_around_the_policy() {
    let (stream, _) = shard(&["a"]).await;
    let policy = ErrorPolicy::retry().attempts_max(3);
    let store = MemoryLeases::new();
    let elsewhere = Position::new("shardId-000000000009".into(), 1_u128.into());
    let outcome = run(&stream, &store, policy, None, move |_, _| {
        let bad = BadRecord::new(elsewhere.clone(), "it is bad");
        Err(ProcessorError::bad_records(vec![bad]))
    });
    let outcome = outcome.await;
    assert_eq!(outcome.log, ["a"; 3]);
    assert_eq!(outcome.letters.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_dropped_when_a_store_of_the_processors_says_that_it_is_lost() {
    let (stream, positions) = shard(&["a"]).await;
    let policy = ErrorPolicy::retry().attempts_max(1);
    let store = MemoryLeases::new();
    let outcome = run(&stream, &store, policy, None, |call, _| {
        let lost = ProcessorError::lease_lost("the position has moved");
        if call == 1 { Err(lost) } else { Ok(()) }
    });
    let outcome = outcome.await;
    // The row still has this worker's name. So the worker takes the lease again, and begins at the checkpoint.
    assert_eq!(outcome.log, ["a", "lost", "a"]);
    assert_eq!(outcome.letters, []);
    assert_eq!(outcome.checkpoint, LeaseCheckpoint::after(&positions[0]));
}

#[tokio::test(start_paused = true)]
async fn reading_begins_at_the_processors_own_position_before_and_after_the_checkpoint() {
    let (stream, positions) = shard(&["a", "b", "c"]).await;
    let store = MemoryLeases::new();
    let policy = ErrorPolicy::retry;
    let after = |index: usize| Some(positions[index].clone());
    let outcome = run(&stream, &store, policy(), after(1), |_, _| Ok(())).await;
    assert_eq!(outcome.log, ["c"]);
    assert_eq!(outcome.checkpoint, LeaseCheckpoint::after(&positions[2]));

    let outcome = run(&stream, &store, policy(), after(0), |_, _| Ok(())).await;
    assert_eq!(outcome.log, ["b,c"]);
    assert_eq!(outcome.checkpoint, LeaseCheckpoint::after(&positions[2]));

    let outcome = run(&stream, &store, policy(), None, |_, _| Ok(())).await;
    assert_eq!(outcome.log, <[&str; 0]>::default());
}

#[tokio::test(start_paused = true)]
async fn lanes_with_a_position_of_their_own_end_the_worker() {
    let (stream, positions) = shard(&["a"]).await;
    let builder = stream.worker(APP).leases(MemoryLeases::new());
    let builder = builder.concurrency(2).start(StartAt::TrimHorizon);
    let worker = builder.build().unwrap();
    let processor = Answering {
        answer: |_: usize, _: &Batch<String>| Ok(()),
        start_after: Some(positions[0].clone()),
        log: Arc::default(),
    };
    let ended = worker.run(move |_: &ShardId| processor.clone()).await;
    assert!(matches!(ended, Err(WorkerError::Processor { .. })));
}

/// A processor with a fault that a person must repair, either before its first batch or at it.
struct Unmended {
    begins: bool,
}

impl Processor for Unmended {
    type Record = String;

    async fn initialize(&mut self, _: &ShardStart, _: &Checkpointer) -> Result<(), BoxError> {
        if self.begins {
            return Ok(());
        }
        Err(ProcessorError::needs_repair("row 7").into())
    }

    async fn process(&mut self, _: Batch<String>, _: &Checkpointer) -> Result<(), BoxError> {
        assert!(self.begins, "it never began");
        Err(ProcessorError::needs_repair("row 7").into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_repair_that_nobody_makes_ends_the_worker_and_passes_over_no_record() {
    for begins in [false, true] {
        let (stream, _) = shard(&["a"]).await;
        let store = MemoryLeases::new();
        let policy = ErrorPolicy::retry().attempts_max(3).bisect().then_skip();
        let builder = stream.worker(APP).leases(store.clone()).on_error(policy);
        let worker = builder.start(StartAt::TrimHorizon).build().unwrap();
        let mut events = worker.handle().events();
        let error = worker.run(move |_: &ShardId| Unmended { begins }).await;
        let Err(WorkerError::Processor { source, .. }) = error else {
            panic!("{error:?}");
        };
        let source = source.downcast_ref::<ProcessorError>().unwrap();
        assert!(
            matches!(source, ProcessorError::NeedsRepair { source } if source.to_string() == "row 7")
        );
        let mut failed = 0;
        while let Some(event) = events.next().await {
            failed += usize::from(matches!(event, WorkerEvent::ProcessorFailed { .. }));
        }
        assert_eq!(failed, 3, "each try is told");
        let lease = store.list(APP).await.unwrap().remove(0);
        assert_eq!(lease.checkpoint, LeaseCheckpoint::TrimHorizon);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_whose_processor_cannot_begin_is_stalled() {
    let (stream, _) = shard(&["a"]).await;
    let builder = stream.worker(APP).leases(MemoryLeases::new());
    let builder = builder.stalled_after(Duration::from_mins(1));
    let worker = builder.start(StartAt::TrimHorizon).build().unwrap();
    let handle = worker.handle();
    let run = tokio::spawn(worker.run(|_: &ShardId| Unmended { begins: false }));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(handle.health().is_healthy());
    tokio::time::sleep(Duration::from_mins(1)).await;
    let health = handle.health();
    assert!(
        !health.is_healthy()
            && health
                .shards
                .values()
                .all(|shard| shard.stalled_for.is_some())
    );
    handle.stop();
    run.await.unwrap().unwrap();
}
