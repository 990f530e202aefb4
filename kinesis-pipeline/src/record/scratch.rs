//! A bump buffer for the bytes of small records, several of which share an allocation.
//!
//! One thread puts a record and another drops it. An allocation for each would be most of the time of a small record.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

/// The size of an allocation that small records share, in bytes. It lives as long as one of them.
const SHARED_BYTES: usize = 1_024;
/// The largest size of a record that shares an allocation, in bytes.
const SMALL_BYTES_MAX: usize = 256;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The buffer of a thread for its next record.
#[derive(Debug, Default)]
struct Scratch {
    /// The free rest of an allocation.
    rest: BytesMut,
    /// Whether the last record was small, so that the next one is expected to be.
    expects_small: bool,
}

/// Returns the bytes that `encode` appends to what it is given, which is empty.
pub(super) fn write<E>(encode: impl FnOnce(&mut BytesMut) -> Result<(), E>) -> Result<Bytes, E> {
    let mut encode = Some(encode);
    let mut write = |scratch: &mut Scratch| {
        let encode = encode.take().expect("a record is encoded once");
        scratch.write(encode)
    };
    // An encoder may put another record, and a thread that ends has nothing any more: both write elsewhere.
    let written = SCRATCH.try_with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => write(&mut scratch),
        Err(_) => write(&mut Scratch::default()),
    });
    written.unwrap_or_else(|_| write(&mut Scratch::default()))
}

impl Scratch {
    /// What an encoder leaves that fails or panics is not kept.
    fn write<E>(
        &mut self,
        encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        let mut out = std::mem::take(&mut self.rest);
        if self.expects_small && out.capacity() == 0 {
            out = BytesMut::with_capacity(SHARED_BYTES);
        }
        encode(&mut out)?;
        let is_small = out.len() <= SMALL_BYTES_MAX;
        let is_shared = std::mem::replace(&mut self.expects_small, is_small);
        if !is_small {
            return Ok(out.freeze());
        }
        let data = out.split().freeze();
        // Memory that an encoder asked for is not kept for the records after it.
        if is_shared && out.capacity() <= SHARED_BYTES {
            self.rest = out;
        }
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: usize) -> Bytes {
        write(|out| {
            // In pieces, as serializers do.
            (0..bytes).for_each(|byte| out.extend_from_slice(&[byte.to_le_bytes()[0]]));
            Ok::<_, ()>(())
        })
        .unwrap()
    }

    #[test]
    fn records_of_any_size_have_their_bytes_and_no_others() {
        let sizes = [
            0, 1, 100, 256, 257, 3, 1_024, 5_000, 90, 90, 200, 200, 200, 200, 0, 17,
        ];
        let records: Vec<_> = sizes.iter().map(|&bytes| written(bytes)).collect();
        for (record, bytes) in records.iter().zip(sizes) {
            let expected = (0..bytes).map(|byte| byte.to_le_bytes()[0]);
            assert!(record.iter().copied().eq(expected), "{bytes}");
        }
    }

    #[test]
    fn small_records_share_memory_and_large_ones_do_not() {
        written(10);
        let (first, second) = (written(10), written(10));
        assert_eq!(first.as_ptr().wrapping_add(10), second.as_ptr());
        written(300);
        // The memory of a large one is its own.
        assert!(written(300).try_into_mut().is_ok());
    }

    #[test]
    fn memory_that_an_encoder_asked_for_is_not_kept() {
        written(10);
        let asking = write(|out| {
            out.reserve(1 << 20);
            out.extend_from_slice(b"few");
            Ok::<_, ()>(())
        });
        assert_eq!(&asking.unwrap()[..], b"few");
        SCRATCH.with_borrow(|scratch| assert_eq!(scratch.rest.capacity(), 0));
    }

    #[test]
    fn a_record_that_is_refused_leaves_nothing_behind() {
        let refused = write(|out| {
            out.extend_from_slice(b"half");
            Err("no")
        });
        assert_eq!(refused, Err("no"));
        assert_eq!(written(2)[..], [0, 1]);
    }

    #[test]
    fn an_encoder_may_write_another_record() {
        let outer = write(|out| {
            out.extend_from_slice(b"outer");
            assert_eq!(written(2)[..], [0, 1]);
            Ok::<_, ()>(())
        });
        assert_eq!(&outer.unwrap()[..], b"outer");
    }
}
