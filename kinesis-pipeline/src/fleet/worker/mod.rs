//! The workers of a fleet: the distribution of shards among them, and the processing of records.
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
//! Renewals never wait for processing: each lease has its own task for them. A consumer gives out no records while its
//! lease may have expired by this worker's own clock. It stops at once when the lease is lost.

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
mod lease_keys;
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
#[cfg(feature = "local")]
pub(super) use lease_keys::LeaseKeys;
#[cfg(not(feature = "metrics"))]
pub(crate) use observe::WorkerMetrics;
pub use observe::{ShardHealth, WorkerEvent, WorkerEvents, WorkerHealth, WorkerPhase};
pub use policy::ErrorPolicy;
pub use processor::{BadRecord, Processor, ProcessorError, ShardStart};
pub use worker::{Worker, WorkerHandle, WorkerReport};

use super::dead_letters::BoxError;
use crate::stream::KinesisStream;

/// The verb that starts a fleet.
impl<R> KinesisStream<R> {
    /// Returns a worker to be set up. Any number of workers share the stream's shards under one application name.
    pub fn worker(&self, app: impl Into<std::sync::Arc<str>>) -> WorkerBuilder<R> {
        WorkerBuilder::new(self.target.clone(), app.into())
    }
}
