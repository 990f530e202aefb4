use std::{fmt, marker::PhantomData, sync::Arc, time::Duration};

use tracing::Instrument as _;

use super::open::open;
use crate::{
    get::{
        checkpoint::{CheckpointStore, Saver},
        dispatch::{
            ack::Tracker,
            records::Records,
            taker::{Splitting, Taker},
        },
        error::GetError,
        plan::{
            options::Options,
            plan::{Begin, Wish},
            start::{OnTrimmed, ShardSelector, StartAt, Until},
        },
    },
    service::{IteratorStart, PAGE_RECORDS_MAX},
    shard::{Position, SequenceNumber},
    target::Target,
};

/// A builder of a reader: its shards, start, end, checkpoints and limits. Made by
/// [`KinesisStream::reader`](crate::KinesisStream::reader); [`open`](Self::open) gives the [`Records`].
///
/// ```no_run
/// # async fn example(stream: kinesis_pipeline::KinesisStream<bytes::Bytes>) -> Result<(), kinesis_pipeline::GetError> {
/// use kinesis_pipeline::{StartAt, Until};
///
/// let mut records = stream.reader().shards([0, 1]).start(StartAt::TrimHorizon).until(Until::Tip).open().await?;
/// while let Some(record) = records.next().await {
///     println!("{}", record?.position());
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a reader does nothing until it is opened"]
pub struct Reader<R> {
    target: Target,
    wish: Wish,
    options: Options,
    record: PhantomData<fn() -> R>,
}

/// Clones the settings: each clone opens a reader of its own. Two open readers must not share an application name.
impl<R> Clone for Reader<R> {
    fn clone(&self) -> Self {
        Self {
            target: self.target.clone(),
            wish: self.wish.clone(),
            options: self.options.clone(),
            record: PhantomData,
        }
    }
}

impl<R> Reader<R> {
    pub(crate) fn new(target: Target) -> Self {
        Self {
            target,
            wish: Wish::default(),
            options: Options::default(),
            record: PhantomData,
        }
    }

    /// Chooses the shards to read, by number or id, with their children. Default: all shards.
    ///
    /// A child belongs to the set of its first parent, so readers that divide the shards also divide the children. A
    /// reader ends when its set has no shards left.
    ///
    /// # Readers that divide the shards
    ///
    /// With checkpoints in one store under one application name, such readers respect each other:
    /// - If the child of a merge has a parent in another reader's set, it is begun only when that parent's checkpoint is
    ///   at its end, or the store has no checkpoint of the parent and of the shards that it comes from. Open all readers
    ///   before the stream is resharded, so that each shard has a checkpoint.
    /// - No reader removes checkpoints of the others, or takes their expired shards for gaps of its own.
    /// - The id of an expired shard still stands for its children while the store has its checkpoint. Numbers are valid
    ///   only as long as the list of shards is the same: prefer ids.
    ///
    /// Without checkpoints a reader does not know of the others, and may read the child of a merge before its other parent
    /// is finished.
    pub fn shards(mut self, shards: impl IntoIterator<Item = impl Into<ShardSelector>>) -> Self {
        self.wish.shards.extend(shards.into_iter().map(Into::into));
        self
    }

    /// Sets the start position. Default [`StartAt::Latest`].
    pub fn start(mut self, start: StartAt) -> Self {
        self.wish.start = start;
        self
    }

    /// Begins this shard at the record with this sequence number, and its descendants at their oldest record. Other shards
    /// begin at [`start`](Self::start).
    pub fn start_at(self, shard: impl Into<ShardSelector>, number: SequenceNumber) -> Self {
        self.begin(shard.into(), IteratorStart::AtSequenceNumber(number).into())
    }

    /// Begins this shard after the record with this sequence number, and its descendants at their oldest record. Other
    /// shards begin at [`start`](Self::start).
    pub fn start_after(self, shard: impl Into<ShardSelector>, number: SequenceNumber) -> Self {
        self.begin(
            shard.into(),
            IteratorStart::AfterSequenceNumber(number).into(),
        )
    }

    /// Continues after these records, each in its shard: for an application that keeps the
    /// [`Position`](crate::Position)s of its records itself. Other shards begin at [`start`](Self::start).
    ///
    /// After a position inside an [aggregate](crate::guide::words) (many user records in one Kinesis record), the rest of
    /// the aggregate comes first. With [`keep_aggregates`](Self::keep_aggregates) the whole aggregate comes again, unless
    /// the position is that of its last record; a position without a sub-sequence number means the whole aggregate.
    pub fn resume_after(self, positions: impl IntoIterator<Item = Position>) -> Self {
        positions.into_iter().fold(self, |reader, position| {
            let begin = Begin::after(position.sequence_number, position.sub_sequence_number);
            reader.begin(position.shard_id.into(), begin)
        })
    }

    fn begin(mut self, shard: ShardSelector, begin: Begin) -> Self {
        self.wish.shard_starts.push((shard, begin));
        self
    }

    /// Sets the end of the reader. Default [`Until::Stopped`].
    pub fn until(mut self, until: Until) -> Self {
        self.wish.until = until;
        self
    }

    /// Sets the policy for a position whose records have expired. Default [`OnTrimmed::Fail`].
    pub fn on_trimmed(mut self, policy: OnTrimmed) -> Self {
        self.wish.on_trimmed = policy;
        self.options.on_trimmed = policy;
        self
    }

    /// Saves the finished position of each shard in `store`, under the application's name, and continues from there.
    ///
    /// A record counts as finished when the next one is asked for, or with [`require_ack`](Self::require_ack) when it is
    /// acked. Positions are saved every [`checkpoint_interval`](Self::checkpoint_interval), when a shard ends, when the
    /// reader ends by itself or by [`stop`](crate::Records::stop) (before its last `None`), and by
    /// [`close`](crate::Records::close). After a crash, the records that were finished since the last save come again. A
    /// checkpoint has priority over every other start of its shard.
    ///
    /// A shard that was begun at [`StartAt::Latest`] and has no finished record is saved as a time that the service's clock
    /// has reached; if this machine's clock is slow, the records of that difference come again. A checkpoint of an earlier
    /// stream of the same name is an error: [`GetError::Mismatch`]. For this the reader calls `DescribeStreamSummary`.
    ///
    /// A store that fails is tried again: for 4 s when the reader opens and when it ends, between that for
    /// [`outage_max`](Self::outage_max).
    ///
    /// One reader at a time may use one application name in one stream, unless the readers have divided the
    /// shards between them.
    pub fn checkpoints(mut self, store: impl CheckpointStore, app: impl Into<Arc<str>>) -> Self {
        self.options.saver = Some(Saver::new(
            Arc::new(store),
            app.into(),
            self.target.stream.name(),
            self.target.clock.clone(),
        ));
        self
    }

    /// Sets the time between two saves of checkpoints. Default 5 s.
    pub fn checkpoint_interval(mut self, interval: Duration) -> Self {
        self.options.checkpoint_interval = interval;
        self
    }

    /// Requires an [`ack`](crate::Record::ack) of each record, in any order: a checkpoint never passes a record without
    /// one. Records that cannot be decoded need none.
    ///
    /// Ack every record: at most 1,000,000 of one shard may wait for theirs.
    pub fn require_ack(mut self) -> Self {
        self.options.require_ack = true;
        self
    }

    /// Reads by enhanced fan-out as the consumer of this name: records are pushed within some 70 ms of their put, and each
    /// consumer has 2 MiB a second and shard of its own. The service charges for it.
    ///
    /// A consumer that does not exist is registered, which may take half a minute; a stream takes 20 of them. It stays
    /// registered, and is charged for, until [`deregister_consumer`](crate::KinesisStream::deregister_consumer) removes it.
    /// One reader at a time may use one name, unless the readers have divided the shards: a second one ends the
    /// subscriptions of the first. A reader that opens within 5 s of another one's subscriptions under the same name waits
    /// until the service accepts new ones.
    ///
    /// [`poll_interval`](Self::poll_interval) and [`page_records_max`](Self::page_records_max) have no effect on such a
    /// shard.
    pub fn fan_out(mut self, consumer: impl Into<Arc<str>>) -> Self {
        self.options.fan_out = Some(consumer.into());
        self
    }

    /// Falls back from [`fan_out`](Self::fan_out) to polling, with a warning in the log: for the whole stream if the consumer
    /// cannot be registered, and for a single shard, to its end, if its subscriptions are refused or fail for 30 s. Off by
    /// default: then the reader ends with the error.
    pub fn fall_back_to_polling(mut self) -> Self {
        self.options.falls_back = true;
        self
    }

    /// Gives out [aggregates](crate::guide::words) as they are stored, one record each, instead of the user records in them.
    ///
    /// An aggregate that an earlier reader had split and finished in part is given out again.
    pub fn keep_aggregates(mut self) -> Self {
        self.options.keeps_aggregates = true;
        self
    }

    /// Drops [strays](crate::guide::words), the records of an aggregate whose keys do not belong to the aggregate's shard, as
    /// Amazon's Kinesis Client Library (KCL) does. By default they are given out like all others.
    ///
    /// A producer that does not know of a reshard yet leaves such records; this library's and Amazon's then put them again
    /// in the right shard. They are counted in either case: [`ReaderStats::stray_records`].
    ///
    /// [`ReaderStats::stray_records`]: crate::ReaderStats::stray_records
    pub fn drop_strays(mut self) -> Self {
        self.options.drops_strays = true;
        self
    }

    /// Sets the largest number of records of a page, 1 to 10,000; other values are clamped. Default 10,000.
    ///
    /// A page that times out is asked for again with half as many records, down to one.
    pub fn page_records_max(mut self, records: u32) -> Self {
        self.options.page_records_max = records.clamp(1, PAGE_RECORDS_MAX);
        self
    }

    /// Sets the memory limit of prefetched records, in bytes. Default 64 MiB. The guide has all
    /// [memory bounds](crate::guide::memory).
    ///
    /// Each shard has at most two pages at a time, one in flight and one that waits. With a value below one page of the
    /// service (10 MiB), one page at a time is fetched, and may exceed it.
    pub fn prefetch_bytes_max(mut self, bytes: usize) -> Self {
        self.options.prefetch_bytes_max = bytes;
        self
    }

    /// Sets the time between two polls of a shard without new records, at least 200 ms, the service's limit. Default 1 s.
    ///
    /// A record is delivered within about this time of its put. A shard that is behind is read as fast as the service
    /// allows.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.options.poll_interval = interval;
        self
    }

    /// Sets the longest time between two polls of a quiet shard, at most 4 minutes. Default: no back-off, all polls are
    /// [`poll_interval`](Self::poll_interval) apart.
    ///
    /// A shard is quiet after five polls in a row at its tip without a record. From then on each wait is twice the last, up
    /// to this time, until a record comes. It saves calls on many quiet shards; the first record after a quiet time is
    /// delivered within about this time of its put. A reader with an [`until`](Self::until) does not back off.
    pub fn poll_interval_max(mut self, interval: Duration) -> Self {
        self.options.poll_interval_max = Some(interval);
        self
    }

    /// Ignores the service's limits of 5 calls and 2 MiB a second and shard, and reads as fast as the server answers: for a
    /// local server without limits.
    pub fn ignore_limits(mut self) -> Self {
        self.options.ignores_limits = true;
        self
    }

    /// Sets how long a failing shard is retried before the reader gives up. Default 30 minutes.
    ///
    /// It holds for faults that may pass: throttling, errors of the service, a network that is down, a new shard that is not
    /// known everywhere yet. A missing stream or a missing permission ends the reader at once. Opening has limits of its
    /// own: 4 s for a service that cannot be reached, 30 s for one that is busy.
    pub fn outage_max(mut self, time: Duration) -> Self {
        self.options.outage_max = time;
        self
    }

    /// Opens the reader. The start position of every shard is fixed when this returns.
    ///
    /// Dropping the future has no effect besides calls that were made; open again then.
    ///
    /// # Errors
    /// [`GetError::ShardNotFound`], [`GetError::UnknownPosition`], [`GetError::Trimmed`], [`GetError::Mismatch`],
    /// [`GetError::IncompleteListing`], [`GetError::ClockSkew`], [`GetError::Checkpoint`], [`GetError::Consumer`],
    /// and [`GetError::Service`] for a call that failed for good.
    pub async fn open(mut self) -> Result<Records<R>, GetError> {
        if self.options.keeps_aggregates {
            self.pass_whole_records();
        }
        let stream = self.target.stream.clone();
        let Options {
            saver,
            require_ack,
            keeps_aggregates,
            drops_strays,
            ranges,
            ..
        } = self.options.clone();
        let tracker = saver.map(|saver| Tracker::new(saver, require_ack));
        let (driver, outlet) = open(self.target, &self.wish, self.options).await?;
        let counters = driver.counters.clone();
        let span = tracing::info_span!("reader", %stream);
        let splitting = Splitting {
            keeps_aggregates,
            drops_strays,
            ranges,
        };
        let news = outlet.news.clone();
        let taker = Taker::new(stream, news, tracker, splitting, counters.clone());
        Ok(Records::new(
            outlet,
            taker,
            counters,
            tokio::spawn(driver.run().instrument(span)),
        ))
    }
}

impl<R> Reader<R> {
    /// Makes positions without a sub-sequence number mean whole Kinesis records.
    fn pass_whole_records(&mut self) {
        for (_, begin) in &mut self.wish.shard_starts {
            let first = begin
                .finished
                .take_if(|finished| finished.sub_sequence_number == 0);
            if let Some(finished) = first {
                begin.iterator = IteratorStart::AfterSequenceNumber(finished.sequence_number);
            }
        }
    }
}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("stream", &self.target.stream)
            .field("wish", &self.wish)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
