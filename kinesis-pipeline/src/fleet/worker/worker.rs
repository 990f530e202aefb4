use std::{collections::HashMap, fmt, future::Future, marker::PhantomData, sync::Arc};

use tokio::{sync::watch, task::JoinSet};

use super::{
    Batch, BoxError, Processor, WorkerError, WorkerHandle,
    coordinator::{FleetStream, Following, LeaseCoordinator},
    observe::{Observer, RunGuard, WorkerPhase},
    processor::EachBatch,
    settings::Settings,
};
use crate::{
    KinesisRecord,
    fleet::lease::{LeaseStore, MultiStreamLeases, WorkerId, sightings::Sightings},
    service::StreamId,
    shard::ShardId,
    target::Target,
};

/// One of the workers that share the shards of a stream, or of several: made by
/// [`KinesisStream::worker`](crate::KinesisStream::worker).
///
/// Start it on any number of machines with the same application name and lease store. The workers divide the shards
/// evenly, take over the shards of one that dies within about two fail-over times, and follow splits and merges. Each
/// record is processed at least once: see [duplicates](crate::guide::duplicates).
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use bytes::Bytes;
/// use kinesis_pipeline::{
///     Batch, BoxError, Checkpointer, KinesisStream, LocalKinesis, MemoryLeases, Processor, StartAt, WorkerHandle,
/// };
///
/// struct Printer(WorkerHandle);
///
/// impl Processor for Printer {
///     type Record = Bytes;
///
///     async fn process(&mut self, batch: Batch<Bytes>, _: &Checkpointer) -> Result<(), BoxError> {
///         for record in &batch {
///             println!("{} {:?}", record.position(), record.data);
///         }
///         self.0.stop(); // saves how far the shard was read, and gives the lease back
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 1).await?;
/// stream.put(&"a".into()).await?;
///
/// // Workers on several machines share a `DynamoDbLeases`, processes of one machine a `FileLeases`.
/// let worker = stream.worker("my-app").leases(MemoryLeases::new()).start(StartAt::TrimHorizon).build()?;
/// let handle = worker.handle();
/// let report = worker.run(|_| Printer(handle.clone())).await?;
/// assert_eq!(report.released.len(), 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "a worker does nothing until it runs"]
pub struct Worker<R> {
    /// One stream, or several that differ.
    pub(super) targets: Vec<Target>,
    pub(super) store: Arc<dyn LeaseStore>,
    pub(super) settings: Settings,
    pub(super) stop: watch::Sender<bool>,
    pub(super) observer: Observer,
    /// Notes the end, also of a worker that is dropped.
    pub(super) run_guard: RunGuard,
    pub(super) record: PhantomData<fn() -> R>,
}

/// Account of a worker's stop. Shards of a worker of several streams are told by their lease keys, see
/// [`StreamIdentifier`](crate::StreamIdentifier).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerReport {
    /// Shards whose progress was saved and whose leases were given back.
    pub released: Vec<ShardId>,
    /// Shards whose leases other workers had taken.
    pub lost: Vec<ShardId>,
    /// Shards whose processors did not finish in time. Other workers take their leases when they have expired.
    pub abandoned: Vec<ShardId>,
}

impl<R: KinesisRecord + Send> Worker<R> {
    /// Returns a handle that stops and observes the worker.
    #[must_use]
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle {
            stop: self.stop.clone(),
            observer: self.observer.clone(),
        }
    }

    /// Whether records are finished when the processor returns `Ok` for their batch.
    #[cfg(feature = "local")]
    pub(in crate::fleet) fn finishes_by_itself(&self) -> bool {
        self.settings.checkpointing == super::Checkpointing::Automatic
    }

    /// Whether several processors work on one shard.
    #[cfg(feature = "local")]
    pub(in crate::fleet) fn has_lanes(&self) -> bool {
        self.concurrency() > 1
    }

    /// Returns the number of processors at work on one shard: see
    /// [`concurrency`](super::WorkerBuilder::concurrency).
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.settings.lanes
    }

    /// Returns the worker's id.
    #[must_use]
    pub fn id(&self) -> &WorkerId {
        &self.settings.me
    }

    /// Returns the application's name.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.settings.app
    }

    /// The stream, as its handle was made; the first one of a worker of several.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.targets[0].stream
    }

    /// The streams, as their handles were made, in the order in which they were given.
    #[must_use]
    pub fn streams(&self) -> Vec<&StreamId> {
        streams_of(&self.targets)
    }

    /// Works until the worker is [stopped](WorkerHandle::stop). `make` makes the processor of a shard when its lease
    /// is taken.
    ///
    /// Dropping the future has the effect of a crash: nothing more is saved, and other workers take over when the leases have
    /// expired.
    ///
    /// # Errors
    /// [`WorkerError`]: the store or the stream cannot be used, or a processor failed for good.
    pub async fn run<P, F>(self, make: F) -> Result<WorkerReport, WorkerError>
    where
        P: Processor<Record = R> + 'static,
        F: Fn(&ShardId) -> P,
    {
        let (observer, _guard) = (self.observer.clone(), self.run_guard);
        observer.on_phase(WorkerPhase::Starting);
        let store = if self.settings.is_multi_stream {
            Arc::new(MultiStreamLeases(self.store))
        } else {
            self.store
        };
        let coordinator = LeaseCoordinator {
            clock: self.targets[0].clock.clone(),
            streams: self
                .targets
                .into_iter()
                .map(|target| FleetStream::new(target, &observer))
                .collect(),
            store,
            settings: Arc::new(self.settings),
            make,
            stop: self.stop.subscribe(),
            observer: observer.clone(),
            leave: watch::Sender::new(false),
            sightings: Sightings::default(),
            following: Following::default(),
            random: fastrand::Rng::new(),
            running: HashMap::new(),
            tasks: JoinSet::new(),
        };
        let ended = coordinator.run().await;
        observer.on_stopped(ended.as_ref().err().map(ToString::to_string));
        ended
    }

    /// Works as [`run`](Self::run) until `stop` is over, then stops as [`WorkerHandle::stop`] does, within
    /// [`WorkerBuilder::stop_max`](super::WorkerBuilder::stop_max).
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_until<P, F>(
        self,
        make: F,
        stop: impl Future<Output = ()>,
    ) -> Result<WorkerReport, WorkerError>
    where
        P: Processor<Record = R> + 'static,
        F: Fn(&ShardId) -> P,
    {
        self.handle().run_until(self.run(make), stop).await
    }

    /// Works as [`run`](Self::run) until the program is told to stop by SIGTERM or Ctrl-C.
    ///
    /// Then every processor finishes its batch, checkpoints are saved, and the leases are given back, all within
    /// [`WorkerBuilder::stop_max`](super::WorkerBuilder::stop_max): set it below the time after which your platform kills (30 s
    /// in Kubernetes and ECS, 10 s in Docker). The other workers of the fleet continue the shards within one fail-over time.
    /// The report has the shards that were not finished in time.
    ///
    /// ```no_run
    /// # use kinesis_pipeline::{Processor, Worker};
    /// # use bytes::Bytes;
    /// # async fn journey<P: Processor<Record = Bytes> + 'static>(
    /// #     worker: Worker<Bytes>,
    /// #     make: impl Fn(&kinesis_pipeline::ShardId) -> P,
    /// # ) -> Result<(), kinesis_pipeline::WorkerError> {
    /// let report = worker.run_until_stopped(make).await?;
    /// eprintln!("{} shards given back, {} not in time", report.released.len(), report.abandoned.len());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`WorkerError::Signal`] before any work.
    #[cfg(feature = "signal")]
    pub async fn run_until_stopped<P, F>(self, make: F) -> Result<WorkerReport, WorkerError>
    where
        P: Processor<Record = R> + 'static,
        F: Fn(&ShardId) -> P,
    {
        self.handle().run_until_stopped(self.run(make)).await
    }

    /// Works as [`run`](Self::run) with a closure that takes batches, called for one batch of a shard at a time.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_batches<F, W>(self, process: F) -> Result<WorkerReport, WorkerError>
    where
        R: 'static,
        F: FnMut(Batch<R>) -> W + Clone + Send + 'static,
        W: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        self.run(move |_| EachBatch::new(process.clone())).await
    }

    /// Works as [`run_batches`](Self::run_batches) until `stop` is over, then stops as [`run_until`](Self::run_until)
    /// does.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_batches_until<F, W>(
        self,
        process: F,
        stop: impl Future<Output = ()>,
    ) -> Result<WorkerReport, WorkerError>
    where
        R: 'static,
        F: FnMut(Batch<R>) -> W + Clone + Send + 'static,
        W: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let handle = self.handle();
        handle.run_until(self.run_batches(process), stop).await
    }

    /// Works as [`run_batches`](Self::run_batches) until the program is told to stop by SIGTERM or Ctrl-C, then stops as
    /// [`run_until_stopped`](Self::run_until_stopped) does.
    ///
    /// ```no_run
    /// # use kinesis_pipeline::{Batch, BoxError, Worker};
    /// # use bytes::Bytes;
    /// # async fn journey(worker: Worker<Bytes>) -> Result<(), kinesis_pipeline::WorkerError> {
    /// let count = async |batch: Batch<Bytes>| {
    ///     println!("{} records", batch.records.len());
    ///     Ok::<(), BoxError>(())
    /// };
    /// let report = worker.run_batches_until_stopped(count).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`run_until_stopped`](Self::run_until_stopped).
    #[cfg(feature = "signal")]
    pub async fn run_batches_until_stopped<F, W>(
        self,
        process: F,
    ) -> Result<WorkerReport, WorkerError>
    where
        R: 'static,
        F: FnMut(Batch<R>) -> W + Clone + Send + 'static,
        W: Future<Output = Result<(), BoxError>> + Send + 'static,
    {
        let handle = self.handle();
        handle.run_until_stopped(self.run_batches(process)).await
    }
}

/// The streams' ids alone.
pub(super) fn streams_of(targets: &[Target]) -> Vec<&StreamId> {
    targets.iter().map(|target| &target.stream).collect()
}

impl<R> fmt::Debug for Worker<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("streams", &streams_of(&self.targets))
            .field("store", &self.store)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
