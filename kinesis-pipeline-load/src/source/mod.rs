//! Sources of rows: files are opened, decompressed and cut into rows.
//!
//! ```text
//!   file ── Watched ── gzip or zstd by ending ──┬─ (ahead: a sample) ─ Delimited: Window ── csv ──> row, raw bytes
//!                                               └─ JsonLines: lines ── JSON ──> row, raw bytes
//! ```

mod ahead;
mod delimited;
mod json_lines;
mod open;
mod watched;
mod window;

use kinesis_pipeline::record::row::{Header, Row, RowError};

pub(crate) use ahead::{Sampled, read_ahead};
pub(crate) use delimited::Delimited;
pub(crate) use json_lines::{JsonLines, look_up};
pub(crate) use open::{Hashed, Opened, hash, open, open_path};

use crate::LoadError;

/// The most bytes that one row may have: 16 MiB. This limit finds a quote that is never closed; no stream takes more
/// than 10 MiB per record.
pub const ROW_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A row, and its bytes as they stand in the file.
pub(crate) struct SourceRow<'a> {
    pub(crate) row: Row<'a>,
    pub(crate) raw: &'a [u8],
}

/// A row that is not valid: its bytes, and the reason.
pub(crate) struct BadRow<'a> {
    pub(crate) raw: &'a [u8],
    pub(crate) error: RowError,
}

/// A table that is being read.
pub(crate) enum Table {
    Delimited(Delimited),
    JsonLines(JsonLines),
}

impl Table {
    pub(crate) fn header(&self) -> &Header {
        match self {
            Self::Delimited(table) => table.header(),
            Self::JsonLines(table) => table.header(),
        }
    }

    /// Returns the header as it stands in the file, if the file has one.
    pub(crate) fn raw_header(&self) -> Option<&[u8]> {
        match self {
            Self::Delimited(table) => Some(table.raw_header()),
            Self::JsonLines(_) => None,
        }
    }

    /// Returns the bytes of the rows that were handed out, and those that were taken from the file, both decompressed.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        match self {
            Self::Delimited(table) => table.bytes(),
            Self::JsonLines(table) => table.bytes(),
        }
    }

    /// Whether the next row needs a read of the input. The second byte of a line's end may still be there.
    pub(crate) fn is_drained(&self) -> bool {
        let (handed_out, taken) = self.bytes();
        taken.saturating_sub(handed_out) <= 1
    }

    /// Returns the next row, good or bad, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Result<SourceRow<'_>, BadRow<'_>>>, LoadError> {
        match self {
            Self::Delimited(table) => table.next(),
            Self::JsonLines(table) => table.next(),
        }
    }
}
