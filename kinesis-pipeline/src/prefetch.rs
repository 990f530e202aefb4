//! Prefetching into the processor's cache.
//!
//! A loop over records that are scattered in memory waits for one cache line after the other. [`prefetch`] is a loop
//! before it that only reads a word of each record, so that the processor fetches these lines in parallel. It saves 5 to
//! 10 % of the producer's time with thousands of shards.

use std::hint::black_box;

/// Values that were read only to bring their cache lines in. Their sum has no meaning.
#[derive(Clone, Copy, Debug, Default)]
#[must_use = "the compiler drops a read whose value is not used"]
pub(crate) struct Touched(usize);

impl Touched {
    /// Nothing was read.
    pub(crate) const NOTHING: Self = Self(0);

    /// Wraps a value that was read.
    #[inline]
    pub(crate) fn read(value: usize) -> Self {
        Self(value)
    }

    #[inline]
    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

/// Runs all of these reads before the loop that needs their memory.
#[inline]
pub(crate) fn prefetch(reads: impl Iterator<Item = Touched>) {
    let _ = black_box(reads.fold(Touched::NOTHING, Touched::and));
}
