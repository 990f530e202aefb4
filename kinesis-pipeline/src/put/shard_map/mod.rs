pub(super) mod listing;
pub(super) mod refresh;
pub(super) mod shard_map;
