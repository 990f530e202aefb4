use crate::get::shard_reader::poll_pacer::PAGE_BYTES_MAX;

/// The memory budget of pages that are in flight or wait to be taken.
///
/// Invariant: reserving never makes `used` exceed `bytes_max`. The exception: if nothing is used, one page of any size
/// may be fetched, so that a budget below the page size still makes progress.
#[derive(Debug)]
pub(in crate::get) struct Budget {
    bytes_max: usize,
    used: usize,
}

impl Budget {
    pub(in crate::get) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, used: 0 }
    }

    /// Reserves `bytes` for a page to fetch, if the budget allows. Returns whether it does.
    #[must_use]
    pub(super) fn reserve(&mut self, bytes: usize) -> bool {
        let has_room = self.used == 0 || self.used.saturating_add(bytes) <= self.bytes_max;
        if has_room {
            self.used += bytes;
        }
        has_room
    }

    /// Whether a page of unknown size may be fetched.
    pub(super) fn has_room(&self) -> bool {
        self.used < self.bytes_max.max(1)
    }

    /// Replaces a reservation with the real size of the page, 0 if none came.
    pub(super) fn settle(&mut self, reserved: usize, bytes: usize) {
        self.used = self.used.saturating_sub(reserved) + bytes;
    }

    /// Frees the bytes of a page that was taken.
    pub(super) fn release(&mut self, bytes: usize) {
        self.settle(bytes, 0);
    }

    /// Returns the bytes that are reserved or used.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Returns the bytes that one page of one of `shards` shards may take, if each shard has up to `pages` pages.
    pub(super) fn share(&self, shards: usize, pages: usize) -> usize {
        (self.bytes_max / (shards * pages).max(1)).min(PAGE_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_fit_the_budget_and_one_page_always_passes() {
        let mut budget = Budget::new(100);
        assert!(budget.reserve(500));
        assert!(!budget.reserve(1));
        budget.settle(500, 60);
        assert!(budget.reserve(40));
        assert!(!budget.reserve(1));
        budget.release(60);
        assert!(budget.reserve(60));
    }

    #[test]
    fn what_has_no_known_size_comes_only_while_something_is_free() {
        let mut budget = Budget::new(100);
        assert!(budget.has_room());
        budget.settle(0, 99);
        assert!(budget.has_room());
        budget.settle(0, 1);
        assert!(!budget.has_room());
        assert!(Budget::new(0).has_room(), "one after the other");
    }
}
