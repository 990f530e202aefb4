use std::time::SystemTime;

use super::KinesisStream;
use crate::{
    get::{
        GetError, Reader, Records, ShardReaderBuilder, ShardSelector, StartAt, deregister_consumer,
        list_shards,
    },
    shard::{SequenceNumber, Shard, ShardId},
};

/// The verbs that read.
impl<R> KinesisStream<R> {
    /// Returns a reader to be set up: which shards, from where, until when.
    pub fn reader(&self) -> Reader<R> {
        Reader::new(self.target.clone())
    }

    /// Returns a reader of one shard to be set up, which does not follow the shard's children.
    pub fn shard_reader(&self, shard_id: impl Into<ShardId>) -> ShardReaderBuilder<R> {
        ShardReaderBuilder::new(self.target.clone(), shard_id.into())
    }

    /// Reads the records that are put from now on, from all shards.
    ///
    /// Every shard's position is fixed when this returns: records that are put afterwards are read.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub async fn iter_from_latest(&self) -> Result<Records<R>, GetError> {
        self.reader().start(StartAt::Latest).open().await
    }

    /// Reads all retained records, then those that are put from now on.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub async fn iter_from_all(&self) -> Result<Records<R>, GetError> {
        self.reader().start(StartAt::TrimHorizon).open().await
    }

    /// Reads the records after this sequence number in this shard, given by its number or id, and then the shard's
    /// descendants.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub async fn iter_from_sequence_number(
        &self,
        shard: impl Into<ShardSelector>,
        after: SequenceNumber,
    ) -> Result<Records<R>, GetError> {
        let shard = shard.into();
        let reader = self.reader().shards([shard.clone()]);
        reader.start_after(shard, after).open().await
    }

    /// Reads the records that arrived at this time or later, from all shards.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub async fn iter_from_timestamp(&self, time: SystemTime) -> Result<Records<R>, GetError> {
        self.reader().start(StartAt::Timestamp(time)).open().await
    }

    /// Removes the consumer of this name that [`Reader::fan_out`] registered; its readers end with an error. A
    /// consumer that is not there is removed already.
    ///
    /// The service takes some seconds to forget it.
    ///
    /// # Errors
    /// [`GetError::Consumer`].
    pub async fn deregister_consumer(&self, name: &str) -> Result<(), GetError> {
        deregister_consumer(&self.target, name).await
    }

    /// Returns all shards that are retained, open and closed, sorted by id: a shard's number is its index here.
    ///
    /// # Errors
    /// [`GetError::Service`].
    pub async fn shards(&self) -> Result<Vec<Shard>, GetError> {
        list_shards(&self.target).await
    }
}
