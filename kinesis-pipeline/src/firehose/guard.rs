//! The byte budget of a response: used bytes, and bytes that are reserved for other records.

/// The budget of one response. Bytes for the least answer of each unanswered record are reserved. So each record can be
/// answered, whatever the others before it used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    response_bytes_max: usize,
    used_bytes: usize,
    /// The reserved bytes: the least answers of all unanswered records.
    reserved_bytes: usize,
    /// The bytes of the original data of all records that were not handled yet.
    pending_data_bytes: usize,
}

impl Room {
    /// Returns the budget of a response whose frame takes `frame_bytes`.
    pub(super) fn new(response_bytes_max: usize, frame_bytes: usize) -> Self {
        Self {
            response_bytes_max,
            used_bytes: frame_bytes,
            reserved_bytes: 0,
            pending_data_bytes: 0,
        }
    }

    /// Reserves bytes for a record that will be answered later.
    pub(super) fn expect(&mut self, least_bytes: usize, data_bytes: usize) {
        self.reserved_bytes += least_bytes;
        self.pending_data_bytes += data_bytes;
    }

    /// Notes that a record is being handled. Its data is not pending any more.
    pub(super) fn look_at(&mut self, data_bytes: usize) {
        self.pending_data_bytes = self.pending_data_bytes.saturating_sub(data_bytes);
    }

    /// Whether an answer with `more_bytes` above the record's least answer fits.
    pub(super) fn fits(&self, more_bytes: usize) -> bool {
        self.used_bytes + self.reserved_bytes + more_bytes <= self.response_bytes_max
    }

    /// Whether such an answer fits, and leaves room for the data of all later records. Optional data must not displace
    /// required data.
    pub(super) fn fits_beside_the_rest(&self, more_bytes: usize) -> bool {
        self.fits(more_bytes + self.pending_data_bytes)
    }

    /// Notes that a record was answered.
    pub(super) fn take(&mut self, least_bytes: usize, answer_bytes: usize) {
        self.reserved_bytes = self.reserved_bytes.saturating_sub(least_bytes);
        self.used_bytes += answer_bytes;
    }

    /// Returns a size for the buffer: the bytes of the response if all data stays unchanged.
    pub(super) fn expected_bytes(&self) -> usize {
        let expected = self.used_bytes + self.reserved_bytes + self.pending_data_bytes;
        expected.min(self.response_bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn an_answer_fits_to_the_byte() {
        let mut room = Room::new(100, 10);
        room.expect(20, 0);
        room.expect(20, 30);
        assert!(room.fits(50) && !room.fits(51));
        assert!(room.fits_beside_the_rest(20) && !room.fits_beside_the_rest(21));
        room.look_at(30);
        assert!(room.fits_beside_the_rest(50));
        room.take(20, 70);
        assert!(room.fits(0) && !room.fits(1));
    }

    proptest! {
        #[test]
        fn the_least_answers_always_fit(more in vec(0_usize..400, 0..40)) {
            const LEAST_BYTES: usize = 20;
            let mut room = Room::new(10 + 40 * LEAST_BYTES + 500, 10);
            for _ in &more {
                room.expect(LEAST_BYTES, 100);
            }
            for more in more {
                room.look_at(100);
                let more = if room.fits(more) { more } else { 0 };
                room.take(LEAST_BYTES, LEAST_BYTES + more);
                prop_assert!(room.fits(0));
            }
        }
    }
}
