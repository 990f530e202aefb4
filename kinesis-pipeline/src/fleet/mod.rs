//! Fleets: workers that share the shards of a stream, their leases, and the lease table in DynamoDB.
//!
//! - `worker`: the workers: which leases they hold, and the processing of records.
//! - `lease`: leases, pure decisions about them, the trait of their stores, and stores in memory and in a file.
//! - `dead_letters`: the records that a processor gives up, and their way back into the stream.
//! - `properties`: the settings file of KCL's `MultiLangDaemon`.
//! - `simulation`: a fleet on virtual time by seed, with faults and a checker (feature `local`).
//! - `dynamodb`: workers' leases in DynamoDB (feature `dynamodb`, as all files below).
//! - `checkpoints`, `table_call`, `lease_cache`: readers' checkpoints in the same table.
//! - `row`, `extension`, `current`, `expression`, `write`, `table`: that table: attributes, conditions, writes, creation and scan.
//! - `place`: the conversion between KCL's checkpoints and this library's. `identity`: the owner of checkpoints.
//! - `signed`: calls that wait for new credentials. `error`: the error of the table.
//!
//! The table has KCL's layout. From a value of this library to an item of the table:
//!
//! ```text
//!   Checkpoint <── place ──> LeaseRow = Lease + Extension <── row, extension ──> item of the table
//!                               │
//!   DynamoDbCheckpoints ── table_call ── lease_cache: the rows that were seen last ──┐
//!   DynamoDbLeases (dynamodb) ───────────────────────────────────────────────────────┴─ expression ── write ── table
//! ```
//!
//! Java fleets read and write the same rows, so this library writes KCL's attributes as KCL does. Four attributes are
//! this library's own, and KCL ignores them: `kinesisPipeline` (the extension: facts about a reader's checkpoint that
//! KCL has no attribute for), `kinesisPipelineOwner` (an owner that hands over when asked), `kinesisPipelineBegunAt`
//! (the time at which a lease began) and `kinesisPipelineCurrent` (the time up to which a worker has finished a shard,
//! with the checkpoint that it belongs to).

#[cfg(feature = "dynamodb")]
mod checkpoints;
#[cfg(feature = "dynamodb")]
mod current;
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
#[cfg(feature = "local")]
pub use lease::conformance::check_lease_store;
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
