//! What was stored, until it is told: once an answer, not once a record.

use super::{
    room::{Held, Room},
    stats::Counters,
};

/// The user records that were stored since it was last told.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    records: usize,
    data_bytes: usize,
    /// The room that they took: whoever waits for room takes part in every return of it.
    pub(crate) room: Held,
}

impl Stored {
    /// So many records are stored.
    pub(crate) fn count(&mut self, records: usize, data_bytes: usize) {
        self.records += records;
        self.data_bytes += data_bytes;
    }

    pub(crate) fn tell(&mut self, room: &Room, counters: &Counters) {
        let stored = std::mem::take(self);
        counters.stored.add(stored.records);
        counters.stored_bytes.add(stored.data_bytes);
        room.give_back(stored.room);
    }
}
