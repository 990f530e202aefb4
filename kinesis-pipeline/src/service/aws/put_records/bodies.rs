//! Memory of request bodies, used again.
//!
//! A body of half a megabyte that is allocated for each request costs its page faults: some 5 % of a put of 1 KiB.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// The number of bodies that are kept.
const BODIES_MAX: usize = 8;
/// The capacity of the largest body that is kept, in bytes.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Empty bodies, the last one on top: its memory is in the cache.
#[derive(Debug, Default)]
pub(in crate::service::aws) struct Bodies(Mutex<Vec<Vec<u8>>>);

impl Bodies {
    /// Returns an empty body with room for this many bytes.
    pub(super) fn take(&self, bytes: usize) -> Vec<u8> {
        if bytes > BODY_BYTES_MAX {
            return Vec::with_capacity(bytes);
        }
        let mut body = self.lock().pop().unwrap_or_default();
        // Not twice as much as before: a larger one would not be kept.
        body.reserve_exact(bytes);
        body
    }

    /// Keeps the memory of a body, unless it is large or still in use.
    pub(super) fn give_back(&self, body: Bytes) {
        let Ok(mut body) = body.try_into_mut() else {
            return;
        };
        if body.capacity() > BODY_BYTES_MAX {
            return;
        }
        body.clear();
        let mut kept = self.lock();
        if kept.len() < BODIES_MAX {
            kept.push(body.into());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(bodies: &Bodies, bytes: usize) -> Bytes {
        let mut body = bodies.take(bytes);
        body.resize(bytes, 7);
        body.into()
    }

    #[test]
    fn memory_is_used_again_once_nobody_reads_it() {
        let bodies = Bodies::default();
        let first = body(&bodies, 100);
        let (memory, reader) = (first.as_ptr(), first.clone());
        bodies.give_back(first);
        assert_ne!(body(&bodies, 100).as_ptr(), memory);
        assert_eq!(reader[..], [7; 100]);
        bodies.give_back(reader);
        let again = bodies.take(10);
        assert!(again.is_empty() && again.as_ptr() == memory);
    }

    #[test]
    fn no_more_is_kept_than_some_usual_bodies() {
        let bodies = Bodies::default();
        bodies.give_back(body(&bodies, BODY_BYTES_MAX + 1));
        assert_eq!(bodies.lock().len(), 0);
        let many: Vec<_> = (0..2 * BODIES_MAX).map(|_| body(&bodies, 10)).collect();
        for body in many {
            bodies.give_back(body);
        }
        assert_eq!(bodies.lock().len(), BODIES_MAX);
    }
}
