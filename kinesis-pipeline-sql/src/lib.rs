//! Writes streams of Amazon Kinesis to SQL databases: rows and positions in one transaction to Postgres, or to CrateDB.
//!
//! ```text
//!   stream ── Worker ── Batch ──> SqlProcessor: rows + position ── BEGIN .. COMMIT ──> Postgres
//!                ^                                   │
//!                └──────── begins at the position <──┘      a bad record ──> the worker's ErrorPolicy
//! ```
//!
//! See [`SqlSink`], and [`crate_db`] for CrateDB. [`row`] maps records to rows.

mod checkpoints;
pub mod crate_db;
mod error;
mod health;
mod postgres;
mod processor;
pub mod row;
mod sink;
#[cfg(test)]
#[expect(dead_code, reason = "the tests of the sink use more of it")]
#[path = "../tests/support/mod.rs"]
mod support;
mod table;

pub use checkpoints::{PostgresCheckpoints, StoredCheckpoint};
pub use error::SqlError;
pub use health::Health;
pub use processor::SqlProcessor;
pub use sink::{OpenSink, SqlSink};
pub use table::{NameError, TableName};
