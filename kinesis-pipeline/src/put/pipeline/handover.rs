//! The hand-over of the scheduler from one driver to the next: starting, parking, abandoning.

use std::sync::{Arc, MutexGuard, PoisonError, atomic::Ordering};

use tokio::runtime::Handle;

use super::pipeline::Pipeline;
use crate::put::{driver::Driver, scheduler::scheduler::Scheduler};

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

impl Pipeline {
    /// Sees to it that a driver takes what has arrived: starts one if none runs. A running one is woken by the inbox.
    ///
    /// Every put does it, also one that finds records in the inbox: the thread that left them there may be held up before
    /// it looks. It races with a driver that parks:
    ///
    /// ```text
    ///   put                                     park, under the lock of `home`
    ///   P1  record into the inbox (its lock)    D1  driven = false
    ///   P2  reads driven                        D2  takes the inbox (its lock)
    /// ```
    ///
    /// If P1 comes before D2, D2 takes the record. If it comes after D2, D1 was before: P2 reads false, and the put starts
    /// a driver. It waits for the lock of `home`. If the parking driver has found work and goes on, the put finds no
    /// scheduler there and leaves, and the driver takes the record in its next round.
    pub(super) fn arrived(self: &Arc<Self>) {
        if !self.driven.load(Ordering::SeqCst) {
            self.start_driver();
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

    /// Waits until records have arrived since the driver last took the inbox. A driver that `coalesces` arrivals sleeps
    /// until their weight is worth a round. Cancel safe.
    pub(in crate::put) async fn next_put(&self, coalesces: bool) {
        let weight = if coalesces { self.coalesce_weight } else { 1 };
        self.inbox.gathered(weight).await;
    }

    /// Takes the scheduler back from a driver that has nothing to do, or returns it if records have arrived meanwhile. See
    /// [`arrived`](Self::arrived) for the interleavings with puts.
    pub(in crate::put) fn park(&self, mut state: Box<Scheduler>) -> Option<Box<Scheduler>> {
        let mut home = self.home();
        self.driven.store(false, Ordering::SeqCst);
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
