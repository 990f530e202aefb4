//! The lease table of a fleet, as KCL lays it out, and the checkpoints in it.
//!
//! ```text
//!   Checkpoint <── place ──> LeaseRow = Lease + Extension <── row, extension ──> item of the table
//!                               │
//!   DynamoDbCheckpoints ── table_call, lease_cache: counters seen ──┐
//!   DynamoDbLeases (dynamodb) ──────────────────────────────────────┴─ expression: conditions ── write ── table
//! ```
//!
//! A row is a lease of KCL: Java fleets read and write it too, so this library keeps KCL's attributes as they are.
//! Facts that have no KCL attribute are in one attribute of this library, the extension. KCL ignores it.

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
mod extension;
#[cfg(feature = "dynamodb")]
mod identity;
pub(crate) mod lease;
#[cfg(feature = "dynamodb")]
mod lease_cache;
#[cfg(feature = "dynamodb")]
mod place;
mod properties;
#[cfg(feature = "dynamodb")]
mod row;
#[cfg(feature = "dynamodb")]
mod signed;
#[cfg(feature = "local")]
pub mod simulation;
#[cfg(feature = "dynamodb")]
mod table;
#[cfg(feature = "dynamodb")]
mod table_call;
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
    FileLeases, FleetLead, InvalidStreamIdentifier, Lease, LeaseChange, LeaseCheckpoint,
    LeaseFuture, LeaseStore, LeaseStoreError, LeaseWrite, LeaseWritten, MemoryLeases,
    PendingCheckpoint, StreamIdentifier, WorkerId,
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
#[cfg(feature = "local")]
pub use lease::conformance::check_lease_store;
