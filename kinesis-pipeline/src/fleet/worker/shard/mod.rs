//! The work on one shard, from its reader to the processors.
//!
//! ```text
//!   RawShardReader ── gather ──> RawBatch ──> Lane ──> Processor          one lane: on the consumer's own task
//!                             │
//!                             └─ lanes: a lane per processor, each on a task of its own
//! ```
//!
//! - `consumer`: the driver: reads, dispatches batches, leaves the shard.
//! - `context`: the parts that the driver and the lanes share.
//! - `gather`: batches by count, bytes and time.
//! - `decode`: conversions of records and positions between reader, lease and processor.
//! - `lane`, `process`: one processor: its calls, and the error policy for its batches.
//! - `undecodable`: the decoding of a batch, and the handling of records that cannot be decoded.
//! - `lanes`: several processors for one shard.
//! - `end`: the end of the shard: the leases of its children, then its own.

mod consumer;
mod context;
mod decode;
mod end;
mod gather;
mod lane;
mod lanes;
mod process;
mod undecodable;

pub(super) use consumer::{Outcome, ShardConsumer};
pub(super) use context::ShardContext;
