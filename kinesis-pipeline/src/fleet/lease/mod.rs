//! Leases, the rights of workers to read shards: pure decisions about them, and their stores.
//!
//! ```text
//!   store ── list ──> sightings: the time at which each counter last moved, by this machine's clock
//!                         │
//!          shards ──> sync: leases to make, holes, finished leases to delete
//!                         │
//!                        plan ──> actions: take, steal ── LeaseWrite ──> store (compare-and-set)
//! ```

#[cfg(test)]
pub(crate) mod conformance;
mod file;
mod lead;
mod memory;
pub(crate) mod plan;
pub(crate) mod sightings;
mod state;
mod store;
pub(crate) mod sync;
mod write;

pub use file::FileLeases;
pub use lead::FleetLead;
pub use memory::MemoryLeases;
pub use state::{Lease, LeaseCheckpoint, PendingCheckpoint, WorkerId};
pub use store::{LeaseFuture, LeaseStore, LeaseStoreError};
pub use write::{LeaseChange, LeaseWrite, LeaseWritten};
