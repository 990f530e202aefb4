//! The workers of a fleet: the distribution of shards among them, and the processing of records.
//!
//! A worker has one coordinator, and two tasks for each lease that it holds: a renewer and a consumer.
//!
//! ```text
//!   LeaseCoordinator: list ── sync ── plan ── take
//!        │ starts the two tasks of a lease that was taken; tells the renewer when another worker has or wants the lease
//!        v
//!   LeaseRenewer: the only writer of its lease ── renew, checkpoint, end, release ──> LeaseStore
//!        ^ LeaseCommand: checkpoint,   │ Hold: the lease is held, asked for by another worker, or lost
//!        │ save, end, release          v
//!   ShardConsumer: RawShardReader ── gather ──> Batch ──> Processor
//! ```
//!
//! - `coordinator`: which leases to take, keep and give. `lease_keys`: from shards to lease keys and back.
//! - `renewer`: the renewals of one lease, and its checkpoints. `hold`: the state of a lease that its tasks share.
//! - `shard`: the consumer: one shard's reading and processing. With several processors each gets its own lane
//!   (`shard/lanes`): a queue and a task.
//! - `processor`, `batch`, `checkpointer`, `policy`, `error`: the public types of a processor and its errors.
//! - `worker`, `builder`, `settings`: the worker itself, its builder and its settings.
//! - `observe`: events, health and metrics, from facts that the coordinator, the renewers and the consumers note.
//!   `health_server`, `health_json`: the health over HTTP.
//! - `throughput`: the processed bytes of a lease, by which a KCL 3 leader shares leases out.
//! - `read_times`: the times up to which a lease's shard was read, kept beside its checkpoint.
//!
//! Renewals never wait for processing, since the renewer is a task of its own. A consumer gives out no records while
//! its lease may have expired by this worker's own clock. When the lease is lost, the consumer drops the call of the
//! processor that is under way, calls its `lease_lost`, and gives out nothing more.

mod batch;
mod builder;
mod checkpointer;
mod coordinator;
mod error;
mod handle;
#[cfg(feature = "health-server")]
mod health_json;
#[cfg(feature = "health-server")]
mod health_server;
mod hold;
mod invalid_option;
mod lease_command;
mod lease_keys;
mod observe;
mod policy;
mod processor;
mod read_times;
mod renewer;
mod settings;
mod shard;
#[cfg(feature = "local")]
#[cfg(test)]
mod tests;
mod throughput;
mod worker;

pub use batch::Batch;
pub use builder::{Checkpointing, WorkerBuilder};
pub use checkpointer::{Checkpointer, CheckpointerError, FencingToken};
pub use error::WorkerError;
pub use handle::WorkerHandle;
#[cfg(feature = "health-server")]
pub use health_server::{HealthServer, HealthServerBuilder, HealthServerError};
pub use invalid_option::InvalidWorkerOption;
#[cfg(feature = "local")]
pub(super) use lease_keys::LeaseKeys;
#[cfg(not(feature = "metrics"))]
pub(crate) use observe::WorkerMetrics;
pub use observe::{ShardHealth, WorkerEvent, WorkerEvents, WorkerHealth, WorkerPhase};
pub use policy::ErrorPolicy;
pub use processor::{BadRecord, Processor, ProcessorError, ShardStart};
pub use worker::{Worker, WorkerReport};

use super::dead_letters::BoxError;
use crate::stream::KinesisStream;

/// The verb that starts a fleet.
impl<R> KinesisStream<R> {
    /// Returns a worker to be set up. Any number of workers share the stream's shards under one application name.
    pub fn worker(&self, app: impl Into<std::sync::Arc<str>>) -> WorkerBuilder<R> {
        WorkerBuilder::new(self.target.clone(), app.into())
    }
}
