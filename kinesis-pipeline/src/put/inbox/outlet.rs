//! The driver's end of the inbox: it takes all arrivals at once, and keeps their memory.

use std::sync::Arc;

use super::{
    arena::Arena,
    high_water::{HighWater, PLACES_KEPT},
    inbox::{Arrivals, Inbox},
};

/// The number of flushes for which memory is kept.
const FLUSHES_KEPT: usize = 16;

/// The driver's end of the inbox. When it is dropped, as after a panic of a driver, all present and later records fail.
#[derive(Debug)]
pub(in crate::put) struct Outlet {
    inbox: Arc<Inbox>,
    /// The empty arrivals of the last take, for their memory.
    spare: Arrivals,
    /// The mark that says how much of it is kept.
    high_water: HighWater,
}

impl Outlet {
    pub(super) fn new(inbox: Arc<Inbox>) -> Self {
        Self {
            inbox,
            spare: Arrivals::default(),
            high_water: HighWater::default(),
        }
    }

    /// Takes all arrivals. [`reuse`](Self::reuse) takes the empty ones back.
    pub(in crate::put) fn take(&mut self) -> Arrivals {
        let mut taken = std::mem::take(&mut self.spare);
        let mut state = self.inbox.lock();
        std::mem::swap(&mut state.arrivals, &mut taken);
        state.weight = 0;
        state.arena.taken();
        drop(state);
        self.high_water.taken(taken.records.len());
        taken
    }

    /// Keeps empty arrivals for their memory, and gives back what exceeds the high-water mark. `waiting` records are in
    /// columns that a later take swaps with its own, so the mark covers them too.
    pub(in crate::put) fn reuse(&mut self, mut taken: Arrivals, waiting: usize) {
        debug_assert!(taken.records.len() == 0, "a record is lost");
        self.high_water.raise(waiting);
        if let Some(places) = self.high_water.shrinks_to(taken.records.capacity()) {
            taken.records.shrink_to(places);
        }
        taken.flushes.shrink_to(FLUSHES_KEPT);
        self.spare = taken;
    }

    /// Gives back the memory that a busy time has left, when the pipeline parks.
    pub(in crate::put) fn park(&mut self) {
        if self.high_water.reset() {
            self.spare.records.shrink_to(PLACES_KEPT);
            let mut state = self.inbox.lock();
            state.arrivals.records.shrink_to(PLACES_KEPT);
        }
    }

    /// Returns the places on the two sides, of which each take swaps one for the other.
    #[cfg(test)]
    pub(in crate::put) fn places(&self) -> [usize; 2] {
        let arrivals = self.inbox.lock().arrivals.records.capacity();
        [arrivals, self.spare.records.capacity()]
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut arrivals = {
            let mut state = self.inbox.lock();
            state.is_lost = true;
            state.arena = Arena::default();
            std::mem::take(&mut state.arrivals)
        };
        // The replies of flushes are dropped, which ends these.
        while let Some(user) = arrivals.records.pop() {
            user.completion.refused(&self.inbox.shared);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::put::inbox::{
        high_water::{FALL_DIVISOR, PLACES_KEPT_MAX},
        inbox::tests::{inbox, put, put_charged},
    };

    #[test]
    fn what_has_come_ends_and_gives_its_room_back_when_the_outlet_is_lost() {
        let (inbox, outlet) = inbox();
        let charge = inbox.shared.budget.try_acquire(1).unwrap();
        assert!(put_charged(&inbox, charge).is_ok());
        drop(outlet);
        assert_eq!(inbox.shared.counters.snapshot().records_failed, 1);
        let records_max = inbox.shared.options.in_flight_records_max;
        let room = (0..records_max).map(|_| inbox.shared.budget.try_acquire(1));
        assert!(room.into_iter().all(|charge| charge.is_some()));
    }

    #[test]
    fn the_memory_of_both_sides_follows_the_high_water_mark() {
        let (inbox, mut outlet) = inbox();
        let round = |outlet: &mut Outlet, records| {
            (0..records).for_each(|_| drop(put(&inbox).unwrap()));
            let mut arrivals = outlet.take();
            while arrivals.records.pop().is_some() {}
            outlet.reuse(arrivals, 0);
        };
        (0..2).for_each(|_| round(&mut outlet, PLACES_KEPT + 1));
        let busy = outlet.places();
        assert!(busy.into_iter().all(|places| places > PLACES_KEPT));
        (0..2).for_each(|_| round(&mut outlet, 1));
        assert_eq!(outlet.places(), busy);
        (0..4 * FALL_DIVISOR).for_each(|_| round(&mut outlet, 1));
        let quiet = outlet.places();
        assert!(quiet.into_iter().all(|places| places <= PLACES_KEPT));
        (0..2).for_each(|_| round(&mut outlet, PLACES_KEPT_MAX + 1));
        let bounded = outlet.places();
        assert!(bounded.into_iter().all(|places| places <= PLACES_KEPT_MAX));
    }

    #[test]
    fn memory_that_waiting_records_need_again_is_kept() {
        let (_inbox, mut outlet) = inbox();
        let waiting = 2 * PLACES_KEPT;
        let mut swapped = Arrivals::default();
        swapped.records.reserve(waiting);
        outlet.reuse(swapped, waiting);
        assert!(outlet.spare.records.capacity() >= waiting);
    }
}
