//! The map from hash keys to shards.
//!
//! - `shard_map`: the map of open shards, and the placement of records by it.
//! - `refresh`: when to list the shards again, with intervals and back-off.
//! - `known`: the range of each shard that was ever listed, and the judgement of where a record landed.

pub(super) mod known;
pub(super) mod refresh;
pub(super) mod shard_map;
