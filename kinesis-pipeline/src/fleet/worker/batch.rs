use std::time::Duration;

use crate::{GetError, Record, service::StreamId, shard::Position};

/// Records of one shard, in order.
#[derive(Debug)]
#[non_exhaustive]
pub struct Batch<R> {
    /// The stream, as its handle was made; `None` for a batch made by [`new`](Self::new).
    pub stream: Option<StreamId>,
    /// The records.
    pub records: Vec<Record<R>>,
    /// The records that could not be decoded, each a [`GetError::Decode`] with its raw bytes.
    pub undecodable: Vec<GetError>,
    /// The lag of the last record's page behind the tip of the shard; `None` if the service did not say.
    pub behind_latest: Option<Duration>,
    /// The number of times that this batch was given out before: 0, more when it is retried.
    pub attempt: u32,
    pub(super) last: Option<Position>,
}

impl<R> Batch<R> {
    /// A batch as a worker would give it out, for tests of your processor.
    #[must_use]
    pub fn new(records: Vec<Record<R>>) -> Self {
        Self {
            last: records.last().map(|record| record.position().clone()),
            stream: None,
            records,
            undecodable: Vec::new(),
            behind_latest: None,
            attempt: 0,
        }
    }

    /// The records that could be decoded.
    pub fn iter(&self) -> std::slice::Iter<'_, Record<R>> {
        self.records.iter()
    }

    /// The position of the last record, one that could not be decoded included: checkpoint it to finish the batch.
    #[must_use]
    pub fn last_position(&self) -> Option<&Position> {
        self.last.as_ref()
    }
}

impl<R> IntoIterator for Batch<R> {
    type Item = Record<R>;
    type IntoIter = std::vec::IntoIter<Record<R>>;

    /// The records that could be decoded.
    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

impl<'a, R> IntoIterator for &'a Batch<R> {
    type Item = &'a Record<R>;
    type IntoIter = std::slice::Iter<'a, Record<R>>;

    /// The records that could be decoded.
    fn into_iter(self) -> Self::IntoIter {
        self.records.iter()
    }
}
