//! The lease table of a fleet, as KCL lays it out, and the checkpoints in it.
//!
//! ```text
//!   Checkpoint <── place ──> LeaseRow = Lease + Mark <── row, mark ──> item of the table
//!                               │
//!   DynamoDbCheckpoints ── session, known: counters seen ──┐
//!   DynamoDbLeases (dynamodb) ─────────────────────────────┴─ expression: conditions ── write ── table: create, scan
//! ```
//!
//! A row is a lease of KCL: Java fleets read and write it, so nothing here changes what they rely on. What KCL has
//! no attribute for is in one attribute of ours, the mark, which KCL leaves alone.

#[cfg(feature = "dynamodb")]
mod checkpoints;
mod dead_letters;
#[cfg(feature = "dynamodb")]
mod dynamodb;
#[cfg(feature = "dynamodb")]
mod error;
#[cfg(feature = "dynamodb")]
mod expression;
#[cfg(feature = "dynamodb")]
mod identity;
#[cfg(feature = "dynamodb")]
mod known;
pub(crate) mod lease;
#[cfg(feature = "dynamodb")]
mod mark;
#[cfg(feature = "dynamodb")]
mod place;
mod properties;
#[cfg(feature = "dynamodb")]
mod row;
#[cfg(feature = "dynamodb")]
mod session;
#[cfg(feature = "dynamodb")]
mod signed;
#[cfg(feature = "local")]
pub mod simulation;
#[cfg(feature = "dynamodb")]
mod table;
#[cfg(feature = "dynamodb")]
#[cfg(test)]
mod tests;
mod worker;
#[cfg(feature = "dynamodb")]
mod write;

#[cfg(feature = "dynamodb")]
pub use checkpoints::DynamoDbCheckpoints;
pub use dead_letters::{
    BoxError, DeadLetter, DeadLetterFuture, DeadLetters, FileDeadLetters, Redrive, RedriveError,
    RedriveHandle, RedriveReport, StreamDeadLetters, dead_letters_to,
};
#[cfg(feature = "dynamodb")]
pub use dynamodb::DynamoDbLeases;
#[cfg(feature = "dynamodb")]
pub use error::LeaseError;
pub use lease::{
    FileLeases, FleetLead, Lease, LeaseChange, LeaseCheckpoint, LeaseFuture, LeaseStore,
    LeaseStoreError, LeaseWrite, LeaseWritten, MemoryLeases, PendingCheckpoint, WorkerId,
};
pub use properties::{PropertiesError, WorkerProperties};
#[cfg(not(feature = "metrics"))]
pub(crate) use worker::WorkerMetrics;
pub use worker::{
    BadRecord, Batch, Checkpointer, CheckpointerError, Checkpointing, ErrorPolicy, FencingToken,
    InvalidWorkerOption, Processor, ProcessorError, ShardHealth, ShardStart, Worker, WorkerBuilder,
    WorkerError, WorkerEvent, WorkerEvents, WorkerHandle, WorkerHealth, WorkerPhase, WorkerReport,
};
#[cfg(feature = "health-server")]
pub use worker::{HealthServer, HealthServerBuilder, HealthServerError};
