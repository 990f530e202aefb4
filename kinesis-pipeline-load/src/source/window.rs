//! The raw bytes of the current row, kept beside the parser.

use std::io::{self, Read};

use super::ROW_BYTES_MAX;

/// A reader that keeps the bytes since the beginning of the current row, and refuses to read on at the size limit.
///
/// They are needed for rejects: the parser returns cells without quotes, but a rejected row is written as it was.
pub(super) struct Window<R> {
    inner: R,
    kept: Vec<u8>,
    /// The index of the first byte of `kept` that is still needed.
    start: usize,
    /// The place in the input of `kept[0]`.
    base: u64,
    is_full: bool,
    is_ended: bool,
}

/// The number of bytes from which bytes that are no longer needed are dropped.
const DROPPED_BYTES_MIN: usize = 1024 * 1024;

impl<R: Read> Window<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            kept: Vec::new(),
            start: 0,
            base: 0,
            is_full: false,
            is_ended: false,
        }
    }

    /// Forgets the bytes before this place of the input.
    pub(super) fn forget(&mut self, place: u64) {
        let start = usize::try_from(place.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.start = start.clamp(self.start, self.kept.len());
        if self.start >= DROPPED_BYTES_MIN {
            self.kept.drain(..self.start);
            self.base += self.start as u64;
            self.start = 0;
        }
    }

    /// Returns the bytes from the row's beginning to this place of the input.
    pub(super) fn until(&self, place: u64) -> &[u8] {
        let end = usize::try_from(place.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let end = end.clamp(self.start, self.kept.len());
        &self.kept[self.start..end]
    }

    /// Returns the number of bytes that were read.
    pub(super) fn end(&self) -> u64 {
        self.base + self.kept.len() as u64
    }

    /// Whether the end of the input was read.
    pub(super) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Whether the current row is too long.
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
        self.is_ended = bytes == 0;
        self.kept.extend_from_slice(&buffer[..bytes]);
        Ok(bytes)
    }
}
