//! Objects of many shards: fewer and larger files, with a manifest of what each holds.
//!
//! ```text
//!   ShardDelivery ── sealed object: a segment ──> Merger: a group for each folder
//!        ^                                            │ full, or waited long enough
//!        └── written: checkpoint ◄── manifest ◄── object: segments back to back
//! ```
//!
//! A segment is the object that a shard would have written alone: its range and its bytes are decided on the lease before.
//! A crash between the object and the checkpoints makes the same segments again, in an object with other company. Hence a
//! record may be in storage twice, but always as a part of the same segment: whoever reads by the manifests takes each
//! segment once.

mod manifest;
mod merger;
mod read;

pub(crate) use manifest::Manifest;
pub(crate) use merger::{MergeLimits, Merger};
pub use read::{MergedSegment, MergedSegments, merged_segments};
