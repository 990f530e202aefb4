//! The records that a driver holds: each stays where it is from the queue to its end, and what waits, is cut, sent and
//! put back are tickets for it.

use std::ops::{Index, IndexMut};

use tokio::time::Instant;

use super::pending::Accepted;
use crate::{put::admission::budget::Held, service::StoredAt};

/// So many places are kept when there is nothing to hold.
const PLACES_KEPT: usize = 1_024;
/// What a ticket stands for.
const HELD: &str = "a record is held while there is a ticket for it";

/// A record that is held, and how large it is.
///
/// Each record has one. Whoever gets it has to pass it on, or end the record.
#[derive(Debug)]
#[must_use = "a record without its ticket never ends"]
pub(crate) struct Ticket {
    place: u32,
    bytes: u32,
}

/// The records that a driver holds.
#[derive(Debug, Default)]
pub(crate) struct Records {
    places: Vec<Option<Accepted>>,
    /// The places that have no record.
    free: Vec<u32>,
}

impl Ticket {
    /// How many bytes of data and keys the record has.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes as usize
    }

    fn place(&self) -> usize {
        self.place as usize
    }
}

impl Records {
    pub(crate) fn is_empty(&self) -> bool {
        self.places.len() == self.free.len()
    }

    /// Holds a record. Room bounds how many there are.
    pub(crate) fn hold(&mut self, user: Accepted) -> Ticket {
        let bytes = u32::try_from(user.record.size_bytes()).unwrap_or(u32::MAX);
        if let Some(place) = self.free.pop() {
            self.places[place as usize] = Some(user);
            return Ticket { place, bytes };
        }
        let place = u32::try_from(self.places.len()).expect("memory holds fewer records");
        self.places.push(Some(user));
        Ticket { place, bytes }
    }

    pub(crate) fn hold_all(&mut self, users: Vec<Accepted>) -> Vec<Ticket> {
        users.into_iter().map(|user| self.hold(user)).collect()
    }

    /// A record is stored: it ends where it is, and the room that it took goes over to `freed`.
    #[expect(clippy::needless_pass_by_value, reason = "the ticket is used up")]
    pub(crate) fn stored(
        &mut self,
        ticket: Ticket,
        at: &StoredAt,
        sub_sequence_number: u64,
        now: Instant,
        freed: &mut Held,
    ) {
        let fate = &mut self[&ticket].fate;
        fate.stored(at, sub_sequence_number, now, freed);
        self.places[ticket.place()] = None;
        self.free.push(ticket.place);
    }

    /// Gives a record out.
    #[expect(clippy::needless_pass_by_value, reason = "the ticket is used up")]
    pub(crate) fn take(&mut self, ticket: Ticket) -> Accepted {
        self.free.push(ticket.place);
        self.places[ticket.place()].take().expect(HELD)
    }

    /// Gives out all records whose attempt is in flight: their tickets are lost.
    pub(crate) fn take_in_flight(&mut self) -> Vec<Accepted> {
        let mut taken = Vec::new();
        for (number, place) in (0..).zip(&mut self.places) {
            if let Some(user) = place.take_if(|user| user.fate.is_in_flight()) {
                self.free.push(number);
                taken.push(user);
            }
        }
        taken
    }

    /// Gives out all records. No ticket means anything any more.
    pub(crate) fn take_all(&mut self) -> Vec<Accepted> {
        let places = std::mem::take(self).places;
        places.into_iter().flatten().collect()
    }

    /// There will be nothing to hold for a while.
    pub(crate) fn rest(&mut self) {
        debug_assert!(self.is_empty(), "a ticket was lost");
        if self.is_empty() && self.places.len() > PLACES_KEPT {
            *self = Self::default();
        }
    }
}

impl Index<&Ticket> for Records {
    type Output = Accepted;

    fn index(&self, ticket: &Ticket) -> &Accepted {
        self.places[ticket.place()].as_ref().expect(HELD)
    }
}

impl IndexMut<&Ticket> for Records {
    fn index_mut(&mut self, ticket: &Ticket) -> &mut Accepted {
        self.places[ticket.place()].as_mut().expect(HELD)
    }
}
