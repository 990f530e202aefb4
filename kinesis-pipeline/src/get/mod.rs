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
mod single;
mod stats;

#[cfg(test)]
mod tests;

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
pub use dispatch::checkpoint_handle::CheckpointHandle;
pub(crate) use dispatch::deaggregate::UserRecord;
pub use dispatch::record::Record;
pub use dispatch::records::Records;
pub use error::GetError;
pub(crate) use fetch::consumer::{deregister as deregister_consumer, ready as consumer_ready};
#[cfg(any(test, not(feature = "metrics")))]
pub(crate) use metrics::GetMetrics;
pub(crate) use open::discover::list_shards;
pub use open::reader::Reader;
pub use plan::mismatch::Mismatch;
pub(crate) use plan::options::Options as ReaderOptions;
pub(crate) use plan::plan::Begin;
pub use plan::start::{OnTrimmed, ShardSelector, StartAt, Until};
pub(crate) use single::raw::{RawShardReader, ShardItem, SingleShard};
pub use single::reader::{ShardReader, ShardReaderBuilder};
pub use stats::{ReaderStats, ShardStats};
