//! The hand-over of records from puts to the driver, and of the scheduler from one driver to the next.

use std::sync::{Arc, MutexGuard, PoisonError, atomic::Ordering, mpsc};

use tokio::runtime::Handle;

use super::pipeline::Pipeline;
use crate::put::{
    driver::Driver,
    scheduler::scheduler::{Arrival, Scheduler},
};

/// The scheduler while no driver runs.
#[derive(Debug)]
pub(super) struct Home {
    /// The scheduler; `None` while a driver has it.
    pub(super) state: Option<Box<Scheduler>>,
    /// The runtime of the last driver: it runs the next one if a thread without a runtime puts.
    pub(super) runtime: Option<Handle>,
}

/// The weight of arrivals that wakes a driver whose timer is set anyway, or half of the memory budget if that is less.
/// Waking it for each record would cost as much as sending the record.
pub(super) const COALESCE_WEIGHT_MAX: usize = 384 * 1024;
/// The weight of an arrival besides its bytes, about the memory that a record takes.
pub(super) const ARRIVAL_WEIGHT: usize = 512;

impl Pipeline {
    /// Sends an arrival to the queue, and sees to it that a driver takes it: starts one, or wakes the one that runs.
    ///
    /// # A put and a driver that parks
    ///
    /// ```text
    ///   put                                     park, under the lock of `home`
    ///   P1  record into the queue               D1  driven = false
    ///   P2  arrived += weight                   D2  arrived = 0
    ///   P3  it was 0: reads driven              D3  takes the queue
    /// ```
    ///
    /// If P2 comes before D2, the record was in the queue before, and D3 takes it. If P2 comes after D2, the first put to do
    /// so finds 0, and D1 was even earlier: P3 reads false, and the put starts a driver. It waits for the lock of `home`. If
    /// the parking driver has found work and goes on, the put finds no scheduler there and leaves, and the driver takes the
    /// record in its next round. Puts after the first find more than 0 and leave it to the first.
    ///
    /// # A put and a driver that falls asleep
    ///
    /// The driver has set `arrived` to 0 and taken the queue, then it sleeps in [`next_put`](Self::next_put):
    ///
    /// ```text
    ///   put                                     next_put
    ///   P2  arrived += weight                   D4  wakes_at = limit
    ///   P4  reads wakes_at                      D5  reads arrived, sleeps if it is below the limit
    /// ```
    ///
    /// All four are sequentially consistent. If D5 does not see the weight of a put, it comes before that put's P2. Then D4
    /// comes before its P4, which reads the current limit. So of the puts that D5 has missed, or seen as too light, the one
    /// that lifts the sum to the limit knows the limit, and notifies. If D5 sees the limit reached, the driver does not
    /// sleep. A put that reads the limit of an earlier sleep may notify in vain: that costs one round of the driver.
    pub(super) fn arrive(self: &Arc<Self>, arrival: Arrival) {
        let weight = match &arrival {
            Arrival::Put(user) => ARRIVAL_WEIGHT + user.record.size_bytes(),
            Arrival::Flush(_) => COALESCE_WEIGHT_MAX,
        };
        // The receiver lives as long as the pipeline, unless the code of a driver panicked.
        if let Err(mpsc::SendError(arrival)) = self.inbox.send(arrival) {
            return arrival.refused(&self.shared);
        }
        let before = self.arrived.fetch_add(weight, Ordering::SeqCst);
        // Only the first arrival since the driver took the others looks for it.
        if before == 0 && !self.driven.load(Ordering::SeqCst) {
            self.start_driver();
        }
        let wakes_at = self.wakes_at.load(Ordering::SeqCst);
        if before < wakes_at && before + weight >= wakes_at {
            self.wake.notify_one();
        }
    }

    /// Starts a driver on the current runtime, or on that of the last driver, unless one has the scheduler.
    pub(super) fn start_driver(self: &Arc<Self>) {
        let (state, runtime) = {
            let mut home = self.home();
            if let Ok(current) = Handle::try_current() {
                home.runtime = Some(current);
            }
            // There is always one: the first put was refused unless it had a runtime.
            let Some(runtime) = home.runtime.clone() else {
                return;
            };
            self.driven.store(true, Ordering::SeqCst);
            (home.state.take(), runtime)
        };
        // Outside of the lock: a runtime that is shutting down drops the task at once, and `abandon` locks `home`.
        if let Some(state) = state {
            runtime.spawn(Driver::new(Arc::clone(self), state).run());
        }
    }

    /// Loses the scheduler, as a panic in a driver's code does.
    #[cfg(test)]
    pub(in crate::put) fn lose_state(&self) {
        drop(self.home().state.take());
    }

    pub(super) fn home(&self) -> MutexGuard<'_, Home> {
        self.home.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resets the weight of the arrivals. The driver calls it before it takes the queue: a record that comes in between is
    /// taken with the others, and its weight only wakes the driver once too often.
    pub(in crate::put) fn take_arrived(&self) {
        // This read synchronizes with the addition in `arrive`: records whose weight it takes are in the queue.
        self.arrived.swap(0, Ordering::SeqCst);
    }

    /// Waits until records may have arrived since the last [`take_arrived`](Self::take_arrived). A driver that `coalesces`
    /// arrivals sleeps until their weight is worth a round.
    ///
    /// The limit is set before the weight is read, while a put adds its weight before it reads the limit: see
    /// [`arrive`](Self::arrive) for the interleavings. Cancel safe: a notification that comes while the future is not
    /// polled is kept, or belongs to records that the next round takes anyway.
    pub(in crate::put) async fn next_put(&self, coalesces: bool) {
        let wakes_at = if coalesces { self.coalesce_weight } else { 1 };
        self.wakes_at.store(wakes_at, Ordering::SeqCst);
        if self.arrived.load(Ordering::SeqCst) < wakes_at {
            self.wake.notified().await;
        }
    }

    /// Takes the scheduler back from a driver that has nothing to do, or returns it if records have arrived meanwhile. See
    /// [`arrive`](Self::arrive) for the interleavings with puts.
    pub(in crate::put) fn park(&self, mut state: Box<Scheduler>) -> Option<Box<Scheduler>> {
        let mut home = self.home();
        self.driven.store(false, Ordering::SeqCst);
        self.take_arrived();
        state.take_new();
        if state.is_idle() {
            state.parked();
            home.state = Some(state);
            return None;
        }
        self.driven.store(true, Ordering::SeqCst);
        Some(state)
    }

    /// Takes the scheduler back from a driver that was dropped while it ran, and fails its records.
    pub(in crate::put) fn abandon(&self, mut state: Box<Scheduler>) {
        let abandoned = {
            let mut home = self.home();
            self.driven.store(false, Ordering::SeqCst);
            self.take_arrived();
            let abandoned = state.abandon(self.now());
            home.state = Some(state);
            abandoned
        };
        let unsent = abandoned
            .iter()
            .filter(|user| !user.completion.is_in_flight())
            .count();
        if unsent > 0 {
            tracing::warn!(
                stream = %self.shared.target.stream,
                records = unsent,
                "the runtime shut down before these records were sent"
            );
        }
        // Outside of the lock: failing a record wakes the task that waits for it.
        drop(abandoned);
    }
}
