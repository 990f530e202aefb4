//! The high-water mark of the inbox: for how many records it keeps memory from one take to the next.
//!
//! Memory that each round gives back and takes again costs page faults, so the mark follows the largest of the last takes.
//! It falls by a part at each take, and to nothing when the pipeline parks.

/// The number of records for which memory is kept at rest ...
pub(in crate::put) const PLACES_KEPT: usize = 4_096;
/// ... and under load, however many came at once.
pub(super) const PLACES_KEPT_MAX: usize = 8_192;
/// The places that are kept for each record of the mark: columns grow by doubling, and takes differ.
const PLACES_PER_RECORD: usize = 4;
/// The divisor of the part by which the mark falls at each take.
pub(super) const FALL_DIVISOR: usize = 64;

/// The largest number of records that lately needed places at once.
#[derive(Debug, Default)]
pub(super) struct HighWater {
    records: usize,
}

impl HighWater {
    /// Lowers the mark by a part, but not below the number of records that were taken.
    pub(super) fn taken(&mut self, records: usize) {
        self.records -= self.records.div_ceil(FALL_DIVISOR);
        self.raise(records);
    }

    /// Raises the mark to a number of records.
    pub(super) fn raise(&mut self, records: usize) {
        self.records = self.records.max(records);
    }

    /// Returns the number of places to which empty columns with this capacity shrink; `None` if they keep all.
    pub(super) fn shrinks_to(&self, capacity: usize) -> Option<usize> {
        let kept = self.places_kept();
        // To a half, or each take of a load that falls slowly would move the memory.
        (capacity > kept).then(|| self.records.max(kept / 2).min(kept))
    }

    /// Forgets all takes. Returns whether more memory may be there than is kept at rest.
    pub(super) fn reset(&mut self) -> bool {
        let was_busy = self.places_kept() > PLACES_KEPT;
        self.records = 0;
        was_busy
    }

    fn places_kept(&self) -> usize {
        let places = PLACES_PER_RECORD.saturating_mul(self.records);
        places.clamp(PLACES_KEPT, PLACES_KEPT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: usize = PLACES_KEPT_MAX / PLACES_PER_RECORD;

    #[test]
    fn takes_that_differ_keep_all_places() {
        let mut mark = HighWater::default();
        for records in [BUSY, 1, BUSY, 0, BUSY / 2, BUSY] {
            mark.taken(records);
            assert_eq!(mark.shrinks_to(3 * BUSY), None);
        }
    }

    #[test]
    fn waiting_records_keep_places_without_a_take() {
        let mut mark = HighWater::default();
        mark.raise(BUSY);
        assert_eq!(mark.shrinks_to(PLACES_KEPT_MAX), None);
    }

    #[test]
    fn a_load_that_falls_shrinks_the_places_to_those_at_rest_in_few_steps() {
        let mut mark = HighWater::default();
        mark.taken(BUSY);
        let (mut capacity, mut steps) = (PLACES_KEPT_MAX, 0);
        for _ in 0..4 * FALL_DIVISOR {
            mark.taken(1);
            if let Some(places) = mark.shrinks_to(capacity) {
                assert!(places < capacity);
                (capacity, steps) = (places, steps + 1);
            }
        }
        assert!(capacity <= PLACES_KEPT && steps <= 3);
    }

    #[test]
    fn takes_beyond_the_bound_do_not_shrink_below_it() {
        let mut mark = HighWater::default();
        mark.taken(4 * PLACES_KEPT_MAX);
        let places = mark.shrinks_to(4 * PLACES_KEPT_MAX);
        assert_eq!(places, Some(PLACES_KEPT_MAX));
    }

    #[test]
    fn a_reset_forgets_and_tells_whether_it_was_busy() {
        let mut mark = HighWater::default();
        mark.taken(1);
        assert!(!mark.reset());
        mark.taken(BUSY);
        assert!(mark.reset());
        assert!(!mark.reset());
        assert!(mark.shrinks_to(PLACES_KEPT + 1).is_some());
    }
}
