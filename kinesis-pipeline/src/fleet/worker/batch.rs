use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{
    GetError, Record,
    fleet::lease::StreamIdentifier,
    service::StreamId,
    shard::{Position, ShardId},
};

/// Records of one shard, in order.
///
/// Records that cannot be decoded come in batches of their own, without [`records`](Self::records), unless the
/// [`ErrorPolicy`](super::ErrorPolicy) decides about them.
#[derive(Debug)]
#[non_exhaustive]
pub struct Batch<R> {
    /// The records.
    pub records: Vec<Record<R>>,
    /// The lag behind the tip of the shard, as of the last record's page; `None` if the service did not report it.
    pub behind_latest: Option<Duration>,
    /// The number of times that this batch was given out before: 0 at first, more in a retry.
    pub attempt: u32,
    /// `None` in a batch that did not come from a worker.
    pub(super) origin: Option<Arc<BatchOrigin>>,
    pub(super) last: Option<Position>,
    pub(super) undecodable: Undecodable,
}

/// The shard that batches come from.
#[derive(Debug)]
pub(super) struct BatchOrigin {
    pub(super) stream: StreamId,
    /// `None` in a fleet whose lease keys do not name the stream.
    pub(super) identifier: Option<StreamIdentifier>,
    pub(super) shard_id: ShardId,
}

/// The records of a batch that could not be decoded.
#[derive(Debug, Default)]
pub(super) struct Undecodable {
    errors: Vec<GetError>,
    taken: Taken,
}

/// A flag that is set when the processor takes the undecodable records of a batch. The worker reads it after the
/// processor's call has returned. That return orders the two accesses, so they are relaxed.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken(Option<Arc<AtomicBool>>);

impl Undecodable {
    pub(super) fn push(&mut self, error: GetError) {
        self.taken.0.get_or_insert_default();
        self.errors.push(error);
    }

    /// Adds records that the error policy has decided about. The processor may take them or not.
    pub(super) fn push_passed(&mut self, error: GetError) {
        self.errors.push(error);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether the processor has records to take.
    pub(super) fn has_untaken(&self) -> bool {
        self.taken.is_missing()
    }

    /// Returns the flag that is set when the processor takes them.
    pub(super) fn taken(&self) -> Taken {
        self.taken.clone()
    }
}

impl Taken {
    /// Whether the processor has left records that it had to take.
    pub(super) fn is_missing(&self) -> bool {
        let taken = self.0.as_ref();
        taken.is_some_and(|taken| !taken.load(Ordering::Relaxed))
    }
}

impl<R> Batch<R> {
    /// Makes a batch as a worker gives it out, for tests of your processor.
    #[must_use]
    pub fn new(records: Vec<Record<R>>) -> Self {
        Self {
            last: records.last().map(|record| record.position().clone()),
            origin: None,
            records,
            undecodable: Undecodable::default(),
            behind_latest: None,
            attempt: 0,
        }
    }

    /// Returns the batch as one of this shard, for tests of a processor that asks for it.
    #[must_use]
    pub fn with_shard(self, stream: impl Into<StreamId>, shard_id: impl Into<ShardId>) -> Self {
        let origin = BatchOrigin {
            stream: stream.into(),
            identifier: None,
            shard_id: shard_id.into(),
        };
        Self {
            origin: Some(Arc::new(origin)),
            ..self
        }
    }

    /// Returns the stream, as its handle was made. `None` only for a batch that you made yourself: see
    /// [`with_shard`](Self::with_shard).
    #[must_use]
    pub fn stream(&self) -> Option<&StreamId> {
        Some(&self.origin.as_ref()?.stream)
    }

    /// Returns the stream's name in the lease table, with its account and its creation time. They tell a stream from an
    /// earlier one of the same name. `None` unless the worker's lease keys name the stream: see
    /// [`WorkerBuilder::multi_stream`](super::WorkerBuilder::multi_stream).
    #[must_use]
    pub fn stream_identifier(&self) -> Option<&StreamIdentifier> {
        self.origin.as_ref()?.identifier.as_ref()
    }

    /// Returns the shard. Shards of two streams have the same ids: use it together with the [`stream`](Self::stream) as
    /// a key. `None` only for a batch without records that you made yourself.
    ///
    /// ```
    /// use kinesis_pipeline::{Batch, ShardId};
    ///
    /// fn file_of<R>(batch: &Batch<R>) -> Option<String> {
    ///     Some(format!("{}/{}.log", batch.stream()?.name(), batch.shard_id()?))
    /// }
    ///
    /// let batch = Batch::<String>::new(Vec::new()).with_shard("readings", "shardId-000000000000");
    /// assert_eq!(file_of(&batch).as_deref(), Some("readings/shardId-000000000000.log"));
    /// ```
    #[must_use]
    pub fn shard_id(&self) -> Option<&ShardId> {
        let of_last = || self.last.as_ref().map(|last| &last.shard_id);
        let origin = self.origin.as_ref();
        origin.map(|origin| &origin.shard_id).or_else(of_last)
    }

    /// Takes the records that could not be decoded, in their order. Each is a [`GetError::Decode`] with its raw bytes.
    ///
    /// They are finished with the batch. A processor that returns `Ok` without taking them gets them again, as after an
    /// error of its own. The [`ErrorPolicy`](super::ErrorPolicy) limits how often.
    ///
    /// ```
    /// use kinesis_pipeline::{Batch, BoxError, GetError, KinesisRecord};
    ///
    /// async fn process<R: KinesisRecord>(mut batch: Batch<R>) -> Result<(), BoxError> {
    ///     for error in batch.take_undecodable() {
    ///         if let GetError::Decode { position, raw, .. } = error {
    ///             eprintln!("{position}: {} bytes put aside", raw.len());
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn take_undecodable(&mut self) -> Vec<GetError> {
        if let Some(taken) = &self.undecodable.taken.0 {
            taken.store(true, Ordering::Relaxed);
        }
        std::mem::take(&mut self.undecodable.errors)
    }

    /// Returns the records that could be decoded.
    pub fn iter(&self) -> std::slice::Iter<'_, Record<R>> {
        self.records.iter()
    }

    /// Returns the position of the last record: checkpoint it to finish the batch. `None` for a batch without records,
    /// and while undecodable records are not yet taken by [`take_undecodable`](Self::take_undecodable), so that no
    /// saved position passes over them.
    #[must_use]
    pub fn last_position(&self) -> Option<&Position> {
        let last = self.last.as_ref();
        last.filter(|_| !self.undecodable.has_untaken())
    }
}

impl<R> IntoIterator for Batch<R> {
    type Item = Record<R>;
    type IntoIter = std::vec::IntoIter<Record<R>>;

    /// Returns the records that could be decoded.
    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

impl<'a, R> IntoIterator for &'a Batch<R> {
    type Item = &'a Record<R>;
    type IntoIter = std::slice::Iter<'a, Record<R>>;

    /// Returns the records that could be decoded.
    fn into_iter(self) -> Self::IntoIter {
        self.records.iter()
    }
}
