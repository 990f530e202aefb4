//! A buffer of each thread, in which records are encoded.
//!
//! The size of a record is known only once it is encoded. So a small one is written to memory that is there, and copied
//! from it; a large one takes the memory with it.

use std::cell::RefCell;

use bytes::BytesMut;

/// The largest capacity that a thread keeps for its next record, in bytes.
const KEPT_BYTES_MAX: usize = 64 * 1_024;

thread_local! {
    static SCRATCH: RefCell<BytesMut> = RefCell::default();
}

/// Encodes a record to a buffer that was empty, and hands that out. What is left in it is dropped.
#[inline]
pub(crate) fn with<T, E>(
    encode: impl FnOnce(&mut BytesMut) -> Result<(), E>,
    then: impl FnOnce(Result<&mut BytesMut, E>) -> T,
) -> T {
    let mut both = Some((encode, then));
    let mut write = |out: &mut BytesMut| {
        let (encode, then) = both.take().expect("a record is encoded once");
        // What an encoder leaves that failed or panicked is not for the next record.
        out.clear();
        let encoded = encode(out);
        let result = then(encoded.map(|()| &mut *out));
        if out.capacity() > KEPT_BYTES_MAX {
            *out = BytesMut::new();
        }
        result
    };
    // An encoder may put another record, and a thread that ends has nothing any more: both write elsewhere.
    let written = SCRATCH.try_with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => write(&mut scratch),
        Err(_) => write(&mut BytesMut::new()),
    });
    written.unwrap_or_else(|_| write(&mut BytesMut::new()))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn written(bytes: usize) -> Bytes {
        let encode = |out: &mut BytesMut| {
            // In pieces, as serializers do.
            (0..bytes).for_each(|byte| out.extend_from_slice(&[byte.to_le_bytes()[0]]));
            Ok::<_, ()>(())
        };
        with(encode, |out| Bytes::copy_from_slice(out.unwrap()))
    }

    fn kept() -> usize {
        SCRATCH.with_borrow(BytesMut::capacity)
    }

    #[test]
    fn records_of_any_size_have_their_bytes_and_no_others() {
        for bytes in [0_usize, 1, 100, 3, 1_024, 5_000, 0, 17, 100_000, 2] {
            let expected = (0..bytes).map(|byte| byte.to_le_bytes()[0]);
            assert!(written(bytes).iter().copied().eq(expected), "{bytes}");
        }
    }

    #[test]
    fn much_memory_is_not_kept() {
        written(1_000);
        assert!(kept() >= 1_000);
        written(KEPT_BYTES_MAX + 1);
        assert_eq!(kept(), 0);
    }

    #[test]
    fn memory_that_was_taken_is_not_written_again() {
        let encode = |out: &mut BytesMut| {
            out.extend_from_slice(&[1; 100]);
            Ok::<_, ()>(())
        };
        let taken = with(encode, |out| std::mem::take(out.unwrap()).freeze());
        assert_eq!(kept(), 0);
        written(200);
        assert_eq!(taken[..], [1; 100]);
    }

    #[test]
    fn a_record_that_is_refused_leaves_nothing_behind() {
        let refuse = |out: &mut BytesMut| {
            out.extend_from_slice(b"half");
            Err("no")
        };
        assert_eq!(with(refuse, |out| out.map(drop)), Err("no"));
        assert_eq!(written(2)[..], [0, 1]);
    }

    #[test]
    fn an_encoder_may_write_another_record() {
        let encode = |out: &mut BytesMut| {
            out.extend_from_slice(b"outer");
            assert_eq!(written(2)[..], [0, 1]);
            Ok::<_, ()>(())
        };
        let outer = with(encode, |out| out.unwrap().to_vec());
        assert_eq!(outer, b"outer");
    }
}
