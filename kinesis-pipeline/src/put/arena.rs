//! Arenas: the bytes of small records that came one after the other, in one allocation.
//!
//! ```text
//!   put ─ append ─> Arenas, in the inbox ─ take ─> Slices, at the driver ─ next ─> the bytes of each record
//! ```
//!
//! A record that is sent soon keeps its slice, and its arena is freed with the last of them. A record that waits in the
//! slab or opens an aggregate gets memory of its own ([`own`]): otherwise a few slow records would hold the memory of all.

use std::vec;

use bytes::{Bytes, BytesMut};

use crate::record::COPIED_BYTES_MAX;

/// The size of the largest arena ...
const ARENA_BYTES_MAX: usize = 64 * 1_024;
/// ... and of the first, from which each is twice as large as the one before.
const ARENA_BYTES_MIN: usize = 1_024;

/// The bytes of records that have come since the driver took the last ones.
#[derive(Debug, Default)]
pub(super) struct Arenas {
    /// The last one has room.
    all: Vec<BytesMut>,
    /// The size of the next arena.
    next_bytes: usize,
}

/// The bytes of the records that the driver has taken, in their order.
#[derive(Debug, Default)]
pub(in crate::put) struct Slices {
    arenas: vec::IntoIter<BytesMut>,
    /// The unread rest of an arena.
    rest: Bytes,
}

impl Arenas {
    /// Appends the bytes of a record.
    #[inline]
    pub(super) fn append(&mut self, data: &[u8]) {
        match self.all.last_mut() {
            Some(arena) if arena.capacity() - arena.len() >= data.len() => {
                arena.extend_from_slice(data);
            }
            _ => self.append_to_next(data),
        }
    }

    #[cold]
    fn append_to_next(&mut self, data: &[u8]) {
        let bytes = self.next_bytes.clamp(ARENA_BYTES_MIN, ARENA_BYTES_MAX);
        let mut arena = BytesMut::with_capacity(bytes.max(data.len()));
        arena.extend_from_slice(data);
        self.all.push(arena);
        self.next_bytes = 2 * bytes;
    }

    /// Takes all bytes. The next arena has about the size that was needed this time.
    pub(super) fn take(&mut self) -> Slices {
        let all = std::mem::take(&mut self.all);
        self.next_bytes = all.iter().map(BytesMut::len).sum();
        Slices {
            arenas: all.into_iter(),
            rest: Bytes::new(),
        }
    }
}

impl Slices {
    /// Returns the bytes of the next record, which has this many of them.
    #[inline]
    pub(in crate::put) fn next(&mut self, bytes: usize) -> Bytes {
        // No record is in two arenas.
        if self.rest.is_empty() {
            self.rest = self.arenas.next().unwrap_or_default().freeze();
        }
        self.rest.split_to(bytes)
    }
}

/// Gives a small record memory of its own, if it shares some or may have some of an arena.
///
/// The last slice of an arena is unique too, and may be a small part of it.
pub(in crate::put) fn own(data: &mut Bytes, may_be_slice: bool) {
    if data.len() <= COPIED_BYTES_MAX && (may_be_slice || !data.is_unique()) {
        *data = Bytes::copy_from_slice(data);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_record_has_its_bytes(
            rounds in prop::collection::vec(
                prop::collection::vec(1..=COPIED_BYTES_MAX, 0..60), 1..4),
        ) {
            let mut arenas = Arenas::default();
            for (round, sizes) in rounds.iter().enumerate() {
                let data = |(number, bytes): (usize, &usize)| {
                    let byte = (round * 60 + number).to_le_bytes()[0];
                    vec![byte; *bytes]
                };
                for sized in sizes.iter().enumerate() {
                    arenas.append(&data(sized));
                }
                let mut slices = arenas.take();
                for (number, bytes) in sizes.iter().enumerate() {
                    prop_assert_eq!(&slices.next(*bytes)[..], &data((number, bytes))[..]);
                }
            }
        }

        #[test]
        fn arenas_waste_at_most_as_much_as_they_hold(
            sizes in prop::collection::vec(1_usize..=COPIED_BYTES_MAX, 1..400),
        ) {
            let mut arenas = Arenas::default();
            for bytes in &sizes {
                arenas.append(&vec![0; *bytes]);
            }
            let held: usize = arenas.all.iter().map(BytesMut::capacity).sum();
            let data: usize = sizes.iter().sum();
            prop_assert!(held <= 2 * data + ARENA_BYTES_MAX.min(2 * data) + ARENA_BYTES_MIN);
        }
    }

    #[test]
    fn an_arena_after_a_busy_time_shrinks_with_the_load() {
        let mut arenas = Arenas::default();
        (0..1_000).for_each(|_| arenas.append(&[0; 1_000]));
        drop(arenas.take());
        arenas.append(&[0; 10]);
        assert!(arenas.all[0].capacity() <= ARENA_BYTES_MAX);
        drop(arenas.take());
        arenas.append(&[0; 10]);
        assert_eq!(arenas.all[0].capacity(), ARENA_BYTES_MIN);
    }

    #[test]
    fn a_record_that_shares_memory_gets_its_own() {
        let mut arena = Bytes::from(vec![7; 100]);
        let mut record = arena.split_to(10);
        own(&mut record, false);
        assert!(arena.is_unique() && record.is_unique());
        assert_eq!(record[..], [7; 10]);
        let memory = arena.as_ptr();
        own(&mut arena, false);
        assert_eq!(arena.as_ptr(), memory);
        own(&mut arena, true);
        assert_ne!(arena.as_ptr(), memory, "the last slice");
    }
}
