//! Tests of one worker and of two: the calls that their processors get.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;

use crate::{
    Batch, BoxError, Checkpointer, Checkpointing, Clock, InvalidWorkerOption, KinesisStream,
    LeaseCheckpoint, LocalKinesis, MemoryLeases, Processor, ShardId, ShardStart, StartAt, Worker,
    fleet::lease::sync::Initial,
};

pub(super) const APP: &str = "app";

async fn stream(shards: u32) -> KinesisStream<Bytes> {
    stream_of(shards).await
}

/// Returns a stream of a new embedded Kinesis, on virtual time.
pub(super) async fn stream_of<R>(shards: u32) -> KinesisStream<R> {
    let clock = Clock::tokio(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
    let local = LocalKinesis::builder().clock(clock).start().await.unwrap();
    local.stream("test", shards).await.unwrap()
}

fn worker(stream: &KinesisStream<Bytes>, store: &MemoryLeases) -> Worker<Bytes> {
    let builder = stream.worker(APP).leases(store.clone());
    builder.start(StartAt::TrimHorizon).build().unwrap()
}

type Log = Arc<Mutex<Vec<String>>>;

/// A processor that notes every call.
struct Scribe {
    log: Log,
    name: String,
    prepares: bool,
}

impl Scribe {
    fn note(&self, text: impl std::fmt::Display) {
        self.log
            .lock()
            .unwrap()
            .push(format!("{} {text}", self.name));
    }
}

impl Processor for Scribe {
    type Record = Bytes;

    async fn initialize(&mut self, start: &ShardStart, _: &Checkpointer) -> Result<(), BoxError> {
        let state = start
            .pending
            .as_ref()
            .and_then(|pending| pending.state.clone());
        self.note(format_args!("begins with {state:?}"));
        Ok(())
    }

    async fn process(
        &mut self,
        batch: Batch<Bytes>,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        for record in &batch {
            self.note(String::from_utf8_lossy(&record.data));
        }
        if self.prepares {
            let last = batch.last_position().unwrap();
            checkpointer.prepare(last, "on its way").await?;
        }
        Ok(())
    }

    async fn shard_ended(&mut self, _: &Checkpointer) -> Result<(), BoxError> {
        self.note("ends");
        Ok(())
    }

    async fn lease_lost(&mut self) {
        self.note("is lost");
    }

    async fn shutdown_requested(&mut self, _: &Checkpointer) -> Result<(), BoxError> {
        self.note("shuts down");
        Ok(())
    }
}

fn scribe(log: &Log, name: &str) -> impl Fn(&ShardId) -> Scribe + Send + 'static {
    let (log, name) = (log.clone(), name.to_owned());
    move |_| Scribe {
        log: log.clone(),
        name: name.clone(),
        prepares: false,
    }
}

fn taken(log: &Log) -> Vec<String> {
    std::mem::take(&mut *log.lock().unwrap())
}

async fn put(stream: &KinesisStream<Bytes>, texts: &[&'static str]) {
    for text in texts {
        stream.put(&Bytes::from(*text)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_goes_on_where_the_last_one_stopped() {
    let (stream, store, log) = (stream(1).await, MemoryLeases::new(), Log::default());
    for (name, texts) in [("a", ["1", "2"]), ("b", ["3", "4"])] {
        let worker = worker(&stream, &store);
        let handle = worker.handle();
        let run = tokio::spawn(worker.run(scribe(&log, name)));
        put(&stream, &texts).await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        handle.stop();
        let report = run.await.unwrap().unwrap();
        assert_eq!((report.released.len(), report.abandoned.len()), (1, 0));
    }
    let expected = [
        "a begins with None",
        "a 1",
        "a 2",
        "a shuts down",
        "b begins with None",
        "b 3",
        "b 4",
        "b shuts down",
    ];
    assert_eq!(taken(&log), expected);
    let leases = crate::LeaseStore::list(&store, APP).await.unwrap();
    assert!(leases[0].owner.is_none() && leases[0].checkpoint.has_begun());
}

#[tokio::test(start_paused = true)]
async fn the_children_of_a_split_shard_follow_it_and_its_lease_goes() {
    let (stream, store, log) = (stream(1).await, MemoryLeases::new(), Log::default());
    let run = tokio::spawn(worker(&stream, &store).run(scribe(&log, "a")));
    put(&stream, &["1"]).await;
    let shard = stream.shards().await.unwrap().remove(0);
    let middle = shard.hash_key_range.middle();
    let split = crate::service::SplitShard::new(stream.id().clone(), shard.id.clone(), middle);
    stream.service().split_shard(split).await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    // The keys are random: with so many records, both children get some.
    put(&stream, &["later"; 64]).await;
    tokio::time::sleep(Duration::from_mins(3)).await;
    let log = taken(&log);
    assert_eq!(
        log[..4],
        ["a begins with None", "a 1", "a ends", "a begins with None"]
    );
    assert_eq!(log.iter().filter(|line| line.contains("begins")).count(), 3);
    assert_eq!(store.get(APP, &shard.id), None, "all children have begun");
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_second_worker_gets_its_share_without_a_record_twice() {
    let (stream, store, log) = (stream(4).await, MemoryLeases::new(), Log::default());
    let first = tokio::spawn(worker(&stream, &store).run(scribe(&log, "a")));
    put(&stream, &["1", "2", "3", "4", "5", "6", "7", "8"]).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let second = tokio::spawn(worker(&stream, &store).run(scribe(&log, "b")));
    tokio::time::sleep(Duration::from_mins(2)).await;
    let log = taken(&log);
    let count = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!(
        (count("a begins"), count("b begins"), count("a shuts down")),
        (4, 2, 2)
    );
    for number in 1..=8 {
        assert_eq!(count(&format!(" {number}")), 1, "{log:?}");
    }
    first.abort();
    second.abort();
}

#[tokio::test(start_paused = true)]
async fn the_next_worker_gets_what_the_last_one_prepared() {
    let (stream, store, log) = (stream(1).await, MemoryLeases::new(), Log::default());
    let builder = stream.worker(APP).leases(store.clone());
    let builder = builder.start(StartAt::TrimHorizon);
    let worker = builder
        .checkpointing(Checkpointing::Manual)
        .build()
        .unwrap();
    let first = log.clone();
    let run = tokio::spawn(worker.run(move |_| Scribe {
        log: first.clone(),
        name: "a".to_owned(),
        prepares: true,
    }));
    put(&stream, &["1"]).await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    run.abort();
    let run = tokio::spawn(super::basics::worker(&stream, &store).run(scribe(&log, "b")));
    tokio::time::sleep(Duration::from_secs(30)).await;
    let expected = [
        "a begins with None",
        "a 1",
        "b begins with Some(b\"on its way\")",
        "b 1",
    ];
    assert_eq!(taken(&log), expected);
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_lost_lease_stops_its_processor_at_once_and_no_checkpoint_gets_through() {
    struct Slow(Log, Arc<Mutex<Option<Checkpointer>>>);
    impl Processor for Slow {
        type Record = Bytes;
        async fn process(
            &mut self,
            _: Batch<Bytes>,
            checkpointer: &Checkpointer,
        ) -> Result<(), BoxError> {
            *self.1.lock().unwrap() = Some(checkpointer.clone());
            tokio::time::sleep(Duration::from_hours(1)).await;
            Ok(())
        }
        async fn lease_lost(&mut self) {
            self.0.lock().unwrap().push("lost".to_owned());
        }
    }
    let (stream, store, log) = (stream(1).await, MemoryLeases::new(), Log::default());
    let kept: Arc<Mutex<Option<Checkpointer>>> = Arc::default();
    let (slow_log, slow_kept) = (log.clone(), Arc::clone(&kept));
    let worker = worker(&stream, &store);
    let run = tokio::spawn(worker.run(move |_| Slow(slow_log.clone(), slow_kept.clone())));
    let receipt = stream.put(&Bytes::from("1")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let lease = store.get(APP, &receipt.shard_id).unwrap();
    let take = crate::LeaseWrite::take(lease, "thief".into());
    crate::LeaseStore::write(&store, APP, take).await.unwrap();
    tokio::time::sleep(Duration::from_secs(8)).await;
    assert_eq!(taken(&log), ["lost"]);
    let checkpointer: Checkpointer = kept.lock().unwrap().take().unwrap();
    assert!(!checkpointer.is_held());
    let error = checkpointer
        .checkpoint(&receipt.position())
        .await
        .unwrap_err();
    assert!(
        matches!(error, crate::CheckpointerError::LeaseLost { .. }),
        "{error}"
    );
    let stored = store.get(APP, &receipt.shard_id).unwrap();
    assert_eq!(stored.checkpoint, LeaseCheckpoint::TrimHorizon);
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_start_at_the_latest_passes_over_nothing_that_comes_after_the_leases_are_made() {
    let (stream, store, log) = (stream(1).await, MemoryLeases::new(), Log::default());
    put(&stream, &["before"]).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let builder = || stream.worker(APP).leases(store.clone()).build().unwrap();
    // This worker is killed before it has read anything.
    let run = tokio::spawn(builder().run(scribe(&log, "a")));
    tokio::time::sleep(Duration::from_millis(100)).await;
    run.abort();
    put(&stream, &["1"]).await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    let run = tokio::spawn(builder().run(scribe(&log, "b")));
    tokio::time::sleep(Duration::from_secs(40)).await;
    let log = taken(&log);
    assert_eq!(log.last().map(String::as_str), Some("b 1"), "{log:?}");
    assert!(!log.iter().any(|line| line.contains("before")));
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn a_closure_is_a_processor() {
    let (stream, store) = (stream(2).await, MemoryLeases::new());
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
    let worker = worker(&stream, &store);
    let run = tokio::spawn(worker.run_batches(move |batch: Batch<Bytes>| {
        let send = send.clone();
        async move {
            batch
                .into_iter()
                .try_for_each(|record| send.send(record.data))?;
            Ok::<(), BoxError>(())
        }
    }));
    put(&stream, &["1", "2", "3"]).await;
    let mut texts = Vec::new();
    for _ in 0..3 {
        texts.push(receive.recv().await.unwrap());
    }
    texts.sort();
    assert_eq!(texts, ["1", "2", "3"]);
    run.abort();
}

#[tokio::test(start_paused = true)]
async fn settings_that_cannot_work_are_refused() {
    let stream = stream(1).await;
    let builder = || stream.worker(APP).leases(MemoryLeases::new());
    let error = |builder: crate::WorkerBuilder<Bytes>| builder.build().unwrap_err();
    assert_eq!(error(stream.worker(APP)), InvalidWorkerOption::NoLeaseStore);
    let start = StartAt::AtSequenceNumber("s".into(), 1.into());
    assert_eq!(
        error(builder().start(start)),
        InvalidWorkerOption::StartAtSequenceNumber
    );
    assert_eq!(
        error(builder().batch_records_max(0)),
        InvalidWorkerOption::EmptyBatch
    );
    let time = Duration::from_millis(999);
    let expected = InvalidWorkerOption::FailoverTooShort { time };
    assert_eq!(error(builder().failover(time)), expected);
}

#[tokio::test]
async fn a_begin_that_was_set_is_kept_and_another_is_taken_only_without_it() {
    let stream = stream_of::<Bytes>(1).await;
    let initial = |start: Option<StartAt>, unless_set: Option<StartAt>| {
        let mut builder = stream.worker(APP).leases(MemoryLeases::new());
        if let Some(start) = start {
            builder = builder.start(start);
        }
        if let Some(start) = unless_set {
            builder = builder.start_unless_set(start);
        }
        builder.build().unwrap().settings.initial
    };
    let oldest = || Some(StartAt::TrimHorizon);
    assert_eq!(initial(None, None), Initial::Latest);
    assert_eq!(initial(None, oldest()), Initial::TrimHorizon);
    assert_eq!(initial(Some(StartAt::Latest), oldest()), Initial::Latest);
}
