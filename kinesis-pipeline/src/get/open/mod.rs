//! The opening of a reader: its builder, the listing, and the first iterator of each shard.
//!
//! - `reader`: the public builder.
//! - `discover`: the listing, repeated until it can be believed.
//! - `checkpoints`: the checkpoints of the application, loaded first.
//! - `open`: the steps of opening, repeated while a listed shard is not known.
//! - `positions`: the calls that fix the position of every shard before `open` returns.
//! - `retained`: the check of checkpoints against retention.

mod checkpoints;
pub(super) mod discover;
pub(super) mod open;
pub(super) mod positions;
pub(super) mod reader;
pub(super) mod retained;
