//! One worker's view of the fleet.
//!
//! - `coordinator`: the driver: rounds, and tasks that end.
//! - `round`: a look at the leases, and what the plan says.
//! - `sync`: leases that are missing, and leases of no more use.
//! - `streams`: the streams, and what becomes of one that fails or is made again.
//! - `write`: writes of leases that this worker does not hold.
//! - `follow`: work under a KCL 3 leader.
//! - `begin`: the tasks of a lease: its renewer and its consumer.

mod begin;
mod coordinator;
mod follow;
mod round;
mod streams;
mod sync;
mod write;

pub(super) use coordinator::LeaseCoordinator;
pub(super) use follow::Following;
pub(super) use streams::FleetStream;
