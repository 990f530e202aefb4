//! The coordinator of one worker: its view of the fleet, and its decisions.
//!
//! - `coordinator`: the driver: rounds, and the end of tasks.
//! - `round`: one list of the leases, and the actions of the plan.
//! - `sync`: missing leases, and leases that are not needed any more.
//! - `streams`: the streams, with those that fail or are made again.
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
