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
            options::{Options, PAGE_RECORDS_MAX},
            plan::{Begin, Wish},
            start::{OnTrimmed, ShardSelector, StartAt, Until},
        },
    },
    service::IteratorStart,
    shard::{Position, SequenceNumber},
    target::Target,
};

/// A builder of a reader: which shards, from where, how. Made by [`KinesisStream::reader`](crate::KinesisStream::reader).
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

/// A clone opens a reader of its own. Two that are open at a time must not share an application name.
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

    /// Reads only these shards and their children, by number or id. All shards by default.
    ///
    /// A child belongs to the set of its first parent, so readers that divide the shards between them also
    /// divide the children. When a set has no shards left, the reader ends.
    ///
    /// # Readers that divide the shards
    ///
    /// With checkpoints in one store under one application name, they keep to each other:
    /// - A child of a merge, one of whose parents is in another reader's set, is begun only when that parent's
    ///   checkpoint says that it was read to its end, or when the store has none of it. Open all readers before the
    ///   stream is resharded, so that each shard has a checkpoint: one that nobody has begun is not waited for.
    /// - Each forgets nothing of the others' checkpoints, and takes none of their expired shards for a gap of its own.
    /// - An id of a shard that has expired since still stands for its children while the store has its checkpoint. A
    ///   division by numbers holds only as long as the list of shards is the same: prefer ids.
    ///
    /// Without checkpoints nothing is known of the other readers, and the child of a merge may be read before its
    /// other parent is finished.
    pub fn shards(mut self, shards: impl IntoIterator<Item = impl Into<ShardSelector>>) -> Self {
        self.wish.shards.extend(shards.into_iter().map(Into::into));
        self
    }

    /// Sets the start position. [`StartAt::Latest`] by default.
    pub fn start(mut self, start: StartAt) -> Self {
        self.wish.start = start;
        self
    }

    /// Begins in this shard at the record with this number, whatever [`start`](Self::start) says for the others.
    ///
    /// The shards that descend from it are read from their beginning.
    pub fn start_at(self, shard: impl Into<ShardSelector>, number: SequenceNumber) -> Self {
        self.begin(shard.into(), IteratorStart::AtSequenceNumber(number).into())
    }

    /// Begins in this shard after the record with this number, whatever [`start`](Self::start) says for the
    /// others.
    ///
    /// The shards that descend from it are read from their beginning.
    pub fn start_after(self, shard: impl Into<ShardSelector>, number: SequenceNumber) -> Self {
        self.begin(
            shard.into(),
            IteratorStart::AfterSequenceNumber(number).into(),
        )
    }

    /// Goes on after these records, each in its shard, whatever [`start`](Self::start) says for the others: for
    /// an application that keeps the [`Position`](crate::Position)s of its records itself.
    ///
    /// A position inside an [aggregate](crate::guide::words) (many user records in one Kinesis record) is followed by the rest of the aggregate. With
    /// [`keep_aggregates`](Self::keep_aggregates) it is followed by the whole aggregate again, unless it is that
    /// of its last record; a position without a sub-sequence number is taken for that of a whole aggregate.
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

    /// Sets the end of the reader. [`Until::Stopped`] by default.
    pub fn until(mut self, until: Until) -> Self {
        self.wish.until = until;
        self
    }

    /// Sets the policy for a position that retention has passed. [`OnTrimmed::Fail`] by default.
    pub fn on_trimmed(mut self, policy: OnTrimmed) -> Self {
        self.wish.on_trimmed = policy;
        self.options.on_trimmed = policy;
        self
    }

    /// Keeps in `store`, under the application's name, how far each shard was read, and goes on from there.
    ///
    /// Every record that comes out of the reader counts as finished when the next is asked for; with
    /// [`require_ack`](Self::require_ack) when it is acked. What is finished is saved every
    /// [`checkpoint_interval`](Self::checkpoint_interval), when a shard ends, when the reader ends by itself or
    /// by [`stop`](crate::Records::stop), before it gives out its last `None`, and by
    /// [`close`](crate::Records::close). After a crash, at most what was finished since the last save is read
    /// again. A checkpoint goes before every other start of its shard.
    ///
    /// A shard that was begun at [`StartAt::Latest`] and has no finished record is saved as a time that the service's
    /// clock had reached, whatever this machine's clock says; clocks that are behind repeat so much more. A checkpoint
    /// that was saved in another stream of the same name, which was deleted since, is an error:
    /// [`GetError::Mismatch`]. The reader asks for the stream's summary to tell.
    ///
    /// One reader at a time may use one application name in one stream, unless the readers have divided the
    /// shards between them.
    pub fn checkpoints(mut self, store: impl CheckpointStore, app: impl Into<Arc<str>>) -> Self {
        self.options.saver = Some(Saver::new(
            Arc::new(store),
            app.into(),
            self.target.stream.name(),
        ));
        self
    }

    /// Sets the time between two saves of checkpoints. 5 s by default.
    pub fn checkpoint_interval(mut self, interval: Duration) -> Self {
        self.options.checkpoint_interval = interval;
        self
    }

    /// Counts a record as finished only when its [`ack`](crate::Record::ack) is called, in any order: a
    /// checkpoint never passes a record that is not acked. Records that cannot be decoded need none.
    ///
    /// Ack every record: at most 1,000,000 of one shard may wait for it.
    pub fn require_ack(mut self) -> Self {
        self.options.require_ack = true;
        self
    }

    /// Reads by enhanced fan-out as the consumer of this name: records are pushed within some 70 ms of their put,
    /// and each consumer has 2 MiB a second and shard of its own. The service charges for it.
    ///
    /// A consumer that the stream does not have is registered, which may take half a minute; the stream takes
    /// 20 of them. It stays registered, and is paid for, until
    /// [`deregister_consumer`](crate::KinesisStream::deregister_consumer) removes it. One reader at a time may
    /// use one name, unless the readers have divided the shards between them: a second one ends the
    /// subscriptions of the first. A reader that opens within 5 s of another one's subscriptions under the same
    /// name waits until the service takes new ones.
    ///
    /// [`poll_interval`](Self::poll_interval) and [`page_records_max`](Self::page_records_max) mean nothing to
    /// a shard that is read so.
    pub fn fan_out(mut self, consumer: impl Into<Arc<str>>) -> Self {
        self.options.fan_out = Some(consumer.into());
        self
    }

    /// With [`fan_out`](Self::fan_out), polls what cannot be subscribed to: the whole stream if the consumer
    /// cannot be registered, and a single shard, to its end, if its subscriptions are refused or fail for 30 s. A
    /// warning in the log says so. Off by default: then the reader ends with the error.
    pub fn fall_back_to_polling(mut self) -> Self {
        self.options.falls_back = true;
        self
    }

    /// Gives out [aggregates](crate::guide::words) as they are stored, one record each, instead of the records in them.
    ///
    /// An aggregate that was finished in part, by a reader that split it, is given out again.
    pub fn keep_aggregates(mut self) -> Self {
        self.options.keeps_aggregates = true;
        self
    }

    /// Drops [strays](crate::guide::words), the records of an aggregate whose keys do not belong to the shard that the aggregate is in,
    /// as Amazon's Kinesis Client Library (KCL) does. By default they are given out like all others.
    ///
    /// A producer that did not know yet of a reshard leaves such records behind; the official one then puts
    /// them again where they belong. They are counted either way: [`ReaderStats::stray_records`].
    ///
    /// [`ReaderStats::stray_records`]: crate::ReaderStats::stray_records
    pub fn drop_strays(mut self) -> Self {
        self.options.drops_strays = true;
        self
    }

    /// The most records to ask for in one page, 1 to 10,000. 10,000 by default; values outside are moved to
    /// the nearer end.
    ///
    /// A page that times out is asked for again in half the size, down to one record.
    pub fn page_records_max(mut self, records: u32) -> Self {
        self.options.page_records_max = records.clamp(1, PAGE_RECORDS_MAX);
        self
    }

    /// The memory that records may take between the service and you, in bytes. 64 MiB by default.
    ///
    /// Besides it, each shard has at most two pages on their way. A value below one page of the service
    /// (10 MiB) is kept only as far as one page after the other allows.
    pub fn prefetch_bytes_max(mut self, bytes: usize) -> Self {
        self.options.prefetch_bytes_max = bytes;
        self
    }

    /// Sets the time between two polls of a shard that has nothing new, at least 200 ms, which the service allows. 1 s by
    /// default.
    ///
    /// A record is delivered within about this time of its put. A shard that is behind is read as fast as the
    /// service allows.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.options.poll_interval = interval;
        self
    }

    /// Sets the longest time between two polls of a quiet shard, at most 4 minutes. No more than
    /// [`poll_interval`](Self::poll_interval) by default: then all polls are as far apart as that.
    ///
    /// A shard is quiet after five polls in a row that were at its tip and brought no record. From then on each wait is
    /// twice the last, up to this time, until a record comes; a reader with an [`until`](Self::until) does not wait so. It saves calls on many quiet shards; the first
    /// record after a quiet time is delivered within about this time of its put.
    pub fn poll_interval_max(mut self, interval: Duration) -> Self {
        self.options.poll_interval_max = Some(interval);
        self
    }

    /// Reads what waits as fast as the server answers, instead of within the service's limits of 5 calls and
    /// 2 MiB a second and shard: for a local server that has none. Kept by default.
    pub fn ignore_limits(mut self) -> Self {
        self.options.ignores_limits = true;
        self
    }

    /// Sets how long a shard that only fails is retried before the reader gives up. 30 minutes by default.
    ///
    /// It holds for faults that may pass: throttling, errors of the service, a network that is down, a shard that was
    /// announced and is not known yet. A stream that does not exist or that the credentials do not open ends the
    /// reader at once. Opening has its own
    /// bounds: 4 s for a service that cannot be reached, 30 s for one that is busy.
    pub fn outage_max(mut self, time: Duration) -> Self {
        self.options.outage_max = time;
        self
    }

    /// Opens the reader. The position of every shard that it begins with is fixed when this returns.
    ///
    /// Not cancel safe in the sense that a dropped call leaves nothing behind to go on with; open again.
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
    /// Takes positions without a sub-sequence number for those of whole Kinesis records.
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
