//! Merged objects of many shards: fewer and larger files, each with a manifest of its segments.
//!
//! ```text
//!   ShardDelivery ── sealed object: a segment ──> Merger: a group for each folder
//!        ^                                            │ full, or waited long enough
//!        └── written: checkpoint ◄── manifest ◄── object: segments back to back
//! ```
//!
//! A segment is the object that a shard would have written alone. Its range is recorded on the lease before it is
//! written, so its bytes are decided. After a crash between the object and the checkpoints the same segments are
//! written again, in an object with other segments. So a record may be in storage twice, but always in the same
//! segment: a reader that goes by the manifests takes each segment once.

mod manifest;
mod merger;
mod read;

pub(crate) use manifest::Manifest;
pub(crate) use merger::{MergeLimits, Merger};
pub use read::{MergedSegment, MergedSegments, merged_segments};
