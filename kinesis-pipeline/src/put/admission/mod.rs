//! The way in: a record is encoded, its size is checked, and it waits for memory.
//!
//! - `encode`: the record in bytes, with its key, and the checks of both.
//! - `record_limit`: the largest record that the stream takes, asked of the service for a record over 1 MiB.
//! - `budget`: the memory limit. A put waits here while it is reached.
//! - `shared`: what all parts of one pipeline share, read-only or by atomics.
//! - `stats`, `metrics`: numbers for users and operators. They take numbers, never records.
//!
//! The lowest room: it imports no other room of the producer.

pub(super) mod budget;
pub(super) mod encode;
pub(super) mod metrics;
pub(super) mod record_limit;
pub(super) mod shared;
pub(super) mod stats;
