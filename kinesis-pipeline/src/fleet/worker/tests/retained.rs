//! Leases whose checkpoints are older than what the stream retains, in every store.

use std::{error::Error as _, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
};

use super::{
    basics::{APP, stream_of},
    lease_stores::{AnyLeases, stores},
};
use crate::{
    Batch, BoxError, Checkpointing, GetError, KinesisStream, LeaseStore, LeaseWrite, LeaseWritten,
    MemoryLeases, OnTrimmed, StartAt, WorkerBuilder, WorkerError, WorkerHandle, WorkerReport,
    service::SplitShard,
};

/// A little less than what the stream of these tests retains.
const WITHIN_RETENTION: Duration = Duration::from_hours(23);
const PAST_RETENTION: Duration = Duration::from_hours(25);
/// A virtual day of renewals and polls takes its time.
const FAILOVER: Duration = Duration::from_mins(10);
const POLL_INTERVAL: Duration = Duration::from_mins(1);

type Ended = Result<WorkerReport, WorkerError>;

struct Running {
    handle: WorkerHandle,
    run: JoinHandle<Ended>,
    texts: UnboundedReceiver<String>,
}

impl Running {
    fn start(
        builder: WorkerBuilder<Bytes>,
        acks: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        let worker = builder.build().unwrap();
        let (handle, (send, texts)) = (worker.handle(), unbounded_channel());
        let acks = Arc::new(acks);
        let process = move |batch: Batch<Bytes>| {
            let (send, acks): (UnboundedSender<String>, _) = (send.clone(), Arc::clone(&acks));
            async move {
                for record in batch {
                    let text = String::from_utf8_lossy(&record.data).into_owned();
                    if acks(&text) {
                        record.ack();
                    }
                    send.send(text)?;
                }
                Ok::<(), BoxError>(())
            }
        };
        Self {
            handle,
            run: tokio::spawn(worker.run_batches(process)),
            texts,
        }
    }

    async fn take(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for _ in 0..count {
            let text = tokio::time::timeout(Duration::from_hours(1), self.texts.recv());
            texts.push(text.await.expect("a record in time").expect("a worker"));
        }
        texts
    }

    async fn stop(self) {
        self.handle.stop();
        self.run.await.unwrap().unwrap();
    }

    /// Returns the error that the worker ends with by itself.
    async fn failed(self) -> WorkerError {
        let ended = tokio::time::timeout(Duration::from_hours(1), self.run);
        ended.await.expect("an end in time").unwrap().unwrap_err()
    }
}

fn builder(stream: &KinesisStream<Bytes>, store: &AnyLeases) -> WorkerBuilder<Bytes> {
    let builder = stream.worker(APP).leases(store.clone());
    let builder = builder.start(StartAt::TrimHorizon).failover(FAILOVER);
    let builder = builder.poll_interval(POLL_INTERVAL);
    builder.on_trimmed(OnTrimmed::Fail)
}

fn start(stream: &KinesisStream<Bytes>, store: &AnyLeases) -> Running {
    Running::start(builder(stream, store), |_| true)
}

async fn put(stream: &KinesisStream<Bytes>, text: &'static str) {
    stream.put(&Bytes::from(text)).await.unwrap();
}

/// Works off one record at once and goes away.
async fn work_off_one(stream: &KinesisStream<Bytes>, store: &AnyLeases) {
    put(stream, "1").await;
    let mut worker = start(stream, store);
    assert_eq!(worker.take(1).await, ["1"]);
    worker.stop().await;
}

fn is_trimmed(error: &WorkerError) -> bool {
    matches!(
        error,
        WorkerError::Read {
            source: GetError::Trimmed { .. },
            ..
        }
    )
}

#[tokio::test(start_paused = true)]
async fn records_that_expired_while_no_worker_was_there_are_a_gap_for_the_policy() {
    for store in stores() {
        let stream = stream_of::<Bytes>(1).await;
        work_off_one(&stream, &store).await;
        put(&stream, "2").await;
        tokio::time::advance(PAST_RETENTION).await;
        put(&stream, "3").await;
        let error = start(&stream, &store).failed().await;
        assert!(is_trimmed(&error), "{error:?}");
        let told = error.source().unwrap().to_string();
        assert!(told.contains("shardId-000000000000"), "{told}");

        let from_horizon = builder(&stream, &store).on_trimmed(OnTrimmed::FromHorizon);
        let mut worker = Running::start(from_horizon, |_| true);
        assert_eq!(worker.take(1).await, ["3"]);
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn latest_passes_over_what_is_left_behind_a_gap() {
    for store in stores() {
        let stream = stream_of::<Bytes>(1).await;
        work_off_one(&stream, &store).await;
        tokio::time::advance(PAST_RETENTION).await;
        put(&stream, "2").await;
        tokio::time::advance(Duration::from_hours(1)).await;
        let latest = builder(&stream, &store).on_trimmed(OnTrimmed::Latest);
        let mut worker = Running::start(latest, |_| true);
        tokio::time::sleep(FAILOVER * 2).await;
        put(&stream, "3").await;
        assert_eq!(worker.take(1).await, ["3"]);
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_younger_checkpoint_stands_though_its_record_is_old() {
    for store in stores() {
        let stream = stream_of::<Bytes>(1).await;
        work_off_one(&stream, &store).await;
        put(&stream, "2").await;
        tokio::time::advance(WITHIN_RETENTION).await;
        let mut worker = start(&stream, &store);
        assert_eq!(worker.take(1).await, ["2"]);
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_shard_is_no_gap_after_a_day_whether_the_worker_stops_or_dies() {
    for store in stores() {
        for (is_ever_read, dies) in [(true, false), (true, true), (false, false)] {
            let stream = stream_of::<Bytes>(1).await;
            let app = format!("app-{is_ever_read}-{dies}");
            let builder = || {
                let builder = stream.worker(app.clone()).leases(store.clone());
                let builder = builder.failover(FAILOVER).poll_interval(POLL_INTERVAL);
                builder.on_trimmed(OnTrimmed::Fail)
            };
            let mut worker = Running::start(builder(), |_| true);
            tokio::time::sleep(Duration::from_mins(5)).await;
            if is_ever_read {
                put(&stream, "1").await;
                assert_eq!(worker.take(1).await, ["1"]);
            }
            tokio::time::sleep(PAST_RETENTION).await;
            if dies {
                worker.run.abort();
            } else {
                worker.stop().await;
            }
            put(&stream, "2").await;
            tokio::time::sleep(WITHIN_RETENTION).await;
            let mut worker = Running::start(builder(), |_| true);
            assert_eq!(worker.take(1).await, ["2"]);
            worker.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_held_over_unfinished_records_is_current_up_to_these_only() {
    for lanes in [1, 3] {
        let (stream, store) = (stream_of::<Bytes>(1).await, memory());
        let builder = builder(&stream, &store).concurrency(lanes);
        let builder = builder.checkpointing(Checkpointing::Ack);
        let mut worker = Running::start(builder, |text| text != "2");
        put(&stream, "1").await;
        tokio::time::sleep(FAILOVER).await;
        put(&stream, "2").await;
        assert_eq!(worker.take(2).await, ["1", "2"]);
        tokio::time::sleep(PAST_RETENTION).await;
        worker.run.abort();
        put(&stream, "3").await;
        let error = start(&stream, &store).failed().await;
        assert!(is_trimmed(&error), "{error:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_died_before_its_first_record_leaves_a_gap() {
    let (stream, store) = (stream_of::<Bytes>(1).await, memory());
    let builder = || builder(&stream, &store).start(StartAt::Latest);
    let worker = Running::start(builder(), |_| true);
    tokio::time::sleep(Duration::from_millis(100)).await;
    worker.run.abort();
    put(&stream, "1").await;
    tokio::time::sleep(PAST_RETENTION).await;
    put(&stream, "2").await;
    let error = Running::start(builder(), |_| true).failed().await;
    assert!(is_trimmed(&error), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_without_a_time_is_not_judged() {
    for store in stores() {
        let stream = stream_of::<Bytes>(1).await;
        work_off_one(&stream, &store).await;
        put(&stream, "2").await;
        let lease = store.list(APP).await.unwrap().remove(0);
        assert!(lease.current_at.is_some());
        let to = lease.checkpoint.clone();
        let write = LeaseWrite::checkpoint(lease, to);
        let written = store.write(APP, write).await.unwrap();
        assert!(matches!(written, LeaseWritten::Done(lease) if lease.current_at.is_none()));
        tokio::time::advance(PAST_RETENTION).await;
        put(&stream, "3").await;
        let mut worker = start(&stream, &store);
        assert_eq!(worker.take(1).await, ["3"]);
        worker.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn children_that_expired_after_their_parent_was_finished_are_a_gap() {
    for store in stores() {
        let stream = stream_of::<Bytes>(1).await;
        put(&stream, "parent").await;
        let shard = stream.shards().await.unwrap().remove(0);
        let middle = shard.hash_key_range.middle();
        let split = SplitShard::new(stream.id().clone(), shard.id.clone(), middle);
        stream.service().split_shard(split).await.unwrap();
        tokio::time::sleep(Duration::from_mins(1)).await;
        let mut worker = start(&stream, &store);
        assert_eq!(worker.take(1).await, ["parent"]);
        while store.list(APP).await.unwrap().len() < 3 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        worker.run.abort();
        put(&stream, "lost").await;
        tokio::time::advance(PAST_RETENTION).await;
        let error = start(&stream, &store).failed().await;
        assert!(is_trimmed(&error), "{error:?}");
    }
}

fn memory() -> AnyLeases {
    Arc::new(MemoryLeases::new())
}
