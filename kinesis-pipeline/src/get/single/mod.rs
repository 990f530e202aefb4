//! A reader of one shard, which follows no children and keeps no checkpoints.
//!
//! - `reader`: the public reader and its builder.
//! - `raw`: the reader under it, of records that are not decoded: a worker of a fleet decodes them itself.

pub(super) mod raw;
pub(super) mod reader;
