//! The plan of a reader: its shards with their start positions, and its end. Pure functions.
//!
//! - `plan`: the plan, made from a listing, the checkpoints and the options.
//! - `begin`: the start position of one shard.
//! - `start`: the public types `StartAt`, `Until`, `OnTrimmed`, `ShardSelector`.
//! - `mismatch`: the check for checkpoints of an earlier stream of the same name.
//! - `options`: the settings of the builder.
//! - `trimmed`: the policy for positions whose records have expired.

pub(super) mod begin;
pub(super) mod mismatch;
pub(super) mod options;
pub(super) mod plan;
pub(super) mod start;
pub(super) mod trimmed;
