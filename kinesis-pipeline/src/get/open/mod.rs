//! The opening of a reader: its builder, the listing, and the first iterator of each shard.
//!
//! - `reader`: the public builder.
//! - `discover`: the listing, repeated until it can be believed.
//! - `open`: the calls that fix the position of every shard before `open` returns.
//! - `one_shard`: a reader of one shard, for the workers of a fleet: it follows no children and saves no checkpoints.
//! - `retained`: the check of checkpoints against retention.

pub(super) mod discover;
pub(super) mod one_shard;
pub(super) mod open;
pub(super) mod reader;
pub(super) mod retained;
