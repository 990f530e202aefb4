//! The way in: puts leave records here, and the driver takes all that has come at once.
//!
//! ```text
//!   put ──┐ lock, push                          lock, swap
//!   put ──┼───────────> arrivals ┌──────────────────────────> the driver goes through them without a lock
//!   flush ┘                      └ wakes the driver once there is enough
//! ```
//!
//! One lock decides all about a put together: whether the pipeline is closed, its place before or behind a flush, that it
//! counts as accepted, and whether the driver is to be woken. It is held for the move of one record. A queue without a
//! lock needs an atomic access for each of these, and two more for each record on the driver's side.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::{Notify, oneshot};

use super::{
    admission::shared::Shared,
    pending::{flush::FlushWait, pending::Queued},
};

/// The weight of a record besides its bytes.
pub(super) const ARRIVAL_WEIGHT: usize = 512;
/// The weight of a flush: it wakes a driver however patient that is, also one that is about to be.
const FLUSH_WEIGHT: usize = usize::MAX / 2;
/// So many places are kept for the records that come next.
const PLACES_KEPT: usize = 4_096;

/// A record or a flush that has come.
#[derive(Debug)]
pub(in crate::put) enum Arrival {
    /// A record to put.
    Put(Queued),
    /// A flush asks for the groups of records that it has to wait for.
    Flush(oneshot::Sender<Vec<FlushWait>>),
}

/// The queue between puts and the driver.
#[derive(Debug)]
pub(in crate::put) struct Inbox {
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// A copy for puts that have not waited for room yet: it is the state that decides.
    is_closed: AtomicBool,
    wake: Notify,
}

#[derive(Debug)]
struct State {
    /// Room bounds how many there are.
    arrivals: Vec<Arrival>,
    /// Their weight.
    weight: usize,
    /// The weight at which the driver is woken.
    wakes_at: usize,
    /// No more records are accepted.
    is_closed: bool,
    /// There is no outlet any more.
    is_lost: bool,
}

/// The end that the records are taken from. Dropped, as when a driver panics, it ends all that has come and will come.
#[derive(Debug)]
pub(in crate::put) struct Outlet {
    inbox: Arc<Inbox>,
    /// Empty, with the places of those that were taken last.
    spare: Vec<Arrival>,
}

/// The error of a put to a pipeline that is closed.
#[derive(Debug)]
pub(in crate::put) struct Closed;

impl Inbox {
    pub(in crate::put) fn new(shared: Arc<Shared>) -> (Arc<Self>, Outlet) {
        let state = State {
            arrivals: Vec::new(),
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

    /// Accepts no more records. A flush that follows stands behind all that were accepted.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.is_closed.store(true, Ordering::Release);
    }

    /// Accepts a record, and counts it. Returns whether it is the first since the driver took what had come.
    pub(in crate::put) fn put(&self, user: Queued) -> Result<bool, Closed> {
        let state = self.lock();
        if state.is_closed {
            drop(state);
            self.shared.budget.give_back(user.charge);
            return Err(Closed);
        }
        self.shared.counters.count_accepted();
        let weight = ARRIVAL_WEIGHT + user.record.size_bytes();
        if state.is_lost {
            drop(state);
            user.refused(&self.shared);
            return Ok(false);
        }
        Ok(self.leave(state, Arrival::Put(user), weight))
    }

    /// Leaves a flush behind the records that have come, and wakes the driver. Returns what [`put`](Self::put) does.
    pub(super) fn flush(&self, reply: oneshot::Sender<Vec<FlushWait>>) -> bool {
        let state = self.lock();
        if state.is_lost {
            return false;
        }
        self.leave(state, Arrival::Flush(reply), FLUSH_WEIGHT)
    }

    fn leave(&self, mut state: MutexGuard<'_, State>, arrival: Arrival, weight: usize) -> bool {
        state.arrivals.push(arrival);
        let before = state.weight;
        state.weight = before.saturating_add(weight);
        let wakes = before < state.wakes_at && state.weight >= state.wakes_at;
        drop(state);
        if wakes {
            self.wake.notify_one();
        }
        before == 0
    }

    /// Waits until so much has come since the driver took what had come.
    pub(super) async fn gathered(&self, weight: usize) {
        let has_gathered = {
            let mut state = self.lock();
            state.wakes_at = weight;
            state.weight >= weight
        };
        if !has_gathered {
            self.wake.notified().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet {
    /// Takes what has come. The places go [back](Self::reuse).
    pub(in crate::put) fn take(&mut self) -> Vec<Arrival> {
        let mut taken = std::mem::take(&mut self.spare);
        let mut state = self.inbox.lock();
        std::mem::swap(&mut state.arrivals, &mut taken);
        state.weight = 0;
        taken
    }

    /// Keeps the places for what comes later, unless there are many.
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
            std::mem::take(&mut state.arrivals)
        };
        for arrival in arrivals {
            // The reply of a flush is dropped, which ends the flush.
            if let Arrival::Put(user) = arrival {
                user.refused(&self.inbox.shared);
            }
        }
    }
}
