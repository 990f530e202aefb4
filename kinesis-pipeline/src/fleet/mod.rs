//! The lease table of a fleet, as KCL lays it out, and the checkpoints in it.
//!
//! ```text
//!   Checkpoint <── place ──> LeaseRow + Mark <── row, mark ──> item of the table
//!                               │
//!   DynamoDbCheckpoints ── known: counters seen ── write: conditional on them ── table: create, wait, scan
//! ```
//!
//! A row is a lease of KCL: Java fleets read and write it, so nothing here changes what they rely on. What KCL has
//! no attribute for is in one attribute of ours, the mark, which KCL leaves alone.

#[cfg(feature = "fleet")]
mod checkpoints;
#[cfg(feature = "fleet")]
mod dynamodb;
#[cfg(feature = "fleet")]
mod error;
#[cfg(feature = "fleet")]
mod identity;
#[cfg(feature = "fleet")]
mod known;
pub(crate) mod lease;
#[cfg(feature = "fleet")]
mod mark;
#[cfg(feature = "fleet")]
mod place;
#[cfg(feature = "fleet")]
mod row;
#[cfg(feature = "fleet")]
mod session;
#[cfg(feature = "fleet")]
mod table;
#[cfg(feature = "fleet")]
#[cfg(test)]
mod tests;
mod worker;
#[cfg(feature = "fleet")]
mod write;

#[cfg(feature = "fleet")]
pub use checkpoints::DynamoDbCheckpoints;
#[cfg(feature = "fleet")]
pub use dynamodb::DynamoDbLeases;
#[cfg(feature = "fleet")]
pub use error::LeaseError;
pub use lease::{
    FileLeases, Lease, LeaseChange, LeaseCheckpoint, LeaseFuture, LeaseStore, LeaseStoreError,
    LeaseWrite, LeaseWritten, MemoryLeases, PendingCheckpoint, WorkerId,
};
pub use worker::{
    Batch, BoxError, Checkpointer, CheckpointerError, Checkpointing, DeadLetter, DeadLetterFuture,
    DeadLetters, ErrorPolicy, FencingToken, FileDeadLetters, InvalidWorkerOption, Processor,
    ShardStart, StreamDeadLetters, Worker, WorkerBuilder, WorkerError, WorkerHandle, WorkerReport,
    dead_letters_to,
};
