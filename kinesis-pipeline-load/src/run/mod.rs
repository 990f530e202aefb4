//! The run of a load.
//!
//! ```text
//!   thread:  Rows ── models ── Outputs (rejects, export) ──> Batch ──┐ bounded channel
//!   task:    Flight: put ── receipts in order ── Mark ──> resume file │
//!            Trial: shards, bytes, samples              <─────────────┘
//! ```

pub(crate) mod batch;
pub(crate) mod flight;
pub(crate) mod markers;
pub(crate) mod outputs;
pub(crate) mod progress;
pub(crate) mod resume;
pub(crate) mod rows;
pub(crate) mod scale;
pub(crate) mod shards;
mod tables;
pub(crate) mod trial;
