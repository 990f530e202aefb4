//! Checkpoints of readers in Postgres, in Triton's table.
//!
//! ```text
//!   reader ── save ──> store ── words: a checkpoint as the columns of a row ──> triton_checkpoint
//!     ^                  │
//!     └────── load <─────┘        list, prune: for people and for the program
//! ```

mod store;
mod words;

#[cfg(test)]
mod tests;

pub use store::{PostgresCheckpoints, StoredCheckpoint};
