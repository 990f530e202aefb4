//! The decisions: what to send now, when to wake, what a response changes.
//!
//! - `scheduler`: the state machine. It takes `now` as an argument and does no I/O.
//! - `on_response`: the response to a request, or its failure: complete, retry, halve.
//! - `on_shards`: a new listing of shards, and records that landed in another shard than expected.
//! - `suspicion`: whether the stream may have been made again.
//! - `retry`: the retry policy: whether, when, how often.

pub(super) mod on_response;
pub(super) mod on_shards;
pub(super) mod retry;
pub(super) mod scheduler;
mod suspicion;
#[cfg(test)]
mod tests;
