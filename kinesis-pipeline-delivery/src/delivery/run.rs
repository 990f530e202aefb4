use std::{collections::HashMap, sync::Arc};

use futures_util::{FutureExt as _, Stream, StreamExt as _, future::try_join_all};
use kinesis_pipeline::{
    Checkpointing, Clock, EncodedRecord, ErrorPolicy, GetError, Record, ShardId, StartAt, Worker,
    WorkerBuilder, WorkerHandle, WorkerHealth,
};

use super::Delivery;
use crate::{
    DeliveryError, DeliveryReport, InvalidDelivery, StoreTrouble,
    counts::Counts,
    settings::Settings,
    shard::{Ended, Ledger, ShardProcessor, ShardTask, Shared},
    store::{Destination, Target, Troubles, probe},
};

/// The most records of a reader that are handed to a shard's task together.
const GATHERED_RECORDS_MAX: usize = 1_000;

impl Delivery {
    /// Makes a worker of a fleet that delivers: each record in one object, also after crashes.
    ///
    /// An application that has not read the stream before begins with the oldest record of the stream, so that nothing
    /// is missing in storage; [`WorkerBuilder::start`] sets another beginning. The worker's settings of checkpoints and
    /// errors are replaced. Every worker of the application must deliver with the same settings; they may be changed
    /// between two runs.
    ///
    /// ```
    /// # use kinesis_pipeline::{KinesisStream, LocalKinesis, MemoryLeases};
    /// # use kinesis_pipeline_delivery::Delivery;
    /// # use object_store::memory::InMemory;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let stream: KinesisStream<String> = LocalKinesis::start().await?.stream("readings", 1).await?;
    /// // The application's name, and the store of its leases.
    /// let fleet = stream.with_record_type().worker("to-s3").leases(MemoryLeases::new());
    /// let worker = Delivery::to(InMemory::new()).worker(fleet)?;
    /// let handle = worker.handle(); // to stop it
    /// # handle.stop();
    /// let report = worker.run().await?;
    /// # assert_eq!(report.records, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`InvalidDelivery`]. No call is made.
    pub fn worker(
        self,
        fleet: WorkerBuilder<EncodedRecord>,
    ) -> Result<DeliveryWorker, InvalidDelivery> {
        let destination = self.destination.clone();
        let settings = self.check()?;
        let worker = fleet
            .start_unless_set(StartAt::TrimHorizon)
            .checkpointing(Checkpointing::Manual)
            .on_error(ErrorPolicy::retry().attempts_max(1).then_stop())
            .build()?;
        let streams = worker.streams().len();
        if streams > 1 {
            return Err(InvalidDelivery::SeveralStreams { streams });
        }
        Ok(DeliveryWorker {
            destination,
            settings,
            worker,
            counts: Arc::default(),
            troubles: Arc::default(),
        })
    }

    /// Delivers the records of a reader until it ends, then writes the open objects. Any stream of records will do.
    ///
    /// The records of each shard must come in their order.
    ///
    /// A reader has no leases: a second run from the same place delivers everything again, to the same keys if the
    /// settings are the same too. For a delivery that continues where it stopped, use [`worker`](Self::worker).
    ///
    /// # Errors
    /// [`DeliveryError`]. Dropping the future leaves no partial objects, but some are not written.
    pub async fn run<S>(self, mut records: S) -> Result<DeliveryReport, DeliveryError>
    where
        S: Stream<Item = Result<Record<EncodedRecord>, GetError>> + Unpin,
    {
        let destination = self.destination.clone();
        let (counts, troubles) = (Arc::default(), Arc::default());
        let shared = shared(destination, self.check()?, counts, troubles).await?;
        let mut tasks: HashMap<ShardId, ShardTask> = HashMap::new();
        let mut ready: Vec<Record<EncodedRecord>> = Vec::new();
        loop {
            let next = if let Some(next) = records.next().now_or_never() {
                next
            } else {
                hand_over(&mut ready, &mut tasks, &shared).await?;
                records.next().await
            };
            let Some(record) = next else { break };
            ready.push(record.map_err(DeliveryError::Read)?);
            if ready.len() >= GATHERED_RECORDS_MAX {
                hand_over(&mut ready, &mut tasks, &shared).await?;
            }
        }
        hand_over(&mut ready, &mut tasks, &shared).await?;
        let ends = tasks.values().map(ShardTask::end);
        try_join_all(ends)
            .await
            .map_err(|ended| reason(&shared, ended))?;
        Ok(shared.counts.report())
    }
}

/// Hands gathered records to the tasks of their shards.
async fn hand_over(
    ready: &mut Vec<Record<EncodedRecord>>,
    tasks: &mut HashMap<ShardId, ShardTask>,
    shared: &Arc<Shared>,
) -> Result<(), DeliveryError> {
    let mut by_shard: HashMap<ShardId, Vec<Record<EncodedRecord>>> = HashMap::new();
    for record in ready.drain(..) {
        let shard_id = record.position().shard_id.clone();
        by_shard.entry(shard_id).or_default().push(record);
    }
    for (shard_id, records) in by_shard {
        if !tasks.contains_key(&shard_id) {
            let task = ShardTask::start(&shard_id, shared, Ledger::None, None)?;
            tasks.insert(shard_id.clone(), task);
        }
        let behind_latest = records.last().and_then(|record| record.behind_latest);
        let handed = tasks[&shard_id].records(records, behind_latest).await;
        handed.map_err(|ended| reason(shared, ended))?;
    }
    Ok(())
}

/// Returns the reason why a shard's task takes no orders.
fn reason(shared: &Shared, ended: Ended) -> DeliveryError {
    let failure = shared.take_failure();
    failure.unwrap_or(DeliveryError::Panicked { shard: ended.0 })
}

async fn shared(
    destination: Destination,
    settings: Settings,
    counts: Arc<Counts>,
    troubles: Arc<Troubles>,
) -> Result<Arc<Shared>, DeliveryError> {
    let prefix = settings.prefix.leading_text().to_owned();
    let guard = probe(&*destination.store, &prefix).await?;
    counts.guarded(guard);
    let target = Target {
        destination,
        guard,
        clock: settings.clock.clone(),
        limits: settings.retry,
        troubles,
    };
    Ok(Shared::new(settings, target, counts))
}

/// A worker of a fleet that delivers: made by [`Delivery::worker`].
#[must_use = "a worker does nothing until it runs"]
pub struct DeliveryWorker {
    destination: Destination,
    settings: Settings,
    worker: Worker<EncodedRecord>,
    counts: Arc<Counts>,
    troubles: Arc<Troubles>,
}

/// A handle to stop a delivery and to read its state: see [`DeliveryWorker::handle`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DeliveryHandle {
    worker: WorkerHandle,
    counts: Arc<Counts>,
    troubles: Arc<Troubles>,
    clock: Clock,
}

/// The state of a delivery: see [`DeliveryHandle::health`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeliveryHealth {
    /// The state of the worker and its shards.
    pub worker: WorkerHealth,
    /// The failure of the store, while it fails.
    pub store: Option<StoreTrouble>,
}

impl DeliveryHealth {
    /// Whether the worker is [healthy](WorkerHealth::is_healthy) and the store takes what it is sent.
    ///
    /// A restart does not repair a store: use `worker` alone for a liveness probe, and both for an alarm.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.worker.is_healthy() && self.store.is_none()
    }
}

impl DeliveryHandle {
    /// Takes no more records, gives the leases back, and ends [`DeliveryWorker::run`]. A write that is being retried is
    /// abandoned after [`WorkerBuilder::stop_max`]; the next start makes it.
    pub fn stop(&self) {
        self.worker.stop();
    }

    /// Returns the state of the delivery now. No call is made.
    ///
    /// ```
    /// # use kinesis_pipeline::{KinesisStream, LocalKinesis, MemoryLeases};
    /// # use kinesis_pipeline_delivery::Delivery;
    /// # use object_store::memory::InMemory;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let stream: KinesisStream<String> = LocalKinesis::start().await?.stream("readings", 1).await?;
    /// # let fleet = stream.with_record_type().worker("to-s3").leases(MemoryLeases::new());
    /// let worker = Delivery::to(InMemory::new()).worker(fleet)?;
    /// let health = worker.handle().health();
    /// if let Some(trouble) = &health.store {
    ///     eprintln!("`{}` is not written for {:?}: {}", trouble.key, trouble.failing_for, trouble.fault);
    /// }
    /// assert!(health.is_healthy());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn health(&self) -> DeliveryHealth {
        DeliveryHealth {
            worker: self.worker.health(),
            store: self.troubles.now(self.clock.instant()),
        }
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn report(&self) -> DeliveryReport {
        self.counts.report()
    }
}

impl DeliveryWorker {
    /// Returns a handle to stop the delivery and to read its state.
    #[must_use]
    pub fn handle(&self) -> DeliveryHandle {
        DeliveryHandle {
            worker: self.worker.handle(),
            counts: self.counts.clone(),
            troubles: self.troubles.clone(),
            clock: self.settings.clock.clone(),
        }
    }

    /// Delivers until it is stopped or the stream is at its end.
    ///
    /// # Errors
    /// [`DeliveryError`]: another run continues where this one ended.
    ///
    /// # Cancel safety
    /// Dropping the future has the effect of a crash: nothing is lost or doubled, and the leases are free after the
    /// fail-over time.
    pub async fn run(self) -> Result<DeliveryReport, DeliveryError> {
        let shared = shared(self.destination, self.settings, self.counts, self.troubles).await?;
        let handle = self.worker.handle();
        let make = |_: &ShardId| ShardProcessor::new(shared.clone());
        let mut running = std::pin::pin!(self.worker.run(make));
        let ended = tokio::select! {
            ended = &mut running => ended,
            () = shared.failed() => {
                handle.stop();
                running.await
            }
        };
        match (shared.take_failure(), ended) {
            (Some(failure), _) => Err(failure),
            (None, Err(error)) => Err(error.into()),
            (None, Ok(_)) => Ok(shared.counts.report()),
        }
    }

    /// Delivers as [`run`](Self::run) until `stop` completes, then stops as [`DeliveryHandle::stop`] does.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_until(
        self,
        stop: impl Future<Output = ()>,
    ) -> Result<DeliveryReport, DeliveryError> {
        let handle = self.worker.handle();
        handle.run_until(self.run(), stop).await
    }

    /// Delivers as [`run`](Self::run) until the program is told to stop by SIGTERM or Ctrl-C, as
    /// [`Worker::run_until_stopped`] does: the leases are given back, and objects that are open are written if
    /// [`Delivery::flush_on_stop`] is set.
    ///
    /// ```no_run
    /// # async fn journey(worker: kinesis_pipeline_delivery::DeliveryWorker) -> Result<(), kinesis_pipeline_delivery::DeliveryError> {
    /// let report = worker.run_until_stopped().await?;
    /// println!("{} of {} records delivered", report.kept, report.records);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`WorkerError::Signal`](kinesis_pipeline::WorkerError::Signal) before any work.
    #[cfg(feature = "signal")]
    pub async fn run_until_stopped(self) -> Result<DeliveryReport, DeliveryError> {
        let handle = self.worker.handle();
        handle.run_until_stopped(self.run()).await
    }
}

impl std::fmt::Debug for DeliveryWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeliveryWorker")
            .field("destination", &self.destination)
            .field("name", &self.settings.name)
            .finish_non_exhaustive()
    }
}
