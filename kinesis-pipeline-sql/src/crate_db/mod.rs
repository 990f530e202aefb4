//! CrateDB: rows through HTTP `/_sql`, and the positions after them.
//!
//! ```text
//!   fleet ── batch ──> processor ── Columns::row ──> encode ──> bulk ──┐ rows, by their key
//!     ^                    │                                           v
//!     │                    └── then the position ──> positions ──> client ── transport ──> /_sql
//!     └── start_after: the position of the table <──────┘      dialect: all statements
//! ```
//!
//! - `sink`, `builder`: the facade and its settings.
//! - `processor`: the work on one shard.
//! - `encode`: rows as JSON arguments, versions of rows.
//! - `bulk`: rows of a batch, of which only the failed ones are sent again.
//! - `positions`: the table of positions, by compare and set.
//! - `dialect`: all statements.
//! - `client`, `transport`, `answer`, `error`: calls with their tries, HTTP and TLS, answers, errors by their code.

mod answer;
mod builder;
mod bulk;
mod client;
mod dialect;
mod encode;
mod error;
mod positions;
mod processor;
mod sink;
mod transport;

#[cfg(test)]
mod tests;

pub use builder::{CrateDbSinkBuilder, InvalidCrateDbOption};
pub use dialect::{CrateDbType, InvalidName, ObjectPolicy};
pub use error::CrateDbError;
pub use positions::PositionError;
pub use processor::CrateDbProcessor;
pub use sink::{CrateDbSink, CrateDbSinkError};
pub use transport::InvalidNodeUrl;
