use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use tokio::sync::watch;

use super::{
    ErrorPolicy, InvalidWorkerOption, Worker,
    observe::Observer,
    settings::{BatchLimits, Settings},
    worker::streams_of,
};
use crate::{
    KinesisStream, OnTrimmed, Order, StartAt,
    fleet::lease::{LeaseStore, WorkerId, sync::Initial},
    get::{PollBudget, ReaderOptions},
    target::Target,
};

/// KCL's `failoverTimeMillis`.
const FAILOVER: Duration = Duration::from_secs(10);
const FAILOVER_MIN: Duration = Duration::from_secs(1);
const STALLED_AFTER: Duration = Duration::from_mins(5);
/// The largest number of lanes of a shard: each record of a new key searches them for the one with the fewest records.
const LANES_MAX: usize = 256;
/// The default prefetch budget of one shard: two pages, each of a second's reads.
const PREFETCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The moment at which records count as finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checkpointing {
    /// A batch's records are finished when the processor returns `Ok` for it. The default.
    #[default]
    Automatic,
    /// Records are finished when the processor calls [`Checkpointer::checkpoint`](super::Checkpointer::checkpoint).
    Manual,
    /// Each record is finished when [`Record::ack`](crate::Record::ack) is called, in any order: a checkpoint never
    /// passes a record that is not acked. At most 100,000 records of a shard may wait for it.
    Ack,
}

/// A builder of a [`Worker`], made by [`KinesisStream::worker`](crate::KinesisStream::worker).
#[must_use = "a builder does nothing until it is built"]
pub struct WorkerBuilder<R> {
    targets: Vec<Target>,
    store: Option<Arc<dyn LeaseStore>>,
    start: Option<StartAt>,
    settings: Settings,
    record: PhantomData<fn() -> R>,
}

impl<R> WorkerBuilder<R> {
    pub(super) fn new(target: Target, app: Arc<str>) -> Self {
        Self {
            targets: vec![target],
            store: None,
            start: None,
            settings: Settings {
                app,
                is_multi_stream: false,
                me: WorkerId::unique(),
                failover: FAILOVER,
                hand_over_max: 3 * FAILOVER,
                stop_max: 3 * FAILOVER,
                leases_max: usize::MAX,
                initial: Initial::Latest,
                checkpointing: Checkpointing::default(),
                checkpoint_interval: Duration::from_secs(5),
                batch: BatchLimits {
                    records_max: 1_000,
                    bytes_max: 4 * 1024 * 1024,
                    wait_max: Duration::ZERO,
                },
                lanes: 1,
                order: Order::PerKey,
                on_error: ErrorPolicy::default(),
                stalled_after: STALLED_AFTER,
                reader: ReaderOptions {
                    prefetch_bytes_max: PREFETCH_BYTES_MAX,
                    on_trimmed: OnTrimmed::FromHorizon,
                    poll_budget: Some(PollBudget::default()),
                    ..ReaderOptions::default()
                },
            },
            record: PhantomData,
        }
    }

    /// Adds a stream: the worker reads the shards of all its streams, and the fleet shares them out together.
    ///
    /// The rows of the lease table are then those of KCL's multi-stream mode, with keys that name the stream, see
    /// [`StreamIdentifier`](crate::StreamIdentifier): a table of a single stream cannot be gone on with. A processor
    /// learns its stream from [`ShardStart::stream`](super::ShardStart::stream) or [`Batch::stream`](super::Batch::stream).
    ///
    /// A stream that cannot be read rests for up to a minute and is tried again; the others go on. The worker ends with
    /// an error when none of its streams can be read. The leases of a stream that no worker has any more are deleted
    /// after an hour. A stream that is deleted and made again is noticed within five minutes and read from where
    /// [`start`](Self::start) says.
    ///
    #[cfg_attr(feature = "local", doc = "```")]
    #[cfg_attr(not(feature = "local"), doc = "```ignore")]
    /// # use bytes::Bytes;
    /// # use kinesis_pipeline::{Batch, BoxError, KinesisStream, LocalKinesis, MemoryLeases, StartAt};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let local = LocalKinesis::start().await?;
    /// let readings: KinesisStream<Bytes> = local.stream("readings", 1).await?;
    /// let alarms: KinesisStream<Bytes> = local.stream("alarms", 1).await?;
    /// alarms.put(&"fire".into()).await?;
    ///
    /// let worker = readings.worker("my-app").and_stream(&alarms).leases(MemoryLeases::new());
    /// let worker = worker.start(StartAt::TrimHorizon).build()?;
    /// let handle = worker.handle();
    /// worker.run_batches(move |batch: Batch<Bytes>| {
    ///     assert_eq!(batch.stream().map(|stream| stream.name()), Some("alarms"));
    ///     handle.stop();
    ///     std::future::ready(Ok::<(), BoxError>(()))
    /// }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn and_stream(mut self, stream: &KinesisStream<R>) -> Self {
        self.targets.push(stream.target.clone());
        self.settings.is_multi_stream = true;
        self
    }

    /// Sets whether lease keys name the stream, also while there is only one: for an application that is to get more
    /// streams later, or shares its table with a multi-stream application of KCL. Off by default;
    /// [`and_stream`](Self::and_stream) switches it on.
    pub fn multi_stream(mut self, is_multi_stream: bool) -> Self {
        self.settings.is_multi_stream = is_multi_stream;
        self
    }

    /// Sets the store in which the workers share their leases. Required.
    pub fn leases(mut self, store: impl LeaseStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// Sets the worker's id, unique in the fleet. Default: a random one. A worker that is started again with the same id
    /// continues with the leases that still bear it.
    pub fn id(mut self, id: impl Into<WorkerId>) -> Self {
        self.settings.me = id.into();
        self
    }

    /// Sets where the application begins in a stream that it has not read before. [`StartAt::Latest`] by default.
    pub fn start(mut self, start: StartAt) -> Self {
        self.start = Some(start);
        self
    }

    /// Sets where the application begins if [`start`](Self::start) was not called: for those who finish a builder that
    /// somebody else has begun, as a delivery does, which begins with the oldest record.
    pub fn start_unless_set(mut self, start: StartAt) -> Self {
        self.start.get_or_insert(start);
        self
    }

    /// Sets the time without a renewal after which a worker counts as dead, at least 1 s. 10 s by default, as
    /// `failoverTimeMillis` of [KCL](crate::guide::from_kcl): all workers of a fleet must have the same.
    pub fn failover(mut self, time: Duration) -> Self {
        self.settings.failover = time;
        self
    }

    /// Sets how long a worker that is asked to hand a lease over may continue with its batch. After that the lease is taken
    /// from it. Default 30 s.
    pub fn hand_over_max(mut self, time: Duration) -> Self {
        self.settings.hand_over_max = time;
        self
    }

    /// Sets how long processors may take to finish when the worker is stopped. 30 s by default.
    pub fn stop_max(mut self, time: Duration) -> Self {
        self.settings.stop_max = time;
        self
    }

    /// Sets the largest number of leases that this worker holds. No limit by default.
    pub fn leases_max(mut self, leases: usize) -> Self {
        self.settings.leases_max = leases;
        self
    }

    /// Sets when records count as finished. [`Checkpointing::Automatic`] by default.
    pub fn checkpointing(mut self, checkpointing: Checkpointing) -> Self {
        self.settings.checkpointing = checkpointing;
        self
    }

    /// Sets the time between two saves of checkpoints. Default 5 s; zero saves after every batch. Checkpoints are also saved
    /// when the worker stops or hands the shard over. After a crash, the records that were finished since the last save come
    /// again.
    pub fn checkpoint_interval(mut self, interval: Duration) -> Self {
        self.settings.checkpoint_interval = interval;
        self
    }

    /// Sets the largest number of records of a batch. 1,000 by default.
    pub fn batch_records_max(mut self, records: usize) -> Self {
        self.settings.batch.records_max = records;
        self
    }

    /// Sets the size of a batch, in bytes: the record that reaches it is the last. Default 4 MiB.
    pub fn batch_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.batch.bytes_max = bytes;
        self
    }

    /// Sets how long a batch that is not full waits for more records. Default zero: a batch has the records that are there.
    pub fn batch_wait_max(mut self, time: Duration) -> Self {
        self.settings.batch.wait_max = time;
        self
    }

    /// Sets how many processors work on one shard at the same time. 1 by default, at most 256.
    ///
    /// `make` of [`Worker::run`](super::Worker::run) is called this number of times for each shard. Each processor gets
    /// batches of its own; by default the records of one key come one after the other, see [`order`](Self::order). A record of
    /// a key that no processor has at the moment goes to the one with the fewest records, so a state per key must be shared. A
    /// checkpoint never passes a record that is not finished; after a crash, records after it that were processed come
    /// again. A worker that stops or hands the shard over repeats nothing.
    ///
    /// The records between the service and the processors of one shard take up to
    /// [`prefetch_bytes_max`](Self::prefetch_bytes_max) and three times [`batch_bytes_max`](Self::batch_bytes_max);
    /// at most 100,000 records wait behind one that is not finished.
    ///
    #[cfg_attr(feature = "local", doc = "```")]
    #[cfg_attr(not(feature = "local"), doc = "```ignore")]
    /// # use bytes::Bytes;
    /// # use kinesis_pipeline::{Batch, BoxError, KinesisStream, LocalKinesis, MemoryLeases, StartAt};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 1).await?;
    /// # stream.put(&"a".into()).await?;
    /// let worker = stream.worker("my-app").leases(MemoryLeases::new()).concurrency(16);
    /// # let worker = worker.start(StartAt::TrimHorizon).build()?;
    /// # let handle = worker.handle();
    /// # worker.run_batches(move |batch: Batch<Bytes>| {
    /// #     handle.stop();
    /// #     std::future::ready(Ok::<(), BoxError>(()))
    /// # }).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn concurrency(mut self, lanes: usize) -> Self {
        self.settings.lanes = lanes;
        self
    }

    /// Sets the order of processing on one shard. Default [`Order::PerKey`]: the records of a partition key come in the order
    /// of the shard, each after the one before is processed. [`Order::None`] distributes records evenly. It has no effect
    /// without [`concurrency`](Self::concurrency).
    pub fn order(mut self, order: Order) -> Self {
        self.settings.order = order;
        self
    }

    /// Sets the policy for records that a processor fails on. Default: they are given out again for ever.
    pub fn on_error(mut self, policy: ErrorPolicy) -> Self {
        self.settings.on_error = policy;
        self
    }

    /// Sets the time without progress after which a shard with waiting records counts as stalled, for
    /// [`WorkerHandle::health`](super::WorkerHandle::health). 5 minutes by default; more than a batch may take, with its
    /// retries.
    pub fn stalled_after(mut self, time: Duration) -> Self {
        self.settings.stalled_after = time;
        self
    }

    /// Sets the time between two polls of a shard without new records, at least 200 ms. Default 1 s.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.settings.reader.poll_interval = interval;
        self
    }

    /// Sets the longest time between two polls of a quiet shard, at most 4 minutes. Default: as long as keeps the worker
    /// at 200 polls of quiet shards a second: [`poll_interval`](Self::poll_interval) with up to 200 shards, 5 s with 1,000.
    ///
    /// A shard is quiet after five polls in a row at its tip without a record. From then on each wait is twice the last, up
    /// to this time, until a record comes. It saves calls on many quiet shards; the first record after a quiet time is
    /// delivered within about this time of its put. With the time of `poll_interval` all polls are that far apart.
    pub fn poll_interval_max(mut self, interval: Duration) -> Self {
        self.settings.reader.poll_interval_max = Some(interval);
        self
    }

    /// Sets the memory limit of the prefetched records of one shard, in bytes. Default 4 MiB. The guide has all
    /// [memory bounds](crate::guide::memory).
    pub fn prefetch_bytes_max(mut self, bytes: usize) -> Self {
        self.settings.reader.prefetch_bytes_max = bytes;
        self
    }

    /// Reads by enhanced fan-out as the consumer of this name, which is registered if the stream does not have it.
    pub fn fan_out(mut self, consumer: impl Into<Arc<str>>) -> Self {
        self.settings.reader.fan_out = Some(consumer.into());
        self
    }

    /// Sets the policy for a checkpoint after which records have expired. Default [`OnTrimmed::FromHorizon`], with a warning
    /// in the log; [`OnTrimmed::Fail`] ends the worker with an error.
    pub fn on_trimmed(mut self, policy: OnTrimmed) -> Self {
        self.settings.reader.on_trimmed = policy;
        self
    }

    fn check_streams(&self) -> Result<(), InvalidWorkerOption> {
        if self.targets.len() > 1 && !self.settings.is_multi_stream {
            return Err(InvalidWorkerOption::SingleStreamKeys);
        }
        for (index, target) in self.targets.iter().enumerate() {
            if self.targets[..index]
                .iter()
                .any(|other| is_same(other, target))
            {
                let stream = target.stream.clone();
                return Err(InvalidWorkerOption::DuplicateStream { stream });
            }
        }
        Ok(())
    }

    /// Builds the worker. It makes no call.
    ///
    /// # Errors
    /// [`InvalidWorkerOption`].
    pub fn build(mut self) -> Result<Worker<R>, InvalidWorkerOption> {
        self.check_streams()?;
        let store = self.store.ok_or(InvalidWorkerOption::NoLeaseStore)?;
        if self.settings.app.is_empty() {
            return Err(InvalidWorkerOption::NoApplication);
        }
        let time = self.settings.failover;
        if time < FAILOVER_MIN {
            return Err(InvalidWorkerOption::FailoverTooShort { time });
        }
        if self.settings.batch.records_max == 0 || self.settings.batch.bytes_max == 0 {
            return Err(InvalidWorkerOption::EmptyBatch);
        }
        let lanes = self.settings.lanes;
        if !(1..=LANES_MAX).contains(&lanes) {
            return Err(InvalidWorkerOption::Concurrency { lanes });
        }
        if lanes > 1 && self.settings.checkpointing == Checkpointing::Manual {
            return Err(InvalidWorkerOption::ManualCheckpoints);
        }
        self.settings.initial = match self.start.unwrap_or_default() {
            StartAt::Latest => Initial::Latest,
            StartAt::TrimHorizon => Initial::TrimHorizon,
            StartAt::Timestamp(time) => Initial::Timestamp(time),
            _ => return Err(InvalidWorkerOption::StartAtSequenceNumber),
        };
        let clock = self.targets[0].clock.clone();
        let observer = Observer::new(clock, self.settings.stalled_after);
        Ok(Worker {
            run_guard: observer.guard(),
            observer,
            targets: self.targets,
            store,
            settings: self.settings,
            stop: watch::Sender::new(false),
            record: PhantomData,
        })
    }
}

/// Whether two handles are of one stream, as far as their names tell.
fn is_same(a: &Target, b: &Target) -> bool {
    let (id, other) = (&a.stream, &b.stream);
    let has_name = id.arn().is_none() || other.arn().is_none();
    a.service.endpoint() == b.service.endpoint()
        && (id == other || (has_name && id.name() == other.name()))
}

impl<R> fmt::Debug for WorkerBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("streams", &streams_of(&self.targets))
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
