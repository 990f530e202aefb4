//! A reader of one shard, which follows no children and keeps no checkpoints.
//!
//! - `reader`: the public reader and its builder.
//! - `raw`: the reader under it, which does not decode records: a worker of a fleet does that itself.

pub(super) mod raw;
pub(super) mod reader;
