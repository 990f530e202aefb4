//! The bytes of the row that is being read, kept beside the parser.

use std::io::{self, Read};

use super::ROW_BYTES_MAX;

/// A reader that keeps what it read since the row's beginning, and refuses to read on when that is too much.
///
/// The parser gives cells without their quotes; a rejected row is written as it was.
pub(super) struct Window<R> {
    inner: R,
    kept: Vec<u8>,
    /// The first byte of `kept` that is still wanted.
    start: usize,
    /// The place in the input of `kept[0]`.
    base: u64,
    is_full: bool,
}

/// Bytes that are not wanted any more are dropped once they are this many.
const DROPPED_BYTES_MIN: usize = 1024 * 1024;

impl<R: Read> Window<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            kept: Vec::new(),
            start: 0,
            base: 0,
            is_full: false,
        }
    }

    /// Forgets what stands before this place of the input.
    pub(super) fn forget(&mut self, place: u64) {
        let start = usize::try_from(place.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.start = start.clamp(self.start, self.kept.len());
        if self.start >= DROPPED_BYTES_MIN {
            self.kept.drain(..self.start);
            self.base += self.start as u64;
            self.start = 0;
        }
    }

    /// What stands from the row's beginning to this place of the input.
    pub(super) fn until(&self, place: u64) -> &[u8] {
        let end = usize::try_from(place.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let end = end.clamp(self.start, self.kept.len());
        &self.kept[self.start..end]
    }

    /// How many bytes were read.
    pub(super) fn end(&self) -> u64 {
        self.base + self.kept.len() as u64
    }

    /// Whether a row is longer than it may be.
    pub(super) fn is_full(&self) -> bool {
        self.is_full
    }
}

impl<R: Read> Read for Window<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.kept.len() - self.start > ROW_BYTES_MAX + buffer.len() {
            self.is_full = true;
            return Err(io::Error::other("the row is too long"));
        }
        let bytes = self.inner.read(buffer)?;
        self.kept.extend_from_slice(&buffer[..bytes]);
        Ok(bytes)
    }
}
