use std::{fmt, time::SystemTime};

use crate::shard::{SequenceNumber, ShardId};

/// The start position of a reader.
///
/// # Examples
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use bytes::Bytes;
/// use kinesis_pipeline::{KinesisStream, LocalKinesis, StartAt, Until};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 1).await?;
/// let first = stream.put(&"first".into()).await?;
/// stream.put(&"second".into()).await?;
///
/// let after = StartAt::AfterSequenceNumber(first.shard_id, first.sequence_number);
/// let an_hour_ago = StartAt::Timestamp(stream.clock().now() - std::time::Duration::from_secs(3_600));
/// for (start, count) in [(StartAt::TrimHorizon, 2), (an_hour_ago, 2), (after, 1), (StartAt::Latest, 0)] {
///     let mut records = stream.reader().start(start).until(Until::Tip).open().await?;
///     let mut found = 0;
///     while let Some(record) = records.next().await {
///         println!("{:?}", record?.data);
///         found += 1;
///     }
///     assert_eq!(found, count);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartAt {
    /// The position after the newest record of every open shard, at the moment of opening. The default.
    ///
    /// Shards that are closed by then are not read. Children that open later are read from their beginning, so no record
    /// that is put after opening is missed.
    #[default]
    Latest,
    /// The oldest record that is retained: everything is read.
    TrimHorizon,
    /// The first record of each shard that arrived at this time or later, to the millisecond.
    ///
    /// The service refuses a time that its own clock has not reached. A time that is at most a minute ahead of this
    /// machine's clock is moved back until the service accepts it.
    Timestamp(SystemTime),
    /// This record of this shard. Then its descendants are read, and no other shards.
    AtSequenceNumber(ShardId, SequenceNumber),
    /// The position after this record of this shard. Then its descendants are read, and no other shards.
    AfterSequenceNumber(ShardId, SequenceNumber),
}

/// The end of a reader.
///
/// # Examples
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use bytes::Bytes;
/// use kinesis_pipeline::{KinesisStream, LocalKinesis, StartAt, Until};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 1).await?;
/// stream.put(&"21.5".into()).await?;
///
/// // A batch: with `Until::Stopped`, the default, the second `next` would wait for more.
/// let mut records = stream.reader().start(StartAt::TrimHorizon).until(Until::Tip).open().await?;
/// assert!(records.next().await.is_some());
/// assert!(records.next().await.is_none());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Until {
    /// No end: the reader follows the stream until it is stopped. The default.
    #[default]
    Stopped,
    /// The last record that was in the stream when the reader was opened: a batch read.
    ///
    /// All such records come, and some later ones may come too:
    /// - A shard ends with the first page (or pushed event) that reaches the moment of opening. That page is delivered
    ///   whole: at most 10,000 records or 10 MiB that were in the shard when the page was asked for.
    /// - The first page of a child may come if its parent was open at opening: the listing may have been older than the
    ///   child.
    /// - If the service's clock is behind this machine's, records that arrive during that difference may come.
    ///
    /// No record is dropped by its time of arrival: with clocks that differ, it could be one that was there at opening.
    Tip,
    /// The first record of each shard that arrived at this time or later, to the millisecond; it is not read.
    ///
    /// The reader waits for a future time. If this machine's clock is ahead, it waits for the service's clock.
    Timestamp(SystemTime),
}

/// The policy for a position whose records, or whose shard, have expired: records may be missing.
///
/// A checkpoint counts as expired when the time up to which everything is known to be finished
/// ([`Checkpoint::current_at`](crate::Checkpoint::current_at), or the arrival of its last record; for a worker
/// [`Lease::current_at`](crate::Lease::current_at)) is longer ago than the stream's retention. The service itself moves
/// such a position to the oldest record without an error. A shard without records in that time looks the same as one
/// that lost them, unless a reader was at its tip within the retention.
///
/// # Examples
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use std::{sync::Arc, time::{Duration, SystemTime}};
/// use bytes::Bytes;
/// use kinesis_pipeline::{Clock, GetError, KinesisStream, LocalKinesis, MemoryCheckpoints, OnTrimmed, StartAt, Until};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = Clock::tokio(SystemTime::UNIX_EPOCH);
/// let kinesis = LocalKinesis::builder().clock(clock).start().await?;
/// let stream: KinesisStream<Bytes> = kinesis.stream("readings", 1).await?;
/// let store = Arc::new(MemoryCheckpoints::new());
/// let reader = || stream.reader().start(StartAt::TrimHorizon).until(Until::Tip).checkpoints(store.clone(), "app");
///
/// stream.put(&"read".into()).await?;
/// let mut records = reader().open().await?;
/// while let Some(record) = records.next().await {
///     println!("{:?}", record?.data);
/// }
/// stream.put(&"never read".into()).await?;
/// tokio::time::advance(Duration::from_secs(48 * 3_600)).await; // the stream retains a day
/// stream.put(&"new".into()).await?;
///
/// let refused = reader().open().await;
/// assert!(matches!(refused, Err(GetError::Trimmed { .. })));
/// let mut records = reader().on_trimmed(OnTrimmed::FromHorizon).open().await?;
/// assert_eq!(records.next().await.ok_or("no record")??.data, "new");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnTrimmed {
    /// End with an error that names the shard and the time. The default.
    #[default]
    Fail,
    /// Continue at the oldest record that is retained. A warning in the log tells the time since which records may be
    /// missing.
    FromHorizon,
    /// Continue with the records that are put from now on, with the same warning.
    Latest,
}

/// A shard, by number or by id.
///
/// A number is an index into the list of the stream's retained shards, open and closed, sorted by id, at the time when
/// the reader is opened. A reshard changes the numbers for later readers. The set of an open reader keeps its meaning: a
/// child belongs to the set of its first parent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShardSelector {
    /// The index of the shard in the list, from 0.
    Number(usize),
    /// The id of the shard.
    Id(ShardId),
}

impl From<usize> for ShardSelector {
    fn from(number: usize) -> Self {
        Self::Number(number)
    }
}

impl From<ShardId> for ShardSelector {
    fn from(id: ShardId) -> Self {
        Self::Id(id)
    }
}

impl From<&ShardId> for ShardSelector {
    fn from(id: &ShardId) -> Self {
        Self::Id(id.clone())
    }
}

impl From<&str> for ShardSelector {
    fn from(id: &str) -> Self {
        Self::Id(id.into())
    }
}

impl fmt::Display for ShardSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "shard number {number}"),
            Self::Id(id) => write!(f, "shard {id}"),
        }
    }
}
