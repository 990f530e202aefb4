//! A slab of the records that a driver holds. A record stays in its slot until it completes; queues, requests and
//! retries move its key of 8 bytes.

use std::ops::{Index, IndexMut};

use tokio::time::Instant;

use super::pending::PendingRecord;
use crate::{put::admission::budget::Charge, record::own, service::StoredAt};

/// The number of slots that are kept while a pipeline is parked.
const PLACES_KEPT: usize = 1_024;
/// The invariant of the slab: a key stands for a slot with a record.
const HELD: &str = "a record is held while there is a key for it";

/// The key of a record in the slab, with the record's size.
///
/// There is one for each record. Code that gets it passes it on, or takes the record out and completes it.
#[derive(Debug)]
#[must_use = "a record without its key never ends"]
pub(in crate::put) struct RecordKey {
    place: u32,
    bytes: u32,
}

/// The slab: slots for records, reused in the order of a stack.
#[derive(Debug, Default)]
pub(in crate::put) struct RecordSlab {
    /// Whether records may come with a slice of an arena.
    has_slices: bool,
    places: Vec<Option<PendingRecord>>,
    /// The slots without a record.
    free: Vec<u32>,
}

impl RecordKey {
    /// Returns the size of the record's data and keys, in bytes.
    pub(in crate::put) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    fn place(&self) -> usize {
        self.place as usize
    }
}

impl RecordSlab {
    /// Makes an empty slab for records whose data may be slices of arenas.
    pub(in crate::put) fn new(has_slices: bool) -> Self {
        Self {
            has_slices,
            ..Self::default()
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
    }

    /// Stores a record, in memory of its own, and returns its key. The memory budget bounds how many there are.
    pub(in crate::put) fn hold(&mut self, mut user: PendingRecord) -> RecordKey {
        own(&mut user.record.data, self.has_slices);
        let bytes = u32::try_from(user.record.size_bytes()).unwrap_or(u32::MAX);
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = Some(user);
            return RecordKey { place, bytes };
        }
        let place = u32::try_from(self.places.len()).expect("memory holds fewer records");
        self.places.push(Some(user));
        RecordKey { place, bytes }
    }

    pub(in crate::put) fn hold_all(&mut self, users: Vec<PendingRecord>) -> Vec<RecordKey> {
        users.into_iter().map(|user| self.hold(user)).collect()
    }

    /// Completes a stored record and frees its slot. Its budget goes over to `freed`.
    #[expect(clippy::needless_pass_by_value, reason = "the key is used up")]
    pub(in crate::put) fn stored(
        &mut self,
        key: RecordKey,
        at: &StoredAt,
        sub_sequence_number: u64,
        now: Instant,
        freed: &mut Charge,
    ) {
        let completion = &mut self[&key].completion;
        completion.stored(at, sub_sequence_number, now, freed);
        self.places[key.place()] = None;
        self.free.push(key.place);
    }

    /// Takes a record out and frees its slot.
    #[expect(clippy::needless_pass_by_value, reason = "the key is used up")]
    pub(in crate::put) fn take(&mut self, key: RecordKey) -> PendingRecord {
        self.free.push(key.place);
        self.places[key.place()].take().expect(HELD)
    }

    /// Takes out all records whose attempt is in flight: their keys were lost with the task of the request.
    pub(in crate::put) fn take_in_flight(&mut self) -> Vec<PendingRecord> {
        let mut taken = Vec::new();
        for (number, place) in (0..).zip(&mut self.places) {
            if let Some(user) = place.take_if(|user| user.completion.is_in_flight()) {
                self.free.push(number);
                taken.push(user);
            }
        }
        taken
    }

    /// Takes out all records. All keys become invalid.
    pub(in crate::put) fn take_all(&mut self) -> Vec<PendingRecord> {
        self.free.clear();
        let places = std::mem::take(&mut self.places);
        places.into_iter().flatten().collect()
    }

    /// Frees the memory of an empty slab, when the pipeline parks.
    pub(in crate::put) fn park(&mut self) {
        debug_assert!(self.is_empty(), "a key was lost");
        if self.is_empty() && self.places.len() > PLACES_KEPT {
            *self = Self::new(self.has_slices);
        }
    }
}

impl Index<&RecordKey> for RecordSlab {
    type Output = PendingRecord;

    fn index(&self, key: &RecordKey) -> &PendingRecord {
        self.places[key.place()].as_ref().expect(HELD)
    }
}

impl IndexMut<&RecordKey> for RecordSlab {
    fn index_mut(&mut self, key: &RecordKey) -> &mut PendingRecord {
        self.places[key.place()].as_mut().expect(HELD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slab_that_was_emptied_or_parked_still_gives_records_memory_of_their_own() {
        let mut records = RecordSlab::new(true);
        assert!(records.take_all().is_empty() && records.has_slices);
        records.places.resize_with(PLACES_KEPT + 1, || None);
        records.free.extend((0..).take(PLACES_KEPT + 1));
        records.park();
        assert!(records.places.is_empty() && records.has_slices);
    }
}
