//! The delivery of one shard: records in, objects out, and its progress on the lease.
//!
//! ```text
//!   ShardProcessor (a fleet's) or run (a reader's)
//!        │ orders, one waits at most
//!        v
//!   task: batch, timer, end ── ShardDelivery ── place ──> Window ── due ──> sealed objects
//!                                   │
//!                                   ├── 1. prepare on the lease: end position, limits, encoder, keys
//!                                   ├── 2. write: create if absent
//!                                   └── 3. checkpoint, when no object is open
//! ```
//!
//! A crash between 1 and 3 leaves the end position on the lease. The next worker reads the same records, cuts them at
//! the same places, and writes the objects that are not there yet. `prepared` is the state that this needs.

mod deliver;
mod ledger;
mod place;
mod prepared;
mod processor;
mod task;

pub(crate) use ledger::Ledger;
pub(crate) use processor::ShardProcessor;
pub(crate) use task::{Ended, ShardTask, Shared};
