//! Records out of a stream.
//!
//! ```text
//!   ListShards ── plan ──> lineage: which shards, parents before children
//!                             │ a shard may be read
//!                             v
//!   GetShardIterator ──> shard_reader ── poll pacer, retry, budget: the next call, its time and size
//!   GetRecords  <── fetch ───┤  │ a page
//!   SubscribeToShard <───────┘  │ an event is a page too
//!                               v
//!                 channel: queue of pages, in order within each shard
//!                               │ on the caller's task
//!                               v
//!                 deaggregate: the user records of an aggregate
//!                               v
//!                 decode ──> Records: Record<R> or one error item
//!                               │ taken or acked
//!                               v
//!                 checkpoint: progress, saver, stores
//! ```
//!
//! Shards are polled, or subscribed to as a `consumer`, by the rules of `shard_reader::fan_out`. `single` is a reader of
//! one shard over the same driver.
//!
//! One task per reader, the `driver`, makes all calls. Its decisions are state machines without effects. The messages of
//! the owner (page taken, stop, dropped) reach it through the channel.

mod checkpoint;
mod dispatch;
mod driver;
mod error;
mod error_text;
mod fetch;
mod metrics;
mod open;
mod plan;
mod poll_budget;
mod shard_reader;
mod single;
mod stats;

#[cfg(test)]
mod tests;

#[cfg(all(test, feature = "dynamodb", feature = "local-server"))]
pub(crate) use checkpoint::conformance;
#[cfg(feature = "local")]
pub use checkpoint::conformance::check_checkpoint_store;
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
pub(crate) use open::discover::{describe_stream, list_shards};
pub use open::reader::Reader;
pub(crate) use dispatch::decode::item;
pub use plan::mismatch::Mismatch;
pub(crate) use plan::options::Options as ReaderOptions;
pub(crate) use plan::plan::Begin;
pub use plan::start::{OnTrimmed, ShardSelector, StartAt, Until};
pub(crate) use poll_budget::PollBudget;
pub(crate) use single::raw::{RawShardReader, ShardItem, SingleShard};
pub use single::reader::{ShardReader, ShardReaderBuilder};
pub(crate) use stats::ReaderGauge;
pub use stats::{ReaderStats, ShardStats};
