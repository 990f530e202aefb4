use std::{future::Future, pin::pin};

use tokio::sync::watch;

#[cfg(feature = "signal")]
use super::WorkerError;
use super::observe::{Observer, WorkerEvents, WorkerHealth};

/// A handle of a worker for other tasks, which stops and observes it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WorkerHandle {
    pub(super) stop: watch::Sender<bool>,
    pub(super) observer: Observer,
}

impl WorkerHandle {
    /// Lets every processor finish its batch, saves the checkpoints, gives the leases back, and ends [`Worker::run`](super::Worker::run).
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Awaits a run of this worker, and stops the worker when `stop` is over: for runs that another type starts, such as a
    /// sink.
    ///
    /// # Errors
    /// As the run.
    ///
    /// # Cancel safety
    /// Dropping the future drops the run: for a worker this is as if its machine went down.
    pub async fn run_until<T, E>(
        &self,
        run: impl Future<Output = Result<T, E>>,
        stop: impl Future<Output = ()>,
    ) -> Result<T, E> {
        let mut run = pin!(run);
        tokio::select! {
            biased;
            ended = &mut run => return ended,
            () = stop => self.stop(),
        }
        run.await
    }

    /// Awaits a run of this worker, and stops the worker at SIGTERM or Ctrl-C: for runs that another type starts, such as
    /// a sink. See [`Worker::run_until_stopped`](super::Worker::run_until_stopped).
    ///
    #[cfg_attr(feature = "local", doc = "```no_run")]
    #[cfg_attr(not(feature = "local"), doc = "```ignore")]
    /// # use bytes::Bytes;
    /// # use kinesis_pipeline::{Batch, BoxError, KinesisStream, LocalKinesis, MemoryLeases, Worker, WorkerError, WorkerReport};
    /// # async fn sink(worker: Worker<Bytes>) -> Result<WorkerReport, WorkerError> {
    /// #     worker.run_batches(async |_: Batch<Bytes>| Ok::<(), BoxError>(())).await
    /// # }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 1).await?;
    /// let worker = stream.worker("my-app").leases(MemoryLeases::new()).build()?;
    /// let handle = worker.handle();
    /// let report = handle.run_until_stopped(sink(worker)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As the run, and [`WorkerError::Signal`](super::WorkerError::Signal) before any work.
    ///
    /// # Cancel safety
    /// Dropping the future drops the run: for a worker this is as if its machine went down.
    #[cfg(feature = "signal")]
    pub async fn run_until_stopped<T, E: From<WorkerError>>(
        &self,
        run: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut run = pin!(run);
        tokio::select! {
            // The handler first: a signal that comes before it ends the program.
            biased;
            stopped = crate::shutdown::signal() => {
                let signal = stopped.map_err(|source| WorkerError::Signal { source })?;
                tracing::info!(?signal, "the worker stops");
                self.stop();
            }
            ended = &mut run => return ended,
        }
        run.await
    }

    /// Returns the events of the worker from now on: leases that change hands, failures, the end.
    ///
    /// The worker never waits for a receiver. A slow one gets an [event](super::WorkerEvent::Missed) with the number of
    /// events that it missed.
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
    /// Dropping the stream costs the worker nothing.
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
