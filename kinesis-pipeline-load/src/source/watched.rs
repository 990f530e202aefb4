//! The bytes of a file, counted as they are used. At the end, their number is compared with the file's length.

use std::{
    io::{self, BufRead, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// The size of one read of a file, in bytes.
pub(super) const READ_BYTES: usize = 256 * 1024;

/// The length that a file should have at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// It is not known: the input is a pipe or a reader.
    Unknown,
    /// The length at the open. A file may grow while it is read, and must not shrink.
    AtLeast(u64),
    /// The length of the bytes that were hashed.
    Exactly(u64),
}

/// A buffered reader that counts the bytes that are taken from it, and refuses a file whose length changed.
pub(super) struct Watched<R> {
    inner: BufReader<R>,
    name: String,
    length: Length,
    bytes: u64,
    is_ended: bool,
    /// The bytes of all files.
    all: Arc<AtomicU64>,
}

impl<R: Read> Watched<R> {
    pub(super) fn new(inner: R, name: &str, length: Length, all: &Arc<AtomicU64>) -> Self {
        Self {
            inner: BufReader::with_capacity(READ_BYTES, inner),
            name: name.to_owned(),
            length,
            bytes: 0,
            is_ended: false,
            all: Arc::clone(all),
        }
    }

    fn count(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.all.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Checks the number of bytes at the end of the file.
    fn end(&mut self) -> io::Result<()> {
        let was_ended = std::mem::replace(&mut self.is_ended, true);
        match self.length {
            Length::AtLeast(length) | Length::Exactly(length) if self.bytes < length => {
                Err(changed(length, &format!("it ends after {}", self.bytes)))
            }
            Length::AtLeast(length) if self.bytes > length && !was_ended => {
                tracing::warn!(file = %self.name, "the file grew while it was read: its last row may be cut");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Returns how many of these next bytes may be taken. Those that were hashed are all taken before any behind them is
    /// refused.
    fn permitted(&self, next: usize) -> io::Result<usize> {
        let Length::Exactly(length) = self.length else {
            return Ok(next);
        };
        match usize::try_from(length.saturating_sub(self.bytes)) {
            Ok(0) if next > 0 => Err(changed(length, "it has more now")),
            Ok(left) => Ok(next.min(left)),
            Err(_) => Ok(next),
        }
    }
}

fn changed(length: u64, now: &str) -> io::Error {
    io::Error::other(format!(
        "the file changed while it was loaded: it had {length} bytes, and {now}"
    ))
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut next = self.fill_buf()?;
        let bytes = next.read(buffer)?;
        self.consume(bytes);
        Ok(bytes)
    }
}

impl<R: Read> BufRead for Watched<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let next = self.inner.fill_buf()?.len();
        if next == 0 {
            self.end()?;
        }
        let bytes = self.permitted(next)?;
        Ok(&self.inner.buffer()[..bytes])
    }

    fn consume(&mut self, bytes: usize) {
        self.inner.consume(bytes);
        self.count(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(length: Length) -> (String, io::Result<usize>) {
        let mut read = Vec::new();
        let mut watched = Watched::new(&b"12345"[..], "t", length, &Arc::default());
        let end = watched.read_to_end(&mut read);
        (String::from_utf8(read).unwrap(), end)
    }

    #[test]
    fn a_file_that_shrank_is_refused_and_one_that_grew_if_it_was_hashed() {
        for length in [
            Length::Unknown,
            Length::AtLeast(5),
            Length::AtLeast(3),
            Length::Exactly(5),
        ] {
            let (read, end) = read(length);
            assert!(read == "12345" && end.is_ok(), "{length:?}");
        }
        for (length, taken, told) in [
            (Length::AtLeast(6), "12345", "6 bytes, and it ends after 5"),
            (Length::Exactly(6), "12345", "6 bytes, and it ends after 5"),
            (Length::Exactly(4), "1234", "4 bytes, and it has more now"),
        ] {
            let (read, end) = read(length);
            let error = end.unwrap_err().to_string();
            assert!(read == taken && error.ends_with(told), "{error}");
        }
    }

    #[test]
    fn only_bytes_that_are_taken_count() {
        let all = Arc::default();
        let mut watched = Watched::new(&b"12345"[..], "t", Length::Unknown, &all);
        assert_eq!(watched.fill_buf().unwrap(), b"12345");
        watched.consume(2);
        assert_eq!(all.load(Ordering::Relaxed), 2);
    }
}
