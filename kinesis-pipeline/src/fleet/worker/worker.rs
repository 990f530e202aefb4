use std::{collections::HashMap, fmt, future::Future, marker::PhantomData, pin::pin, sync::Arc};

use tokio::{sync::watch, task::JoinSet};

use super::{
    Batch, BoxError, Processor, WorkerError,
    coordinator::{Following, LeaseCoordinator},
    observe::{Observer, RunGuard, WorkerEvents, WorkerHealth, WorkerPhase},
    processor::EachBatch,
    settings::Settings,
};
use crate::{
    KinesisRecord,
    fleet::lease::{LeaseStore, WorkerId, sightings::Sightings, sync::HoleWatch},
    get::consumer_ready,
    service::StreamId,
    shard::ShardId,
    target::Target,
};

/// One of the workers that share a stream's shards: made by
/// [`KinesisStream::worker`](crate::KinesisStream::worker).
///
/// Start it on any number of machines with the same application name and lease store. The shards are shared out; a
/// worker that dies is replaced within about two fail-over times; a split or merge is followed.
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
    pub(super) target: Target,
    pub(super) store: Arc<dyn LeaseStore>,
    pub(super) settings: Settings,
    pub(super) stop: watch::Sender<bool>,
    pub(super) observer: Observer,
    /// Notes the end, also of a worker that is dropped.
    pub(super) run_guard: RunGuard,
    pub(super) record: PhantomData<fn() -> R>,
}

/// A handle of a worker for other tasks: stops it and shows how it is. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WorkerHandle {
    stop: watch::Sender<bool>,
    observer: Observer,
}

impl WorkerHandle {
    /// Lets every processor finish its batch, saves how far it came, gives the leases back, and ends
    /// [`Worker::run`].
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns the events of the worker from now on: leases that change hands, failures, the end.
    ///
    /// The worker never waits for a receiver; one that is slow is [told] how many events it missed.
    ///
    #[cfg_attr(feature = "local", doc = "```")]
    #[cfg_attr(not(feature = "local"), doc = "```ignore")]
    /// # use bytes::Bytes;
    /// # use kinesis_pipeline::{Batch, BoxError, KinesisStream, LocalKinesis, MemoryLeases, WorkerEvent};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 1).await?;
    /// let worker = stream.worker("my-app").leases(MemoryLeases::new()).build()?;
    /// let handle = worker.handle();
    /// let mut events = handle.events();
    /// let run = tokio::spawn(worker.run_batches(|_: Batch<Bytes>| std::future::ready(Ok::<(), BoxError>(()))));
    /// while let Some(event) = events.next().await {
    ///     println!("{event:?}");
    ///     if matches!(event, WorkerEvent::Acquired { .. }) {
    ///         handle.stop();
    ///     }
    /// }
    /// assert_eq!(run.await??.released.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [told]: super::WorkerEvent::Missed
    pub fn events(&self) -> WorkerEvents {
        self.observer.events()
    }

    /// Returns the state of the worker and of each of its shards now. No call is made.
    ///
    #[cfg_attr(feature = "local", doc = "```")]
    #[cfg_attr(not(feature = "local"), doc = "```ignore")]
    /// # use bytes::Bytes;
    /// # use kinesis_pipeline::{KinesisStream, LocalKinesis, MemoryLeases};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 1).await?;
    /// let worker = stream.worker("my-app").leases(MemoryLeases::new()).build()?;
    /// let health = worker.handle().health();
    /// assert!(health.is_healthy() && !health.is_ready()); // it does not run yet
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn health(&self) -> WorkerHealth {
        self.observer.health()
    }

    /// An HTTP face of the worker to be set up: `/health`, `/ready` and `/scale`.
    #[cfg(feature = "health-server")]
    pub fn health_server(&self) -> super::HealthServerBuilder {
        super::HealthServerBuilder::new(self.clone())
    }
}

/// Account of a worker's stop.
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
    /// A handle that stops the worker and shows how it is.
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

    /// The number of processors at work on one shard: see
    /// [`concurrency`](super::WorkerBuilder::concurrency).
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.settings.lanes
    }

    /// The worker's id.
    #[must_use]
    pub fn id(&self) -> &WorkerId {
        &self.settings.me
    }

    /// The application's name.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.settings.app
    }

    /// The stream.
    #[must_use]
    pub fn stream(&self) -> &StreamId {
        &self.target.stream
    }

    /// Works until the worker is [stopped](WorkerHandle::stop). `make` makes the processor of a shard when its lease
    /// is taken.
    ///
    /// Dropping the call is as if the machine went down: nothing more is saved, and other workers take over when the
    /// leases have expired.
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
        let consumer_arn = match &self.settings.reader.fan_out {
            None => None,
            Some(name) => {
                let ready = consumer_ready(&self.target, name).await;
                Some(ready.map_err(|source| WorkerError::Read {
                    stream: self.target.stream.clone(),
                    source,
                })?)
            }
        };
        let coordinator = LeaseCoordinator {
            target: self.target,
            store: self.store,
            settings: Arc::new(self.settings),
            make,
            consumer_arn,
            stop: self.stop.subscribe(),
            observer: observer.clone(),
            leave: watch::Sender::new(false),
            sightings: Sightings::default(),
            holes: HoleWatch::default(),
            following: Following::default(),
            random: fastrand::Rng::new(),
            shards: None,
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
        let handle = self.handle();
        let mut run = pin!(self.run(make));
        tokio::select! {
            biased;
            report = &mut run => return report,
            () = stop => handle.stop(),
        }
        run.await
    }

    /// Works as [`run`](Self::run) until the program is told to stop by SIGTERM or Ctrl-C.
    ///
    /// Then every processor finishes its batch, what is finished is saved, and the leases are given back, all within
    /// [`WorkerBuilder::stop_max`](super::WorkerBuilder::stop_max): set it below the time after which your platform
    /// kills (30 s in Kubernetes and ECS, 10 s in Docker). The other workers of the fleet go on with the shards within
    /// one fail-over time. The report tells the shards that were not finished in time.
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
        let handle = self.handle();
        let mut run = pin!(self.run(make));
        tokio::select! {
            biased;
            stopped = crate::shutdown::signal() => {
                let signal = stopped.map_err(|source| WorkerError::Signal { source })?;
                tracing::info!(?signal, "the worker stops");
                handle.stop();
            }
            report = &mut run => return report,
        }
        run.await
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
}

impl<R> fmt::Debug for Worker<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("stream", &self.target.stream)
            .field("store", &self.store)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
