//! One worker's view of the fleet.
//!
//! - `coordinator`: the driver: rounds, and tasks that end.
//! - `round`: one round: list the leases, plan, act.
//! - `sync`: missing leases are made, useless ones removed.
//! - `write`: writes of leases that this worker does not hold.
//! - `follow`: work under a KCL 3 leader.
//! - `begin`: the tasks of a lease: its renewer and its consumer.

mod begin;
mod coordinator;
mod follow;
mod round;
mod sync;
mod write;

pub(super) use coordinator::LeaseCoordinator;
pub(super) use follow::Following;
