//! The opening of a reader: its builder, the listing, and the first iterator of each shard.
//!
//! - `reader`: the public builder.
//! - `open`: the calls that fix the position of every shard before `open` returns.
//! - `retained`: the check of checkpoints against retention.

pub(super) mod discover;
pub(super) mod open;
pub(super) mod reader;
pub(super) mod retained;
