//! An arena: the data of a page's small records, copied one after the other into allocations of limited size.
//!
//! A record that is kept keeps its allocation, at most [`SHARED_BYTES_MAX`], and not the page of megabytes it came in.
//!
//! It differs from the arena of puts (`put/inbox/arena`) in the size of an allocation: the rest of a page bounds it, and the first
//! record of a page has memory of its own.

use std::borrow::Cow;

use base64_simd::{Out, STANDARD};
use bytes::{Bytes, BytesMut};

use crate::record::{COPIED_BYTES_MAX, SHARED_BYTES_MAX};

/// The data of a record, as it stands in the body of the page.
#[derive(Debug)]
pub(super) enum Data<'a> {
    Plain(Cow<'a, [u8]>),
    Base64(Cow<'a, [u8]>),
}

/// No data.
impl Default for Data<'_> {
    fn default() -> Self {
        Self::Plain(Cow::Borrowed(&[]))
    }
}

/// The arena of one page.
///
/// Invariant: the allocations take at most twice the bytes of the data in them, besides the last room of each, which was
/// too small for the next record.
#[derive(Debug, Default)]
pub(super) struct Arena {
    /// The unused rest of the allocation.
    room: BytesMut,
    /// The bytes of the records so far: the size of the next allocation, within its bounds.
    used: usize,
}

impl Arena {
    /// Copies or decodes a record's data, so that one kept record does not keep a page of megabytes. `rest` is an upper
    /// bound of its bytes and those of the data behind it. `None` if it is to be base64 and is not.
    #[inline]
    pub(super) fn keep(&mut self, data: Data<'_>, rest: usize) -> Option<Bytes> {
        match data {
            Data::Plain(data) => Some(self.copy(&data, rest)),
            Data::Base64(base64) => self.decode(&base64, rest),
        }
    }

    fn decode(&mut self, base64: &[u8], rest: usize) -> Option<Bytes> {
        let bytes = STANDARD.decoded_length(base64).ok()?;
        self.write(bytes, rest, |room| {
            STANDARD.decode(base64, Out::from_slice(room)).is_ok()
        })
    }

    #[inline]
    fn copy(&mut self, data: &[u8], rest: usize) -> Bytes {
        if !self.reserve(data.len(), rest) {
            return Bytes::copy_from_slice(data);
        }
        self.room.extend_from_slice(data);
        self.room.split().freeze()
    }

    /// Lets `write` write a record's data of `bytes` bytes. `None` if it cannot.
    fn write(
        &mut self,
        bytes: usize,
        rest: usize,
        write: impl FnOnce(&mut [u8]) -> bool,
    ) -> Option<Bytes> {
        if !self.reserve(bytes, rest) {
            let mut own = vec![0; bytes];
            return write(&mut own).then(|| own.into());
        }
        self.room.resize(bytes, 0);
        let is_written = write(&mut self.room);
        let written = self.room.split().freeze();
        is_written.then_some(written)
    }

    /// Makes room for a record's data. Returns false for data that gets an allocation of its own: more than
    /// [`COPIED_BYTES_MAX`], or the first of the page.
    #[inline]
    fn reserve(&mut self, bytes: usize, rest: usize) -> bool {
        if bytes > COPIED_BYTES_MAX {
            return false;
        }
        let before = self.used;
        self.used += bytes;
        if before == 0 {
            return false;
        }
        if self.room.capacity() < bytes {
            let room = before.min(rest).min(SHARED_BYTES_MAX).max(bytes);
            self.room = BytesMut::with_capacity(room);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_record_has_its_bytes(sizes in prop::collection::vec(0..=2 * COPIED_BYTES_MAX, 0..60)) {
            let mut arena = Arena::default();
            let mut rest: usize = sizes.iter().sum();
            let data: Vec<_> = (1..).zip(&sizes).map(|(byte, bytes)| vec![byte; *bytes]).collect();
            let copies: Vec<_> = data.iter().map(|data| {
                let copy = if data.len() % 2 == 0 {
                    arena.copy(data, rest)
                } else {
                    let write = |room: &mut [u8]| { room.copy_from_slice(data); true };
                    arena.write(data.len(), rest, write).unwrap()
                };
                assert!(arena.write(data.len(), rest, |_| false).is_none());
                rest -= data.len();
                copy
            }).collect();
            prop_assert_eq!(copies, data);
        }
    }

    #[test]
    fn a_record_shares_memory_with_as_many_bytes_as_came_before_it_at_most() {
        let mut arena = Arena::default();
        assert!(arena.copy(&[1; 10], 1_000_000).is_unique(), "the first one");
        let (second, third) = (arena.copy(&[2; 4], 1_000_000), arena.copy(&[3; 6], 0));
        assert!(!second.is_unique() && !third.is_unique());
        assert_eq!(arena.room.capacity(), 0);
        let large = arena.copy(&[4; COPIED_BYTES_MAX + 1], usize::MAX);
        assert!(large.is_unique());
        (0..1_000).for_each(|_| {
            arena.copy(&[0; 1_000], usize::MAX);
            assert!(arena.room.capacity() < SHARED_BYTES_MAX);
        });
        arena.room = BytesMut::new();
        arena.copy(&[5; 30], 100);
        assert_eq!(
            arena.room.capacity(),
            70,
            "no more than what is left of the page"
        );
    }
}
