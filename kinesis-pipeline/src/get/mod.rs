//! Records out of a stream.
//!
//! ```text
//!   ListShards ── plan ──> lineage: which shards, parents before children
//!                             │ a shard may be read
//!                             v
//!   GetShardIterator ──> shard_state ── pace, retry, budget: what to call, when, how large
//!   GetRecords  <── fetch ───┤  │ a page
//!   SubscribeToShard <───────┘  │ an event is a page too
//!                               v
//!                 deliver: queue of pages, one after the other from each shard
//!                               │ on the caller's task
//!                               v
//!                 split: the records of an aggregate
//!                               v
//!                 decode ──> Records: Record<R> or one error item
//!                               │ taken or acked
//!                               v
//!                 checkpoint: progress, saver, stores
//! ```
//!
//! Shards are polled, or subscribed to as a `consumer`, by the rules of `shard_state::fan_out`.
//!
//! One task per reader, the `driver`, makes all calls. Everything it decides by is a state machine without
//! effects; the wish of the owner (take a page, stop, drop) reaches it through the queue.

mod checkpoint;
mod dispatch;
mod driver;
mod error;
mod fetch;
mod metrics;
mod open;
mod plan;
mod shard_reader;
mod stats;

#[cfg(test)]
mod tests;

use std::time::SystemTime;

#[cfg(all(test, feature = "dynamodb", feature = "local-server"))]
pub(crate) use checkpoint::conformance;
pub use checkpoint::{
    Checkpoint, CheckpointError, CheckpointFuture, CheckpointPlace, CheckpointStore,
    FileCheckpoints, MemoryCheckpoints,
};
pub(crate) use checkpoint::{Ordinal, Progress};
pub(crate) use dispatch::ack::Ack;
pub use dispatch::by_shard::{ByShard, ShardRecords};
pub use dispatch::channel::StopHandle;
pub(crate) use dispatch::deaggregate::UserRecord;
pub use dispatch::record::Record;
pub use dispatch::records::Records;
pub use error::GetError;
pub(crate) use fetch::consumer::ready as consumer_ready;
#[cfg(any(test, not(feature = "metrics")))]
pub(crate) use metrics::GetMetrics;
pub(crate) use open::one_shard::{OneShard, ShardItem};
pub(crate) use open::open::list_shards;
pub use open::reader::Reader;
pub use plan::mismatch::Mismatch;
pub(crate) use plan::options::Options as ReaderOptions;
pub(crate) use plan::plan::Begin;
pub use plan::start::{OnTrimmed, ShardSelector, StartAt, Until};
pub use stats::{ReaderStats, ShardStats};

use crate::{
    shard::{SequenceNumber, Shard},
    stream::KinesisStream,
};

/// Reading.
impl<R> KinesisStream<R> {
    /// A reader to be set up: which shards, from where, until when.
    pub fn reader(&self) -> Reader<R> {
        Reader::new(self.target.clone())
    }

    /// Reads what is put from now on, from all shards.
    ///
    /// Every shard's position is fixed when this returns: what is put afterwards is read.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub async fn iter_from_latest(&self) -> Result<Records<R>, GetError> {
        self.reader().start(StartAt::Latest).open().await
    }

    /// Reads everything that is retained, then what is put from now on.
    ///
    /// # Errors
    /// As [`Reader::open`].
    pub async fn iter_from_all(&self) -> Result<Records<R>, GetError> {
        self.reader().start(StartAt::TrimHorizon).open().await
    }

    /// Reads what follows the record with this number in this shard, given by its number or id, and then the
    /// shards that descend from it.
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

    /// Reads what arrived at this time or later, from all shards.
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
        fetch::consumer::deregister(&self.target, name).await
    }

    /// All shards that are retained, open and closed, sorted by id: a shard's number is its index here.
    ///
    /// # Errors
    /// [`GetError::Service`].
    pub async fn shards(&self) -> Result<Vec<Shard>, GetError> {
        list_shards(&self.target).await
    }
}
