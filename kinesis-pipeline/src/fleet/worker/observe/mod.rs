//! The observation of a worker from outside: its events, health and metrics.
//!
//! ```text
//!   coordinator, renewers, lanes ──> Observer ──> WorkerEvents (broadcast: receivers that lag miss the oldest)
//!                                       │    └──> metrics
//!                                       v
//!                                  ShardFacts + now ── judge ──> WorkerHealth
//! ```
//!
//! Observers never delay the worker. It notes facts under a short lock, once for each batch and each write of a lease.

mod event;
mod health;
mod metrics;
mod observer;

pub use event::{WorkerEvent, WorkerEvents};
pub use health::{ShardHealth, WorkerHealth, WorkerPhase};
#[cfg(not(feature = "metrics"))]
pub(crate) use metrics::WorkerMetrics;
pub(super) use observer::{Observer, RunGuard, StreamObserver};
