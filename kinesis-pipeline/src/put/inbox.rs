//! The inbox of a pipeline: puts add records, and the driver takes all of them at once.
//!
//! ```text
//!   put ──┐ lock, push                          lock, swap
//!   put ──┼───────────> arrivals ┌──────────────────────────> the driver goes through them without a lock
//!   flush ┘                      └ wakes the driver once there is enough
//! ```
//!
//! Under one lock a put learns whether the pipeline is closed, gets its place before or behind a flush, is counted as
//! accepted, and wakes the driver if it has to. The lock is held while one record is moved. A queue without a lock would
//! need an atomic access for each of these, and two more for each record on the driver's side.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{
    admission::{budget::Charge, shared::Shared},
    arena::{Arenas, Slices},
    pending::{flush::FlushWait, pending::Queued, receipt::Waiter},
};
use crate::record::{Encoded, EncodedRecord};

/// The weight of a record besides its bytes.
pub(super) const ARRIVAL_WEIGHT: usize = 512;
/// The weight of a flush. It is more than any limit, so that a flush wakes a driver that coalesces arrivals.
const FLUSH_WEIGHT: usize = usize::MAX / 2;
/// The largest capacity of a taken queue that is kept for the next records.
const PLACES_KEPT: usize = 4_096;

/// An item of the inbox.
#[derive(Debug)]
pub(in crate::put) enum Arrival {
    /// A record to put.
    Put(Queued),
    /// A record to put whose data, of this many bytes, are the next of the arenas.
    Small(Queued, usize),
    /// A flush, which asks for the groups of records that it has to wait for.
    Flush(oneshot::Sender<Vec<FlushWait>>),
}

/// The queue between puts and the driver.
#[derive(Debug)]
pub(in crate::put) struct Inbox {
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// A copy of the state's flag, for puts that have no budget yet. The state decides.
    is_closed: AtomicBool,
    wake: Notify,
}

#[derive(Debug)]
struct State {
    /// The items that the driver has not taken. The memory budget bounds the number of records.
    arrivals: Vec<Arrival>,
    /// The data of small records, in the same order.
    arenas: Arenas,
    /// The weight of these items.
    weight: usize,
    /// The weight at which the driver is woken.
    wakes_at: usize,
    /// Whether no more records are accepted.
    is_closed: bool,
    /// Whether the outlet was dropped.
    is_lost: bool,
}

impl State {
    fn is_open(&self) -> bool {
        !self.is_closed && !self.is_lost
    }
}

/// The driver's end of the inbox. When it is dropped, as after a panic of a driver, all present and later records fail.
#[derive(Debug)]
pub(in crate::put) struct Outlet {
    inbox: Arc<Inbox>,
    /// The empty queue of the last take, for its capacity.
    spare: Vec<Arrival>,
}

/// The error of a put to a pipeline that is closed.
#[derive(Debug)]
pub(in crate::put) struct Closed;

impl Inbox {
    pub(in crate::put) fn new(shared: Arc<Shared>) -> (Arc<Self>, Outlet) {
        let state = State {
            arrivals: Vec::new(),
            arenas: Arenas::default(),
            weight: 0,
            wakes_at: 1,
            is_closed: false,
            is_lost: false,
        };
        let inbox = Arc::new(Self {
            shared,
            state: Mutex::new(state),
            is_closed: AtomicBool::new(false),
            wake: Notify::new(),
        });
        let outlet = Outlet {
            inbox: Arc::clone(&inbox),
            spare: Vec::new(),
        };
        (inbox, outlet)
    }

    /// Whether puts are refused from now on.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Closes the inbox for new records. A flush that follows comes behind all accepted records.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.is_closed.store(true, Ordering::Release);
    }

    /// Accepts a record, and counts it.
    #[inline]
    pub(in crate::put) fn put(&self, user: Queued) -> Result<(), Closed> {
        let state = self.lock();
        if state.is_open() {
            self.shared.counters.count_accepted();
            let weight = ARRIVAL_WEIGHT + user.record.size_bytes();
            self.leave(state, Arrival::Put(user), weight);
            return Ok(());
        }
        self.turn_away(user, state)
    }

    /// Accepts a record whose data are copied, and counts it.
    #[inline]
    pub(in crate::put) fn put_small(
        &self,
        record: Encoded<'_>,
        data: &[u8],
        entered_at: Instant,
        waiter: Waiter,
        charge: Charge,
    ) -> Result<(), Closed> {
        let user = Queued {
            record: EncodedRecord {
                data: Bytes::new(),
                partition_key: record.partition_key.clone(),
                explicit_hash_key: record.explicit_hash_key,
            },
            entered_at,
            waiter,
            charge,
        };
        let mut state = self.lock();
        if state.is_open() {
            self.shared.counters.count_accepted();
            state.arenas.append(data);
            let weight = ARRIVAL_WEIGHT + record.size_bytes();
            self.leave(state, Arrival::Small(user, data.len()), weight);
            return Ok(());
        }
        self.turn_away(user, state)
    }

    /// Refuses a record as the inbox is closed, or fails it as no driver can take it any more.
    #[cold]
    fn turn_away(&self, user: Queued, state: MutexGuard<'_, State>) -> Result<(), Closed> {
        let is_closed = state.is_closed;
        if !is_closed {
            self.shared.counters.count_accepted();
        }
        // A record that fails wakes the task that waits for it.
        drop(state);
        if is_closed {
            self.shared.budget.give_back(user.charge);
            return Err(Closed);
        }
        user.refused(&self.shared);
        Ok(())
    }

    /// Leaves a flush behind the records that have come, and wakes the driver.
    pub(super) fn flush(&self, reply: oneshot::Sender<Vec<FlushWait>>) {
        let state = self.lock();
        if !state.is_lost {
            self.leave(state, Arrival::Flush(reply), FLUSH_WEIGHT);
        }
    }

    /// Adds an item. The driver is notified under the lock: a later put that does not notify it can rely on that.
    #[inline]
    fn leave(&self, mut state: MutexGuard<'_, State>, arrival: Arrival, weight: usize) {
        state.arrivals.push(arrival);
        let before = state.weight;
        state.weight = before.saturating_add(weight);
        if before < state.wakes_at && state.weight >= state.wakes_at {
            self.wake.notify_one();
        }
    }

    /// Waits until items of this weight have arrived since the last take. Cancel safe.
    pub(super) async fn gathered(&self, weight: usize) {
        while !self.has_gathered(weight) {
            // A notification for an earlier wait may be left.
            self.wake.notified().await;
        }
    }

    fn has_gathered(&self, weight: usize) -> bool {
        let mut state = self.lock();
        state.wakes_at = weight;
        state.weight >= weight
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet {
    /// Takes all items, with the data of the small records. [`reuse`](Self::reuse) takes the empty queue back.
    pub(in crate::put) fn take(&mut self) -> (Vec<Arrival>, Slices) {
        let mut taken = std::mem::take(&mut self.spare);
        let mut state = self.inbox.lock();
        std::mem::swap(&mut state.arrivals, &mut taken);
        state.weight = 0;
        (taken, state.arenas.take())
    }

    /// Keeps an empty queue for its capacity, unless that is large.
    pub(in crate::put) fn reuse(&mut self, taken: Vec<Arrival>) {
        debug_assert!(taken.is_empty(), "an arrival is lost");
        if taken.capacity() <= PLACES_KEPT {
            self.spare = taken;
        }
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let arrivals = {
            let mut state = self.inbox.lock();
            state.is_lost = true;
            drop(state.arenas.take());
            std::mem::take(&mut state.arrivals)
        };
        for arrival in arrivals {
            // The reply of a flush is dropped, which ends the flush.
            if let Arrival::Put(user) | Arrival::Small(user, _) = arrival {
                user.refused(&self.inbox.shared);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{thread, time::Duration};

    use tokio::time::timeout;

    use super::*;
    use crate::{
        Clock, PartitionKey,
        put::{pending::receipt::PendingReceipt, tests::shared},
    };

    const THREADS: usize = 4;
    const SOON: Duration = Duration::from_secs(1);

    fn record(charge: Charge) -> Queued {
        let clock = Clock::system();
        Queued {
            record: EncodedRecord::new(PartitionKey::known("k"), Bytes::new()),
            entered_at: clock.instant(),
            waiter: PendingReceipt::new("s".into()).0,
            charge,
        }
    }

    fn put(inbox: &Inbox) -> Result<(), Closed> {
        inbox.put(record(Charge::default()))
    }

    fn inbox() -> (Arc<Inbox>, Outlet) {
        Inbox::new(shared())
    }

    #[test]
    fn what_threads_put_is_taken_and_counted_before_the_close_and_refused_after_it() {
        let (inbox, mut outlet) = inbox();
        let putting = || {
            let mut accepted = 0;
            while put(&inbox).is_ok() {
                accepted += 1;
            }
            accepted
        };
        let mut taken = 0;
        let accepted: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(putting)).collect();
            while taken < 1_000 {
                taken += outlet.take().0.len();
            }
            inbox.close();
            threads.into_iter().map(|it| it.join().unwrap()).sum()
        });
        taken += outlet.take().0.len();
        assert_eq!(taken, accepted);
        let counted = inbox.shared.counters.snapshot().records_accepted;
        assert_eq!(counted, accepted as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn a_driver_is_woken_once_as_much_has_come_as_it_waits_for() {
        let (inbox, mut outlet) = inbox();
        let gathered = || timeout(SOON, inbox.gathered(2 * ARRIVAL_WEIGHT));
        put(&inbox).unwrap();
        assert!(gathered().await.is_err());
        put(&inbox).unwrap();
        assert!(gathered().await.is_ok());
        assert_eq!(outlet.take().0.len(), 2);
        assert!(gathered().await.is_err(), "it counts from the last take on");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flush_wakes_a_driver_that_becomes_patient_after_it() {
        let (inbox, mut outlet) = inbox();
        drop(outlet.take());
        // Between the take and the wait.
        let (reply, _groups) = oneshot::channel();
        inbox.flush(reply);
        let gathered = timeout(SOON, inbox.gathered(1_000 * ARRIVAL_WEIGHT));
        assert!(gathered.await.is_ok());
    }

    #[test]
    fn what_has_come_ends_and_gives_its_room_back_when_the_outlet_is_lost() {
        let (inbox, outlet) = inbox();
        let charge = inbox.shared.budget.try_acquire(1).unwrap();
        assert!(inbox.put(record(charge)).is_ok());
        drop(outlet);
        assert_eq!(inbox.shared.counters.snapshot().records_failed, 1);
        let records_max = inbox.shared.options.in_flight_records_max;
        let room = (0..records_max).map(|_| inbox.shared.budget.try_acquire(1));
        assert!(room.into_iter().all(|charge| charge.is_some()));
    }

    #[test]
    fn many_places_are_not_kept() {
        let (inbox, mut outlet) = inbox();
        for places in [PLACES_KEPT, PLACES_KEPT + 1] {
            outlet.reuse(Vec::with_capacity(places));
            assert!(outlet.spare.capacity() <= PLACES_KEPT);
        }
        drop(inbox);
    }
}
