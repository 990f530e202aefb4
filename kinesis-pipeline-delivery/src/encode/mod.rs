//! Bytes of objects: the framing of records, and compression in blocks.
//!
//! ```text
//!   record ── Format: framed ──> raw bytes of an object ── Encoder, a block at a time ──> compressed bytes
//! ```
//!
//! Blocks are compressed one by one and leave nothing behind in the encoder; checksum and length stay with the object.
//! So ten thousand open objects share one encoder. The bytes depend on the records, the settings and [`VERSION`] alone:
//! no time, no file name, no thread count.

mod compression;
mod encoder;
mod format;

pub use compression::Compression;
pub(crate) use encoder::{Encoder, Tail};
pub use format::Format;
pub(crate) use format::failed_line;

/// The version of the encoders. It must change whenever the same records give other bytes.
pub(crate) const VERSION: u32 = 2;

/// The most raw bytes that are compressed together. Gzip looks back 32 KiB; larger blocks gain less than 1 %.
pub(crate) const BLOCK_BYTES: usize = 256 * 1024;
