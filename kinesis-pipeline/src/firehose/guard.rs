//! The budget of a response: the bytes that are taken and those that must stay free.

/// The room of one response. Every record that is not answered yet has room for its least answer set aside, so
/// that each can be answered whatever those before it took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    response_bytes_max: usize,
    used_bytes: usize,
    /// The least answers of the records that are not answered yet.
    reserved_bytes: usize,
    /// The data, as it came, of the records that were not looked at yet.
    pending_data_bytes: usize,
}

impl Room {
    /// Returns the room of a response whose frame takes `frame_bytes`.
    pub(super) fn new(response_bytes_max: usize, frame_bytes: usize) -> Self {
        Self {
            response_bytes_max,
            used_bytes: frame_bytes,
            reserved_bytes: 0,
            pending_data_bytes: 0,
        }
    }

    /// Sets room aside for a record that is to come.
    pub(super) fn expect(&mut self, least_bytes: usize, data_bytes: usize) {
        self.reserved_bytes += least_bytes;
        self.pending_data_bytes += data_bytes;
    }

    /// A record is looked at now: its data does not come any more.
    pub(super) fn look_at(&mut self, data_bytes: usize) {
        self.pending_data_bytes = self.pending_data_bytes.saturating_sub(data_bytes);
    }

    /// Whether an answer fits that takes `more_bytes` above the record's least answer.
    pub(super) fn fits(&self, more_bytes: usize) -> bool {
        self.used_bytes + self.reserved_bytes + more_bytes <= self.response_bytes_max
    }

    /// Whether it fits and leaves room for the data of all records to come: what is not needed must not push
    /// out what is.
    pub(super) fn fits_beside_the_rest(&self, more_bytes: usize) -> bool {
        self.fits(more_bytes + self.pending_data_bytes)
    }

    /// A record was answered.
    pub(super) fn take(&mut self, least_bytes: usize, answer_bytes: usize) {
        self.reserved_bytes = self.reserved_bytes.saturating_sub(least_bytes);
        self.used_bytes += answer_bytes;
    }

    /// Returns a size for the buffer: what the response takes if the data stays as it came.
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
