//! The state: an account's streams, their shards, and the shards' records.
//!
//! ```text
//!   Core ── streams by name ──> Stream ── topology ──> Shard ── log ──> segments of records
//! ```
//!
//! There are two locks: one per stream for its topology, held for reading while records are put, so that a put and a
//! split exclude each other; and one per shard for its log. Neither is held across an await. No task runs: due changes (a
//! split, the end of a deletion, expired records) are made by the next call. Changes are marked in `changes` for a keeper,
//! if there is one; `saved` is the state in a serializable form.

pub(super) mod account;
#[cfg_attr(
    not(feature = "local-durable"),
    expect(
        dead_code,
        reason = "only a Kinesis with a data directory has a keeper"
    )
)]
pub(super) mod changes;
pub(super) mod consumer;
pub(super) mod iterator;
pub(super) mod log;
pub(super) mod names;
pub(super) mod page_token;
#[cfg(feature = "local-durable")]
pub(super) mod saved;
pub(super) mod sequence;
pub(super) mod shard;
pub(super) mod stream;
pub(super) mod topology;
