use std::fmt;

use crate::{
    get::{checkpoint::Saver, error::GetError},
    service::StreamId,
};

/// A handle that saves the checkpoints of a reader. Cheap to clone; it outlives the reader.
///
/// It is for work that goes on after the reader has ended: ack each record when its work is done, and let the handle
/// save the position of each shard. While the reader runs, it saves by itself too. Saves of the handle and of the
/// reader reach the store one after the other.
///
/// A later reader of the same application must not run yet: a save would move its checkpoints back.
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use std::sync::Arc;
/// use bytes::Bytes;
/// use kinesis_pipeline::{CheckpointStore, KinesisStream, LocalKinesis, MemoryCheckpoints, StartAt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 1).await?;
/// stream.put(&"a".into()).await?;
/// let store = Arc::new(MemoryCheckpoints::new());
/// let reader = stream.reader().start(StartAt::TrimHorizon).checkpoints(store.clone(), "app").require_ack();
/// let mut records = reader.open().await?;
/// let handle = records.checkpoint_handle().expect("the reader keeps checkpoints");
/// let record = records.next().await.expect("a record")?;
/// drop(records);
///
/// record.ack(); // the work is done later
/// handle.save().await?;
/// assert_eq!(store.load("app", "readings").await?.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CheckpointHandle {
    stream: StreamId,
    saver: Saver,
}

impl CheckpointHandle {
    pub(super) fn new(stream: StreamId, saver: Saver) -> Self {
        Self { stream, saver }
    }

    /// Saves the finished position of each shard, and returns when the store has it. Does nothing if all are saved.
    ///
    /// Without [`require_ack`](crate::Reader::require_ack) the last record that was given out counts as finished only
    /// when the next is asked for.
    ///
    /// Cancel safe: the next call saves the positions that a dropped call did not save.
    ///
    /// # Errors
    /// [`GetError::Checkpoint`]: the store could not be written, or took more than 30 s. The next call tries again.
    pub async fn save(&self) -> Result<(), GetError> {
        let saved = self.saver.save().await;
        saved.map_err(|error| GetError::checkpoint(&self.stream, error))
    }
}

impl fmt::Debug for CheckpointHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointHandle")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}
