//! The lease table of a fleet, as KCL lays it out, and the checkpoints in it.
//!
//! ```text
//!   Checkpoint <── place ──> LeaseRow + Mark <── row, mark ──> item of the table
//!                               │
//!   DynamoDbCheckpoints ── known: counters seen ── write: conditional on them ── table: create, wait, scan
//! ```
//!
//! A row is a lease of KCL: Java fleets read and write it, so nothing here changes what they rely on. What KCL has
//! no attribute for is in one attribute of ours, the mark, which KCL leaves alone.

mod checkpoints;
mod error;
mod identity;
mod known;
mod mark;
mod place;
mod row;
mod session;
mod signed;
mod table;
#[cfg(test)]
mod tests;
mod write;

pub use checkpoints::DynamoDbCheckpoints;
pub use error::LeaseError;
