//! Leases: who may read which shard, decided without effects, and the stores that keep them.
//!
//! ```text
//!   store ── list ──> sightings: when did each counter move last, by our own clock
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
