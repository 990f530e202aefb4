//! The queue of records and flushes, and the end of those who put.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};

use super::{arena::Arena, outlet::Outlet};
use crate::{
    put::{
        admission::{budget::Charge, shared::Shared},
        pending::{
            flush::FlushWait,
            pending::Completion,
            receipt::{PendingReceipt, Receipts},
        },
        queue::columns::RecordColumns,
    },
    record::{Encoded, EncodedData},
};

/// The weight of a record besides its bytes.
pub(in crate::put) const ARRIVAL_WEIGHT: usize = 512;
/// The weight of a flush. It is more than any limit, so that a flush wakes a driver that coalesces arrivals.
const FLUSH_WEIGHT: usize = usize::MAX / 2;

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
    pub(super) shared: Arc<Shared>,
    state: Mutex<State>,
    /// A copy of the state's flag, for puts that have no budget yet. The state decides.
    is_closed: AtomicBool,
    wake: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    /// The arrivals since the last take.
    pub(super) arrivals: Arrivals,
    receipts: Receipts,
    /// Memory for the data of small records.
    pub(super) arena: Arena,
    /// The weight of the arrivals.
    pub(super) weight: usize,
    /// The weight at which the driver is woken.
    wakes_at: usize,
    /// Whether no more records are accepted.
    is_closed: bool,
    /// Whether the outlet was dropped.
    pub(super) is_lost: bool,
}

impl State {
    fn is_open(&self) -> bool {
        !self.is_closed && !self.is_lost
    }
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
        let outlet = Outlet::new(Arc::clone(&inbox));
        (inbox, outlet)
    }

    /// Whether puts are refused from now on.
    pub(in crate::put) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Closes the inbox for new records. A flush that follows comes behind all accepted records.
    pub(in crate::put) fn close(&self) {
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
    pub(in crate::put) fn flush(&self, reply: oneshot::Sender<Vec<FlushWait>>) {
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
    pub(in crate::put) async fn gathered(&self, weight: usize) {
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

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(super) mod tests {
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
    pub(in crate::put::inbox) fn put_charged(
        inbox: &Inbox,
        charge: Charge,
    ) -> Result<PendingReceipt, Closed> {
        let encoded = Encoded {
            data: EncodedData::Borrowed(b"data"),
            partition_key: &PartitionKey::known("k"),
            explicit_hash_key: None,
        };
        inbox.put(encoded, Clock::system().instant(), charge)
    }

    pub(in crate::put::inbox) fn put(inbox: &Inbox) -> Result<PendingReceipt, Closed> {
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
    pub(in crate::put::inbox) fn inbox() -> (Arc<Inbox>, Outlet) {
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
}
