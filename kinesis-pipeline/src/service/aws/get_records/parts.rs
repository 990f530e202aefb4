//! The answer of `GetRecords` in CBOR, read in the parts in which the connection delivers it.
//!
//! ```text
//!   part 1                     part 2
//!   ├ record ┼ record ┼ rec┆   ┆ord ┼ record ┼ ..
//!                      └──────┬─────┘
//!                            cut: joined in a buffer of its own
//! ```
//!
//! Each part is read and freed while it is in the processor's cache. Read as a whole, a body of up to 10 MiB would first
//! be copied together, into memory that the kernel has to clear.

#[cfg(test)]
mod tests;

use std::mem;

use super::{Page, answer::PageReader};
use crate::{
    cbor::{Items, Scanner, is_cut},
    json::Malformed,
    service::aws::direct::ReadParts,
};

/// The smallest piece that is joined to a cut value before it is tried again; each further one is at least as large as all
/// before it. So the work is linear in the size of the body, however small its parts are.
const JOINED_BYTES_MIN: usize = 4 * 1_024;

/// A page whose body comes in parts.
pub(super) struct Parts {
    page: PageReader<Items>,
    /// The beginning of a value whose end has not come, and the bytes behind it that were not tried.
    cut: Vec<u8>,
    /// The number of bytes that `cut` needs before it is tried again: more than it has, if it has any.
    tried_again_at: usize,
    /// The number of bytes that were read before those of `cut`.
    passed: usize,
    failed: Option<Malformed>,
    /// The bytes of all tries.
    #[cfg(test)]
    tried_bytes: usize,
}

impl Parts {
    /// Makes a reader of a body of this size; 0 if it is not known.
    pub(super) fn new(body_bytes: usize) -> Self {
        Self {
            page: PageReader::new(body_bytes),
            cut: Vec::new(),
            tried_again_at: 0,
            passed: 0,
            failed: None,
            #[cfg(test)]
            tried_bytes: 0,
        }
    }

    /// Joins bytes of a part to the cut value, until that is read. Returns the unread rest of the part.
    fn join<'p>(&mut self, part: &'p [u8]) -> &'p [u8] {
        let mut joined = 0;
        while !self.cut.is_empty() && joined < part.len() {
            let more = self.tried_again_at - self.cut.len();
            let end = part.len().min(joined + more);
            self.cut.extend_from_slice(&part[joined..end]);
            joined = end;
            if self.cut.len() == self.tried_again_at {
                let unread = self.read_cut();
                if unread <= joined {
                    self.cut.clear();
                    return &part[joined - unread..];
                }
                self.cut.drain(..self.cut.len() - unread);
                self.try_later();
            }
        }
        &part[joined..]
    }

    /// Reads whole values of `cut`. Returns the number of bytes that were not read.
    fn read_cut(&mut self) -> usize {
        let cut = mem::take(&mut self.cut);
        let unread = cut.len() - self.read(&cut);
        self.cut = cut;
        unread
    }

    /// Notes that `cut` was tried.
    fn try_later(&mut self) {
        let bytes = self.cut.len();
        self.tried_again_at = bytes + bytes.max(JOINED_BYTES_MIN);
    }

    /// Reads whole values. Returns the number of bytes that were read; after a failure all count as read.
    fn read(&mut self, bytes: &[u8]) -> usize {
        #[cfg(test)]
        {
            self.tried_bytes += bytes.len();
        }
        let mut scanner = Scanner::new(bytes);
        let mut read = 0;
        let failed = loop {
            if self.page.is_whole() {
                break scanner.end().err();
            }
            match self.page.step(&mut scanner) {
                Ok(()) => read = bytes.len() - scanner.rest_bytes(),
                Err(error) => break Some(error).filter(|error| !is_cut(error)),
            }
        };
        if let Some(error) = failed {
            self.failed = Some(self.at(error));
            return bytes.len();
        }
        self.passed += read;
        read
    }

    /// Reads the page to its end, from what was not read before.
    fn read_to_end(&mut self) -> Result<(), Malformed> {
        let mut scanner = Scanner::new(&self.cut);
        while !self.page.is_whole() {
            let step = self.page.step(&mut scanner);
            step.map_err(|error| self.at(error))?;
        }
        scanner.end().map_err(|error| self.at(error))
    }

    /// Returns the error with its offset in the body.
    fn at(&self, error: Malformed) -> Malformed {
        Malformed {
            offset: self.passed + error.offset,
            ..error
        }
    }
}

impl ReadParts<Page> for Parts {
    fn push(&mut self, part: &[u8]) {
        let rest = self.join(part);
        if self.failed.is_none() && !rest.is_empty() {
            let read = self.read(rest);
            self.cut.extend_from_slice(&rest[read..]);
            self.try_later();
        }
    }

    fn end(mut self: Box<Self>) -> Result<Page, Malformed> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.read_to_end()?;
        Ok(self.page.finish())
    }
}

/// Reads a body in these parts.
#[cfg(test)]
pub(super) fn read(parts: &[&[u8]]) -> Result<Page, Malformed> {
    let body_bytes = parts.iter().map(|part| part.len()).sum();
    let mut reader = Box::new(Parts::new(body_bytes));
    for part in parts {
        reader.push(part);
    }
    reader.end()
}
