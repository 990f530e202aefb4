//! Leases, the rights of workers to read shards: pure decisions about them, and stores for them.
//!
//! ```text
//!   store ── list ──> sightings: the time at which each counter last moved, by this machine's clock
//!                         │
//!          shards ──> sync: leases to make, holes, finished leases to delete
//!                         │
//!                        plan ──> actions: take, steal ── LeaseWrite ──> store (compare-and-set)
//! ```

#[cfg(any(test, feature = "local"))]
pub(crate) mod conformance;
mod file;
mod lead;
mod memory;
mod multi_stream;
pub(crate) mod plan;
pub(crate) mod sightings;
mod state;
mod store;
mod stream_identifier;
pub(crate) mod sync;
mod write;

pub use file::FileLeases;
pub use lead::FleetLead;
pub use memory::MemoryLeases;
pub(crate) use multi_stream::MultiStreamLeases;
pub use state::{Lease, LeaseCheckpoint, PendingCheckpoint, WorkerId};
pub use store::{LeaseFuture, LeaseStore, LeaseStoreError};
pub use stream_identifier::{InvalidStreamIdentifier, StreamIdentifier};
pub use write::{LeaseChange, LeaseWrite, LeaseWritten};
