use std::time::SystemTime;

use super::KinesisStream;
use crate::{
    get::{
        GetError, Reader, Records, ShardReaderBuilder, ShardSelector, StartAt, deregister_consumer,
        list_shards,
    },
    shard::{SequenceNumber, Shard, ShardId},
};

/// The methods that read.
impl<R> KinesisStream<R> {
    /// Returns a reader to be set up: its shards, its start and its end.
    pub fn reader(&self) -> Reader<R> {
        Reader::new(self.target.clone())
    }

    /// Returns a reader of one shard to be set up, which does not follow the shard's children.
    pub fn shard_reader(&self, shard_id: impl Into<ShardId>) -> ShardReaderBuilder<R> {
        ShardReaderBuilder::new(self.target.clone(), shard_id.into())
    }

    /// Reads all records that are put from now on, from all shards.
    ///
    /// Each shard's position is fixed when this returns. So a record that is put later is always read.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub async fn iter_from_latest(&self) -> Result<Records<R>, GetError> {
        self.reader().start(StartAt::Latest).open().await
    }

    /// Reads all retained records, and then new ones.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub async fn iter_from_all(&self) -> Result<Records<R>, GetError> {
        self.reader().start(StartAt::TrimHorizon).open().await
    }

    /// Reads the records after this sequence number in one shard, given by its number or id, and then the shard's
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

    /// Removes the consumer of this name, which [`Reader::fan_out`] registered. Its readers end with an error. If there
    /// is no such consumer, nothing happens.
    ///
    /// The service needs some seconds for the removal.
    ///
    /// # Errors
    /// [`GetError::Consumer`].
    pub async fn deregister_consumer(&self, name: &str) -> Result<(), GetError> {
        deregister_consumer(&self.target, name).await
    }

    /// Returns all retained shards, open and closed, sorted by id. A shard's number is its index in this list.
    ///
    /// # Errors
    /// [`GetError::Service`].
    pub async fn shards(&self) -> Result<Vec<Shard>, GetError> {
        list_shards(&self.target).await
    }
}
