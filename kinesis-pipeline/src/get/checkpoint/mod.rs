//! Checkpoints: the position of an application in each shard, kept for its next start.
//!
//! ```text
//!   Records ── taken, or acked ──> progress ── every few seconds, at a shard's end, on stop ──> saver ──> store
//!   open   <── start positions ── resume <─────────────────────────────────────────────────────────────┘
//! ```

#[cfg(any(test, feature = "local"))]
pub(crate) mod conformance;
mod file;
mod memory;
mod progress;
mod saver;

use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc, time::SystemTime};

pub use file::FileCheckpoints;
pub use memory::MemoryCheckpoints;
pub(crate) use progress::{Ordinal, Progress};
pub(in crate::get) use saver::Saver;

use crate::{
    service::IteratorStart,
    shard::{SequenceNumber, ShardId},
};

/// The position up to which an application has finished one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The shard.
    pub shard_id: ShardId,
    /// The position.
    pub place: CheckpointPlace,
    /// The arrival time of the last record that was read, if any.
    pub arrived_at: Option<SystemTime>,
    /// The time before which everything that arrived is finished, set for a shard that was read to its tip. A store need not
    /// keep it. Without it, a shard that was quiet for longer than the stream's retention counts as one whose records may
    /// have expired.
    pub current_at: Option<SystemTime>,
    /// The creation time of the stream, which tells this stream from an earlier one of the same name. A store need not keep
    /// it. Without it, a checkpoint of the earlier stream is noticed only if the listing of shards contradicts it.
    pub stream_created_at: Option<SystemTime>,
}

impl Checkpoint {
    /// Makes a checkpoint at this place.
    #[must_use]
    pub fn new(shard_id: ShardId, place: CheckpointPlace) -> Self {
        Self {
            shard_id,
            place,
            arrived_at: None,
            current_at: None,
            stream_created_at: None,
        }
    }

    /// Sets the arrival time of the last record.
    #[must_use]
    pub fn arrived_at(mut self, time: SystemTime) -> Self {
        self.arrived_at = Some(time);
        self
    }

    /// Sets the time before which everything that arrived is finished.
    #[must_use]
    pub fn current_at(mut self, time: SystemTime) -> Self {
        self.current_at = Some(time);
        self
    }

    /// Sets the creation time of the stream.
    #[must_use]
    pub fn of_stream_created_at(mut self, time: SystemTime) -> Self {
        self.stream_created_at = Some(time);
        self
    }

    /// Returns the time up to which everything that arrived is known to be finished.
    pub(super) fn finished_until(&self) -> Option<SystemTime> {
        let begun = match self.place {
            CheckpointPlace::Timestamp(time) => Some(time),
            _ => None,
        };
        self.current_at.max(self.arrived_at).max(begun)
    }
}

/// The place in a shard up to which an application has finished it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointPlace {
    /// Nothing is finished: reading began at the oldest record.
    TrimHorizon,
    /// Nothing is finished: reading began at the first record that arrived at this time, to the millisecond.
    Timestamp(SystemTime),
    /// This record is finished, and all before it.
    After {
        /// The sequence number of the Kinesis record.
        sequence_number: SequenceNumber,
        /// The index of the last finished record in an aggregate; `None` if the whole Kinesis record is finished.
        sub_sequence_number: Option<u64>,
    },
    /// The whole shard is finished.
    ShardEnd,
}

impl CheckpointPlace {
    /// Returns the place of a shard of which nothing is finished; `None` for a start that has no such form.
    pub(super) fn where_begun(start: &IteratorStart) -> Option<Self> {
        match start {
            IteratorStart::TrimHorizon => Some(Self::TrimHorizon),
            IteratorStart::AtTimestamp(time) => Some(Self::Timestamp(*time)),
            IteratorStart::AfterSequenceNumber(number) => Some(Self::After {
                sequence_number: number.clone(),
                sub_sequence_number: None,
            }),
            IteratorStart::Latest | IteratorStart::AtSequenceNumber(_) => None,
        }
    }
}

/// The future that a call of a [`CheckpointStore`] returns.
pub type CheckpointFuture<'a, T> =
    Pin<Box<dyn Future<Output = Result<T, CheckpointError>> + Send + 'a>>;

/// A store of checkpoints, under the name of an application and of a stream.
///
/// Checkpoints must be durable when [`save`](Self::save) returns, as far as the store is durable at all. A `save` that is
/// dropped half way must leave the old or the new checkpoint of each shard. With the feature `local`,
/// `local::check_checkpoint_store` checks a store of yours.
///
/// # Examples
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use std::{collections::BTreeMap, sync::{Arc, Mutex}};
/// use bytes::Bytes;
/// use kinesis_pipeline::{
///     Checkpoint, CheckpointError, CheckpointFuture, CheckpointStore, KinesisStream, LocalKinesis, ShardId, StartAt, Until,
/// };
///
/// /// Stands for a table whose key is application, stream and shard.
/// #[derive(Debug, Default)]
/// struct Database {
///     rows: Mutex<BTreeMap<(String, String, ShardId), Checkpoint>>,
/// }
///
/// impl Database {
///     fn change<T>(
///         &self,
///         change: impl FnOnce(&mut BTreeMap<(String, String, ShardId), Checkpoint>) -> T,
///     ) -> Result<T, CheckpointError> {
///         let mut rows = self.rows.lock().map_err(|_| CheckpointError::new("the database", "it broke"))?;
///         Ok(change(&mut rows))
///     }
/// }
///
/// impl CheckpointStore for Database {
///     fn load<'a>(&'a self, app: &'a str, stream: &'a str) -> CheckpointFuture<'a, Vec<Checkpoint>> {
///         Box::pin(async move {
///             self.change(|rows| {
///                 let mine = rows.iter().filter(|((a, s, _), _)| a == app && s == stream);
///                 mine.map(|(_, checkpoint)| checkpoint.clone()).collect()
///             })
///         })
///     }
///
///     fn save<'a>(&'a self, app: &'a str, stream: &'a str, checkpoints: Vec<Checkpoint>) -> CheckpointFuture<'a, ()> {
///         Box::pin(async move {
///             self.change(|rows| {
///                 for checkpoint in checkpoints {
///                     let key = (app.to_owned(), stream.to_owned(), checkpoint.shard_id.clone());
///                     rows.insert(key, checkpoint);
///                 }
///             })
///         })
///     }
///
///     fn remove<'a>(&'a self, app: &'a str, stream: &'a str, shards: Vec<ShardId>) -> CheckpointFuture<'a, ()> {
///         Box::pin(async move {
///             self.change(|rows| {
///                 for shard in shards {
///                     rows.remove(&(app.to_owned(), stream.to_owned(), shard));
///                 }
///             })
///         })
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 1).await?;
/// stream.put(&"21.5".into()).await?;
/// let store = Arc::new(Database::default());
/// let reader = stream.reader().start(StartAt::TrimHorizon).until(Until::Tip);
/// let mut records = reader.checkpoints(store.clone(), "billing").open().await?;
/// while let Some(record) = records.next().await {
///     println!("{:?}", record?.data);
/// }
/// assert_eq!(store.load("billing", "readings").await?.len(), 1);
/// # Ok(())
/// # }
/// ```
pub trait CheckpointStore: fmt::Debug + Send + Sync + 'static {
    /// Returns all checkpoints of an application in a stream, in any order.
    fn load<'a>(&'a self, app: &'a str, stream: &'a str) -> CheckpointFuture<'a, Vec<Checkpoint>>;

    /// Stores these checkpoints in place of older ones of the same shards. Those of other shards stay.
    fn save<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        checkpoints: Vec<Checkpoint>,
    ) -> CheckpointFuture<'a, ()>;

    /// Removes the checkpoints of these shards. It is no error if there are none.
    fn remove<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        shards: Vec<ShardId>,
    ) -> CheckpointFuture<'a, ()>;
}

impl<S: CheckpointStore + ?Sized> CheckpointStore for Arc<S> {
    fn load<'a>(&'a self, app: &'a str, stream: &'a str) -> CheckpointFuture<'a, Vec<Checkpoint>> {
        (**self).load(app, stream)
    }

    fn save<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        checkpoints: Vec<Checkpoint>,
    ) -> CheckpointFuture<'a, ()> {
        (**self).save(app, stream, checkpoints)
    }

    fn remove<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        shards: Vec<ShardId>,
    ) -> CheckpointFuture<'a, ()> {
        (**self).remove(app, stream, shards)
    }
}

/// An error of a store that cannot be read or written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CheckpointError {
    /// The store: a path, a table.
    pub place: String,
    is_retryable: bool,
    source: Arc<dyn Error + Send + Sync>,
}

impl CheckpointError {
    /// Makes an error of the store at this place.
    pub fn new(place: impl Into<String>, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            place: place.into(),
            is_retryable: true,
            source: Arc::from(source.into()),
        }
    }

    /// Marks the error as one that no later try can mend: a reader ends with it at once.
    #[must_use]
    pub fn not_retryable(mut self) -> Self {
        self.is_retryable = false;
        self
    }

    /// Whether the same call may succeed later. True unless [`not_retryable`](Self::not_retryable) was called.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.is_retryable
    }
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = &self.place;
        write!(
            f,
            "the checkpoint store at {place} failed; reading can go on when it works again"
        )
    }
}

// Written by hand: the derived source would be the `Arc`, and could not be downcast to the store's error.
impl Error for CheckpointError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
