use std::{
    fmt,
    future::poll_fn,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;

use super::raw::{RawShardReader, SingleShard};
use crate::{
    get::{
        dispatch::{record::Record, taker::Taker},
        error::GetError,
        fetch::service_clock::ServiceClock,
        open::positions::Opener,
        plan::{
            options::Options,
            plan::{Begin, start_again},
        },
        stats::{Counters, ReaderStats},
    },
    record::KinesisRecord,
    service::{ChildShard, IteratorStart, PAGE_RECORDS_MAX},
    shard::{HashKeyRange, SequenceNumber, ShardId},
    target::Target,
};

/// A builder of a [`ShardReader`]: its start and limits. Made by
/// [`KinesisStream::shard_reader`](crate::KinesisStream::shard_reader).
#[must_use = "a reader does nothing until it is opened"]
pub struct ShardReaderBuilder<R> {
    target: Target,
    shard_id: ShardId,
    range: Option<HashKeyRange>,
    begin: Begin,
    options: Options,
    consumer_arn: Option<Arc<str>>,
    record: PhantomData<fn() -> R>,
}

impl<R> ShardReaderBuilder<R> {
    pub(crate) fn new(target: Target, shard_id: ShardId) -> Self {
        Self {
            target,
            shard_id,
            range: None,
            begin: IteratorStart::TrimHorizon.into(),
            options: Options::default(),
            consumer_arn: None,
            record: PhantomData,
        }
    }

    /// Sets the start position. Default [`IteratorStart::TrimHorizon`], the oldest record.
    pub fn start(mut self, start: IteratorStart) -> Self {
        self.begin = start.into();
        self
    }

    /// Starts after this user record, also within an aggregate: the rest of the aggregate comes first.
    ///
    /// Both numbers are those of a [`Position`](crate::Position). For a record that is not part of an aggregate the
    /// second number is 0.
    pub fn resume_after(
        mut self,
        sequence_number: SequenceNumber,
        sub_sequence_number: u64,
    ) -> Self {
        self.begin = Begin::after(sequence_number, sub_sequence_number);
        self
    }

    /// Reads by enhanced fan-out as the consumer with this ARN, which must be registered and active. Default: polling.
    ///
    /// A subscription that is refused ends the reader with an error.
    pub fn consumer_arn(mut self, arn: impl Into<Arc<str>>) -> Self {
        self.consumer_arn = Some(arn.into());
        self
    }

    /// Drops [strays](crate::guide::words), the records of an aggregate whose keys are outside of `range`, the hash keys of
    /// the shard. By default all records come.
    ///
    /// A producer that does not know of a reshard yet leaves such records.
    pub fn drop_strays(mut self, range: HashKeyRange) -> Self {
        self.range = Some(range);
        self.options.drops_strays = true;
        self
    }

    /// Sets the largest number of records of a page, 1 to 10,000; other values are clamped. Default 10,000.
    pub fn page_records_max(mut self, records: u32) -> Self {
        self.options.page_records_max = records.clamp(1, PAGE_RECORDS_MAX);
        self
    }

    /// Sets the memory limit of prefetched records, in bytes. Default 64 MiB.
    ///
    /// At most two pages are prefetched. With a value below one page of the service (10 MiB), one page at a time is
    /// fetched, and may exceed it.
    pub fn prefetch_bytes_max(mut self, bytes: usize) -> Self {
        self.options.prefetch_bytes_max = bytes;
        self
    }

    /// Sets the time between two polls when there are no new records, at least 200 ms. Default 1 s.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.options.poll_interval = interval;
        self
    }

    /// Sets the longest time between two polls of a quiet shard, at most 4 minutes. Default: no back-off, all polls are
    /// [`poll_interval`](Self::poll_interval) apart.
    ///
    /// A shard is quiet after five polls in a row at its tip without a record. From then on each wait is twice the last, up
    /// to this time, until a record comes. It saves calls on many quiet shards; the first record after a quiet time is
    /// delivered within about this time of its put.
    pub fn poll_interval_max(mut self, interval: Duration) -> Self {
        self.options.poll_interval_max = Some(interval);
        self
    }

    /// Ignores the service's limits of 5 calls and 2 MiB a second, and reads as fast as the server answers: for a local
    /// server without limits.
    pub fn ignore_limits(mut self) -> Self {
        self.options.ignores_limits = true;
        self
    }

    /// Sets how long failing calls are retried before the reader ends with the error. Default 30 minutes.
    ///
    /// It holds for faults that may pass, after the reader was opened.
    pub fn outage_max(mut self, time: Duration) -> Self {
        self.options.outage_max = time;
        self
    }

    /// Opens the reader. Its position is fixed when this returns. Cancel safe.
    ///
    /// # Errors
    /// [`GetError::UnknownPosition`]: the service does not know the sequence number, or it has expired.
    /// [`GetError::Service`]: the shard does not exist (a new one may not be known everywhere yet, so it is asked for again
    /// for 4 s), or the call failed for 4 s (30 s if the service was busy), or the service's clock has not reached the
    /// start time.
    pub async fn open(self) -> Result<ShardReader<R>, GetError> {
        let Self {
            target,
            shard_id,
            range,
            begin,
            options,
            consumer_arn,
            record,
        } = self;
        let counters = Counters::new(&target.stream);
        // The time of LATEST, for a later iterator: before the first one was asked for.
        let latest = ServiceClock::unknown(target.clock.now()).reached;
        let positions = Opener {
            target: &target,
            options: &options,
            consumer_arn: consumer_arn.as_deref(),
        };
        let opened = positions.fix_known(&shard_id, &begin.iterator).await?;
        let begin = start_again(begin, latest);
        let shard = SingleShard {
            target,
            shard_id,
            range,
            begin,
            options,
            consumer_arn,
        };
        Ok(ShardReader {
            raw: RawShardReader::with_position(shard, opened, counters),
            record,
        })
    }
}

impl<R> fmt::Debug for ShardReaderBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardReaderBuilder")
            .field("stream", &self.target.stream)
            .field("shard_id", &self.shard_id)
            .field("begin", &self.begin)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// A reader of one shard that does not follow its children: for code that chooses the shards and keeps the positions
/// itself.
///
/// The records come in order, and aggregates are split. Read it with [`next`](Self::next), or as a futures [`Stream`].
/// Faults that may pass are retried inside. After the end of a closed shard, [`children`](Self::children) has the
/// shards that took over its hash keys, and [`shard::Lineage`](crate::shard::Lineage) decides when each of them may be
/// read.
///
/// Memory is bounded by [`prefetch_bytes_max`](ShardReaderBuilder::prefetch_bytes_max). Dropping the reader ends its
/// fetching.
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use bytes::Bytes;
/// use kinesis_pipeline::{KinesisStream, LocalKinesis};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 1).await?;
/// let first = stream.put(&"a".into()).await?;
/// let second = stream.put(&"b".into()).await?;
///
/// let mut reader = stream
///     .shard_reader(&first.shard_id)
///     .resume_after(first.sequence_number, first.sub_sequence_number)
///     .open()
///     .await?;
/// let record = reader.next().await.expect("the shard is open")?;
/// assert_eq!((&*record.data, *record.position() == second.position()), (&b"b"[..], true));
/// assert_eq!(reader.children(), None); // known after the end of the shard
/// # Ok(())
/// # }
/// ```
#[must_use = "a reader fetches until it is dropped"]
pub struct ShardReader<R> {
    raw: RawShardReader,
    record: PhantomData<fn() -> R>,
}

impl<R> ShardReader<R> {
    /// Returns the id of the shard.
    #[must_use]
    pub fn shard_id(&self) -> &ShardId {
        self.raw.shard_id()
    }

    /// Returns the children of the shard once it was read to its end; `None` before that, and after an error.
    ///
    /// Some servers leave them out. Then the list is empty, and [`KinesisStream::shards`](crate::KinesisStream::shards) has
    /// them.
    #[must_use]
    pub fn children(&self) -> Option<&[ChildShard]> {
        self.raw.children()
    }

    /// Returns the counters of the reader, and its lag.
    #[must_use]
    pub fn stats(&self) -> ReaderStats {
        self.raw.counters.stats()
    }
}

impl<R: KinesisRecord> ShardReader<R> {
    /// Returns the next record; `None` after the end of the shard and after an error that ends the reader.
    ///
    /// [`GetError::Decode`] is about one record, and the next follows it. Every other error is the last item.
    ///
    /// Cancel safe: a record leaves the reader only as the result of this call, so a call that is dropped while it
    /// waits loses nothing.
    pub async fn next(&mut self) -> Option<Result<Record<R>, GetError>> {
        poll_fn(|context| self.poll_record(context)).await
    }

    fn poll_record(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Record<R>, GetError>>> {
        self.raw.poll_with(context, Taker::next)
    }
}

impl<R: KinesisRecord> Stream for ShardReader<R> {
    type Item = Result<Record<R>, GetError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_record(context)
    }
}

impl<R> fmt::Debug for ShardReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardReader")
            .field("shard_id", self.raw.shard_id())
            .field("children", &self.raw.children())
            .finish_non_exhaustive()
    }
}
