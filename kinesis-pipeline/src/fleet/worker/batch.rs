use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use crate::{GetError, Record, shard::Position};

/// Records of one shard, in order.
///
/// Records that cannot be decoded come in batches of their own, without [`records`](Self::records), unless the
/// [`ErrorPolicy`](super::ErrorPolicy) says what becomes of them.
#[derive(Debug)]
#[non_exhaustive]
pub struct Batch<R> {
    /// The records.
    pub records: Vec<Record<R>>,
    /// The lag of the last record's page behind the tip of the shard; `None` if the service did not say.
    pub behind_latest: Option<Duration>,
    /// The number of times that this batch was given out before: 0, more when it is retried.
    pub attempt: u32,
    pub(super) last: Option<Position>,
    pub(super) undecodable: Undecodable,
}

/// The records of a batch that could not be decoded.
#[derive(Debug, Default)]
pub(super) struct Undecodable {
    errors: Vec<GetError>,
    taken: Taken,
}

/// A flag: whether the processor has taken the records of a batch that could not be decoded. The worker reads it after the
/// processor's call has returned, which orders the two, so the accesses are relaxed.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken(Option<Arc<AtomicBool>>);

impl Undecodable {
    pub(super) fn push(&mut self, error: GetError) {
        self.taken.0.get_or_insert_default();
        self.errors.push(error);
    }

    /// Adds records that the error policy has decided about, whether the processor takes them or not.
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
    /// Whether the processor has left records that it should have taken.
    pub(super) fn is_missing(&self) -> bool {
        let taken = self.0.as_ref();
        taken.is_some_and(|taken| !taken.load(Ordering::Relaxed))
    }
}

impl<R> Batch<R> {
    /// Makes a batch as a worker would give it out, for tests of your processor.
    #[must_use]
    pub fn new(records: Vec<Record<R>>) -> Self {
        Self {
            last: records.last().map(|record| record.position().clone()),
            records,
            undecodable: Undecodable::default(),
            behind_latest: None,
            attempt: 0,
        }
    }

    /// Takes the records that could not be decoded, each a [`GetError::Decode`] with its raw bytes, in their order.
    ///
    /// They are finished with the batch. A processor that returns `Ok` without having taken them gets them again, as
    /// after an error of its own: the [`ErrorPolicy`](super::ErrorPolicy) says how often.
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

    /// Returns the position of the last record: checkpoint it to finish the batch. `None` for a batch without records, and
    /// as long as [`take_undecodable`](Self::take_undecodable) has not taken those that could not be decoded: a position
    /// that is stored does not pass over them.
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
