//! The map from hash keys to shards.
//!
//! - `shard_map`: the map, and where a stored record landed by it.
//! - `refresh`: when to list the shards again: a token bucket of listings.
//! - `known`: the range of each shard that was ever listed, open or closed.

pub(super) mod known;
pub(super) mod refresh;
pub(super) mod shard_map;
