//! An arena: memory for the bytes of small records that come one after the other, in one allocation.
//!
//! A record that is sent soon keeps its slice, and the allocation is freed with the last of them. A record that waits in
//! the slab or opens an aggregate gets memory of its own ([`own`](crate::record::own)): otherwise a few slow records would
//! hold the memory of all.

use bytes::{Bytes, BytesMut};

use crate::record::SHARED_BYTES_MAX;

/// The size of the first allocation, from which each is twice as large as the one before, up to [`SHARED_BYTES_MAX`].
const ARENA_BYTES_MIN: usize = 1_024;

/// Memory for the bytes of the next records.
#[derive(Debug, Default)]
pub(super) struct Arena {
    /// The unused rest of an allocation.
    rest: BytesMut,
    /// The size of the next allocation.
    next_bytes: usize,
    /// The number of bytes that were copied since the driver took some.
    copied_bytes: usize,
}

impl Arena {
    /// Copies the bytes of a record.
    #[inline]
    pub(super) fn copy(&mut self, data: &[u8]) -> Bytes {
        if self.rest.capacity() < data.len() {
            self.renew(data.len());
        }
        self.copied_bytes += data.len();
        self.rest.extend_from_slice(data);
        self.rest.split().freeze()
    }

    #[cold]
    fn renew(&mut self, data_bytes: usize) {
        let bytes = self.next_bytes.clamp(ARENA_BYTES_MIN, SHARED_BYTES_MAX);
        self.rest = BytesMut::with_capacity(bytes.max(data_bytes));
        self.next_bytes = 2 * bytes;
    }

    /// Notes that the driver has taken the records. The next allocation has about the size that was needed since the last
    /// time; where nothing was needed, the rest of this one is freed.
    pub(super) fn taken(&mut self) {
        self.next_bytes = std::mem::take(&mut self.copied_bytes);
        if self.next_bytes == 0 {
            self.rest = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::COPIED_BYTES_MAX;

    proptest! {
        #[test]
        fn each_record_has_its_bytes(
            rounds in prop::collection::vec(
                prop::collection::vec(0..=COPIED_BYTES_MAX, 0..60), 1..4),
        ) {
            let mut arena = Arena::default();
            let mut copies = Vec::new();
            for (round, sizes) in rounds.iter().enumerate() {
                for (number, bytes) in sizes.iter().enumerate() {
                    let data = vec![(round * 60 + number).to_le_bytes()[0]; *bytes];
                    copies.push((arena.copy(&data), data));
                }
                arena.taken();
            }
            for (copy, data) in copies {
                prop_assert_eq!(&copy[..], &data[..]);
            }
        }

        #[test]
        fn allocations_waste_at_most_as_much_as_they_hold(
            sizes in prop::collection::vec(1_usize..=COPIED_BYTES_MAX, 1..400),
        ) {
            let mut arena = Arena::default();
            let mut held = 0;
            for bytes in &sizes {
                let before = arena.rest.capacity();
                drop(arena.copy(&vec![0; *bytes]));
                if before < *bytes {
                    held += bytes + arena.rest.capacity();
                }
            }
            let data: usize = sizes.iter().sum();
            prop_assert!(held <= 2 * data + SHARED_BYTES_MAX.min(2 * data) + ARENA_BYTES_MIN);
        }
    }

    #[test]
    fn memory_after_a_busy_time_shrinks_with_the_load() {
        let mut arena = Arena::default();
        (0..1_000).for_each(|_| drop(arena.copy(&[0; 1_000])));
        arena.taken();
        drop(arena.copy(&[0; 10]));
        assert!(arena.rest.capacity() <= SHARED_BYTES_MAX);
        arena.taken();
        arena.taken();
        assert_eq!(arena.rest.capacity(), 0, "nothing came");
        assert_eq!(
            arena.copy(&[0; 10]).len() + arena.rest.capacity(),
            ARENA_BYTES_MIN
        );
    }
}
