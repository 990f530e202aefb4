//! The inbox of a pipeline: puts add records, and the driver takes all of them at once.
//!
//! ```text
//!   put ──┐ lock, push                          lock, swap
//!   put ──┼───────────> arrivals ┌──────────────────────────> the driver goes through them without a lock
//!   flush ┘                      └ wakes the driver once there is enough
//! ```
//!
//! Under one lock a put learns whether the pipeline is closed, gets its place before or behind a flush, is counted as
//! accepted, gets its receipt, and wakes the driver if it has to. The lock is held while one record is moved and up to 8 KiB
//! are copied. A queue without a lock would
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
    arena::Arena,
    pending::{
        flush::FlushWait,
        pending::Completion,
        receipt::{PendingReceipt, Receipts},
    },
    queue::columns::RecordColumns,
};
use crate::record::{Encoded, EncodedData};

/// The weight of a record besides its bytes.
pub(super) const ARRIVAL_WEIGHT: usize = 512;
/// The weight of a flush. It is more than any limit, so that a flush wakes a driver that coalesces arrivals.
const FLUSH_WEIGHT: usize = usize::MAX / 2;
/// The number of records for which a pipeline at rest may keep memory ...
pub(in crate::put) const PLACES_KEPT: usize = 4_096;
/// ... and for which a busy one may, however many came at once.
const PLACES_KEPT_MAX: usize = 16_384;
/// The places that are kept for each record of the largest of the last takes: columns grow by doubling, and takes differ.
const PLACES_PER_RECORD: usize = 4;
/// Each take forgets this part, one in so many, of what the largest of the last takes had.
const FORGOTTEN: usize = 64;
/// The number of flushes for which memory is kept.
const FLUSHES_KEPT: usize = 16;

/// Records to put, and flushes.
#[derive(Debug, Default)]
pub(in crate::put) struct Arrivals {
    /// The records. The memory budget bounds their number.
    pub(in crate::put) records: RecordColumns,
    /// The flushes in their order.
    pub(in crate::put) flushes: Vec<Flush>,
}

/// A flush, which asks for the groups of records that it has to wait for.
#[derive(Debug)]
pub(in crate::put) struct Flush {
    /// The number of arrived records before it.
    pub(in crate::put) records_before: usize,
    pub(in crate::put) reply: oneshot::Sender<Vec<FlushWait>>,
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
    /// The arrivals since the last take.
    arrivals: Arrivals,
    receipts: Receipts,
    /// Memory for the data of small records.
    arena: Arena,
    /// The weight of the arrivals.
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
    /// The empty arrivals of the last take, for their memory.
    spare: Arrivals,
    /// The largest number of records that were taken or waited at one of the last takes. The memory that is kept follows it: what each round gives back and
    /// takes again costs page faults.
    largest: usize,
}

/// The error of a put to a pipeline that is closed.
#[derive(Debug)]
pub(in crate::put) struct Closed;

impl Inbox {
    pub(in crate::put) fn new(shared: Arc<Shared>) -> (Arc<Self>, Outlet) {
        let state = State {
            arrivals: Arrivals::default(),
            receipts: Receipts::new(shared.target.stream.clone()),
            arena: Arena::default(),
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
            spare: Arrivals::default(),
            largest: 0,
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

    /// Accepts a record that has its budget, and counts it. Data in a buffer for the next record are copied.
    #[inline]
    pub(in crate::put) fn put(
        &self,
        record: Encoded<'_>,
        entered_at: Instant,
        charge: Charge,
    ) -> Result<PendingReceipt, Closed> {
        let (mut data, small) = match record.data {
            EncodedData::Borrowed(data) if self.shared.options.uses_arenas() => {
                (Bytes::new(), Some(data))
            }
            data => (data.into_bytes(), None),
        };
        let partition_key = record.partition_key.clone();
        let mut state = self.lock();
        if !state.is_open() {
            return self.turn_away(charge, state);
        }
        self.shared.counters.count_accepted();
        if let Some(small) = small {
            data = state.arena.copy(small);
        }
        let (waiter, pending) = state.receipts.pair();
        let explicit = record.explicit_hash_key;
        let completion = Completion::new(entered_at, explicit, waiter, charge);
        let records = &mut state.arrivals.records;
        records.push(data, partition_key, completion);
        self.note_arrival(state, ARRIVAL_WEIGHT + record.size_bytes());
        Ok(pending)
    }

    /// Refuses a record as the inbox is closed, or fails it as no driver can take it any more.
    #[cold]
    fn turn_away(
        &self,
        charge: Charge,
        mut state: MutexGuard<'_, State>,
    ) -> Result<PendingReceipt, Closed> {
        let accepted = (!state.is_closed).then(|| state.receipts.pair());
        drop(state);
        // It wakes puts that wait for room.
        self.shared.budget.give_back(charge);
        let (_, pending) = accepted.ok_or(Closed)?;
        self.shared.counters.count_accepted();
        self.shared.counters.failed.add(1);
        Ok(pending)
    }

    /// Leaves a flush behind the records that have come, and wakes the driver.
    pub(super) fn flush(&self, reply: oneshot::Sender<Vec<FlushWait>>) {
        let mut state = self.lock();
        if !state.is_lost {
            let records_before = state.arrivals.records.len();
            state.arrivals.flushes.push(Flush {
                records_before,
                reply,
            });
            self.note_arrival(state, FLUSH_WEIGHT);
        }
    }

    /// Notes an arrival. The driver is notified under the lock: a later put that does not notify it can rely on that.
    #[inline]
    fn note_arrival(&self, mut state: MutexGuard<'_, State>, weight: usize) {
        let before = state.weight;
        state.weight = before.saturating_add(weight);
        if before < state.wakes_at && state.weight >= state.wakes_at {
            self.wake.notify_one();
        }
    }

    /// Waits until as much as this weight, of records and flushes, has arrived since the last take. Cancel safe.
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
    /// Takes all arrivals. [`reuse`](Self::reuse) takes the empty ones back.
    pub(in crate::put) fn take(&mut self) -> Arrivals {
        let mut taken = std::mem::take(&mut self.spare);
        let mut state = self.inbox.lock();
        std::mem::swap(&mut state.arrivals, &mut taken);
        state.weight = 0;
        state.arena.taken();
        drop(state);
        let remembered = self.largest - self.largest.div_ceil(FORGOTTEN);
        self.largest = remembered.max(taken.records.len());
        taken
    }

    /// Keeps empty arrivals for their memory, of which it gives back what is much. So many records wait in columns that are
    /// swapped with those of arrivals, and need their memory again.
    pub(in crate::put) fn reuse(&mut self, mut taken: Arrivals, waiting: usize) {
        debug_assert!(taken.records.len() == 0, "a record is lost");
        self.largest = self.largest.max(waiting);
        let kept = self.places_kept();
        if taken.records.capacity() > kept {
            // By half: memory for a load that falls slowly is not moved after each take.
            let places = self.largest.max(kept / 2).min(kept);
            taken.records.shrink_to(places);
        }
        taken.flushes.shrink_to(FLUSHES_KEPT);
        self.spare = taken;
    }

    /// Gives back the memory that a busy time has left, when the pipeline parks.
    pub(in crate::put) fn park(&mut self) {
        let was_busy = self.places_kept() > PLACES_KEPT;
        self.largest = 0;
        if was_busy {
            self.spare.records.shrink_to(PLACES_KEPT);
            let mut state = self.inbox.lock();
            state.arrivals.records.shrink_to(PLACES_KEPT);
        }
    }

    fn places_kept(&self) -> usize {
        let places = PLACES_PER_RECORD.saturating_mul(self.largest);
        places.clamp(PLACES_KEPT, PLACES_KEPT_MAX)
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
    use std::{thread, time::Duration};

    use tokio::time::timeout;

    use super::*;
    use crate::{
        Clock, PartitionKey,
        put::{PutOptions, tests::shared},
    };

    const THREADS: usize = 4;
    const SOON: Duration = Duration::from_secs(1);

    /// Puts a record with data that are the inbox's to copy.
    fn put_charged(inbox: &Inbox, charge: Charge) -> Result<PendingReceipt, Closed> {
        let encoded = Encoded {
            data: EncodedData::Borrowed(b"data"),
            partition_key: &PartitionKey::known("k"),
            explicit_hash_key: None,
        };
        inbox.put(encoded, Clock::system().instant(), charge)
    }

    fn put(inbox: &Inbox) -> Result<PendingReceipt, Closed> {
        put_charged(inbox, Charge::default())
    }

    fn taken(outlet: &mut Outlet) -> usize {
        let arrivals = outlet.take();
        let records = arrivals.records.iter();
        assert!(
            records
                .map(|(record, _)| record.data.bytes())
                .all(|data| data == b"data")
        );
        arrivals.records.len()
    }

    /// An inbox with an arena.
    fn inbox() -> (Arc<Inbox>, Outlet) {
        let options = PutOptions {
            placed: true,
            ..PutOptions::default()
        };
        Inbox::new(Arc::new(Shared::new(shared().target.clone(), options)))
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
                taken += self::taken(&mut outlet);
            }
            inbox.close();
            threads.into_iter().map(|it| it.join().unwrap()).sum()
        });
        taken += self::taken(&mut outlet);
        assert_eq!(taken, accepted);
        let counted = inbox.shared.counters.snapshot().records_accepted;
        assert_eq!(counted, accepted as u64);
    }

    #[tokio::test(start_paused = true)]
    async fn a_driver_is_woken_once_as_much_has_come_as_it_waits_for() {
        let (inbox, mut outlet) = inbox();
        let gathered = || timeout(SOON, inbox.gathered(2 * ARRIVAL_WEIGHT));
        drop(put(&inbox).unwrap());
        assert!(gathered().await.is_err());
        drop(put(&inbox).unwrap());
        assert!(gathered().await.is_ok());
        assert_eq!(taken(&mut outlet), 2);
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
        assert!(put_charged(&inbox, charge).is_ok());
        drop(outlet);
        assert_eq!(inbox.shared.counters.snapshot().records_failed, 1);
        let records_max = inbox.shared.options.in_flight_records_max;
        let room = (0..records_max).map(|_| inbox.shared.budget.try_acquire(1));
        assert!(room.into_iter().all(|charge| charge.is_some()));
    }

    /// Puts as many records, and has the outlet take and empty them.
    fn round(inbox: &Inbox, outlet: &mut Outlet, records: usize) {
        (0..records).for_each(|_| drop(put(inbox).unwrap()));
        let mut arrivals = outlet.take();
        while arrivals.records.pop().is_some() {}
        outlet.reuse(arrivals, 0);
    }

    #[test]
    fn a_busy_pipeline_keeps_its_memory_from_take_to_take() {
        let (inbox, mut outlet) = inbox();
        let busy = 2 * PLACES_KEPT + 1;
        (0..2).for_each(|_| round(&inbox, &mut outlet, busy));
        let before = outlet.places();
        assert!(before.iter().all(|&places| places >= busy));
        for records in [busy, 1, busy, 0, busy / 2, busy] {
            round(&inbox, &mut outlet, records);
            assert_eq!(outlet.places(), before);
        }
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

    #[test]
    fn memory_for_very_many_records_is_not_kept() {
        let (inbox, mut outlet) = inbox();
        (0..2).for_each(|_| round(&inbox, &mut outlet, PLACES_KEPT_MAX + 1));
        let kept = outlet.places();
        assert!(kept.iter().all(|&places| places <= PLACES_KEPT_MAX));
    }

    #[test]
    fn memory_follows_a_load_that_falls() {
        let (inbox, mut outlet) = inbox();
        (0..2).for_each(|_| round(&inbox, &mut outlet, PLACES_KEPT_MAX / 2));
        (0..4 * FORGOTTEN).for_each(|_| round(&inbox, &mut outlet, 1));
        let kept = outlet.places();
        assert!(kept.iter().all(|&places| places <= PLACES_KEPT));
    }

    #[test]
    fn a_parked_pipeline_keeps_little_memory() {
        let (inbox, mut outlet) = inbox();
        (0..2).for_each(|_| round(&inbox, &mut outlet, PLACES_KEPT_MAX / 2));
        assert!(outlet.places().iter().all(|&places| places > PLACES_KEPT));
        outlet.park();
        round(&inbox, &mut outlet, 1);
        assert_eq!(outlet.largest, 1, "the busy time is forgotten");
        let kept = outlet.places();
        assert!(kept.iter().all(|&places| places <= PLACES_KEPT));
    }
}
