//! Records out of a stream.
//!
//! Each arrow is the way of data:
//!
//! ```text
//!   the shards of a listing ──> plan: the shards to read, parents before children
//!                                 │ a shard, with its start position
//!                                 v
//!                     shard_reader: one state machine per shard: the next call, its time and size
//!                                 ^ a page of GetRecords, or an event of SubscribeToShard (fetch)
//!                                 │
//!                               driver: makes the calls, hands the answers to the state machines
//!                                 │ pages, in order within each shard
//!                                 v
//!                     dispatch: channel ──> deaggregate ──> decode ──> Records: Record<R> or one error item
//!                                 │ records that were taken or acked           (on the caller's task)
//!                                 v
//!                     checkpoint: progress ──> saver ──> store
//! ```
//!
//! - `open`: the opening of a reader: lists the shards, loads checkpoints, fixes the position of each shard.
//! - `plan`: the shards to read, their start positions and ends. Pure functions.
//! - `driver`: the one task of an open reader. It makes all calls, except those that `open` made before.
//! - `fetch`: the calls, with their time limits.
//! - `shard_reader`: the decisions about one shard, without effects. A shard is polled, or a registered consumer
//!   subscribes to it (enhanced fan-out, `shard_reader/fan_out`).
//! - `dispatch`: pages to records, on the task of the caller.
//! - `checkpoint`: the position of an application in each shard, kept for its next start.
//! - `single`: a reader of one shard, over the same driver.
//! - `poll_budget`: the polls of quiet shards that one worker makes in a second.
//! - `error`, `error_text`: the public error, and its texts. `stats`, `metrics`: counters of a reader.
//!
//! The caller reaches the driver through the channel: it tells that a page was taken, that the reader shall stop, or
//! that it was dropped.

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
pub(crate) use dispatch::decode::item;
pub use dispatch::record::Record;
pub use dispatch::records::Records;
pub use error::GetError;
pub(crate) use fetch::consumer::{deregister as deregister_consumer, ready as consumer_ready};
#[cfg(any(test, not(feature = "metrics")))]
pub(crate) use metrics::GetMetrics;
pub(crate) use open::discover::{describe_stream, list_shards, list_whole};
pub use open::reader::Reader;
pub use plan::mismatch::Mismatch;
pub(crate) use plan::options::Options as ReaderOptions;
pub(crate) use plan::plan::Begin;
pub use plan::start::{OnTrimmed, ShardSelector, StartAt, Until};
pub(crate) use poll_budget::PollBudget;
pub(crate) use single::raw::{RawShardReader, ShardItem, SingleShard};
pub use single::reader::{ShardReader, ShardReaderBuilder};
pub(crate) use stats::ReaderGauge;
pub use stats::{ReaderStats, ShardStats};
