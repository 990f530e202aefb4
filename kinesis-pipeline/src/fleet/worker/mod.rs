//! The workers of a fleet: who reads which shard, and what becomes of its records.
//!
//! ```text
//!   health_server ──> WorkerHandle <── observe: events, health, metrics <── notes of all below
//!
//!   LeaseCoordinator, one task per worker: list ── sync ── plan ── take ──> a shard's two tasks
//!        │ a lease that changed hands
//!        v
//!   LeaseRenewer: the only writer of its lease ── renew, checkpoint, end, release ──> LeaseStore
//!        ^ orders                 │ hold: held, asked for, lost
//!        │                        v
//!   shard::ShardConsumer: RawShardReader ── gather ──> Batch ──> Processor, or a lane for each of several
//! ```
//!
//! Renewals never wait for processing: they have a task of their own for each lease. A consumer gives out nothing
//! while its lease may have expired by this worker's own clock, and stops at once when it is lost.

mod batch;
mod builder;
mod checkpointer;
mod coordinator;
mod error;
#[cfg(feature = "health-server")]
mod health_json;
#[cfg(feature = "health-server")]
mod health_server;
mod hold;
mod observe;
mod policy;
mod processor;
mod renewer;
mod settings;
mod shard;
#[cfg(feature = "local")]
#[cfg(test)]
mod tests;
mod throughput;
mod worker;

pub use batch::Batch;
pub use builder::{Checkpointing, InvalidWorkerOption, WorkerBuilder};
pub use checkpointer::{Checkpointer, CheckpointerError, FencingToken};
pub use error::WorkerError;
#[cfg(feature = "health-server")]
pub use health_server::{HealthServer, HealthServerBuilder, HealthServerError};
#[cfg(not(feature = "metrics"))]
pub(crate) use observe::WorkerMetrics;
pub use observe::{ShardHealth, WorkerEvent, WorkerEvents, WorkerHealth, WorkerPhase};
pub use policy::ErrorPolicy;
pub use processor::{BadRecord, Processor, ProcessorError, ShardStart};
pub use worker::{Worker, WorkerHandle, WorkerReport};

use super::dead_letters::BoxError;
use crate::stream::KinesisStream;

/// A fleet.
impl<R> KinesisStream<R> {
    /// A worker to be set up: one of any number that share the stream's shards under this application name.
    pub fn worker(&self, app: impl Into<std::sync::Arc<str>>) -> WorkerBuilder<R> {
        WorkerBuilder::new(self.target.clone(), app.into())
    }
}
