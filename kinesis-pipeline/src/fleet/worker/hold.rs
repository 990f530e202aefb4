use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};

/// The state of a lease, as its own worker knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Held,
    /// Another worker asks for the lease, and waits until this one has finished its batch.
    AskedFor,
    /// Another worker may be reading the shard already.
    Lost,
}

/// A lease's state, shared by its renewer, its consumer and its checkpointers. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    phase: Arc<watch::Sender<Phase>>,
    times: Arc<Mutex<Times>>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    /// The time until which no other worker can have taken the lease: the fail-over time after the start of the last
    /// successful write. Other workers see that write later, and wait for the fail-over time from then on.
    valid_until: Instant,
    /// The time from which the worker that asks for the lease may take it by force; `None` if no worker asks.
    forced_at: Option<Instant>,
}

impl Hold {
    pub(super) fn new(valid_until: Instant) -> Self {
        Self {
            phase: Arc::new(watch::Sender::new(Phase::Held)),
            times: Arc::new(Mutex::new(Times {
                valid_until,
                forced_at: None,
            })),
        }
    }

    /// Extends the lease after a write that began a fail-over time before `valid_until`.
    pub(super) fn extend(&self, valid_until: Instant) {
        self.times().valid_until = valid_until;
        // Tasks that wait for a valid lease are woken. The new time is set before, so they see it.
        self.phase.send_modify(|_| {});
    }

    /// Notes that another worker asks for the lease, which it may take by force `hand_over_max` after it asked.
    ///
    /// It asked after the last write of this worker that knew nothing of it, which began a fail-over time before
    /// `valid_until`. So this worker begins with no batch at a time at which the other one may have taken the lease.
    pub(super) fn ask_for(&self, failover: Duration, hand_over_max: Duration) {
        let mut times = self.times();
        let written_at = times.valid_until.checked_sub(failover);
        let forced_at = written_at.unwrap_or(times.valid_until) + hand_over_max;
        times.forced_at.get_or_insert(forced_at);
        drop(times);
        self.phase.send_if_modified(|phase| {
            let is_new = *phase == Phase::Held;
            if is_new {
                *phase = Phase::AskedFor;
            }
            is_new
        });
    }

    /// Whether the worker that asks for the lease may take it by force.
    pub(super) fn may_be_forced(&self, now: Instant) -> bool {
        self.times().forced_at.is_some_and(|at| now >= at)
    }

    pub(super) fn lose(&self) {
        self.phase.send_replace(Phase::Lost);
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(super) fn is_valid(&self, now: Instant) -> bool {
        self.phase() != Phase::Lost && now < self.times().valid_until
    }

    /// Waits until the lease is lost.
    pub(super) async fn lost(&self) {
        self.until(|phase| phase == Phase::Lost).await;
    }

    /// Waits until the lease is lost or asked for.
    pub(super) async fn wanted(&self) {
        self.until(|phase| phase != Phase::Held).await;
    }

    /// Waits until the lease is valid again, or lost.
    pub(super) async fn valid_or_lost(&self, now: impl Fn() -> Instant) {
        self.until(|phase| phase == Phase::Lost || now() < self.times().valid_until)
            .await;
    }

    async fn until(&self, mut is_so: impl FnMut(Phase) -> bool) {
        // The sender is part of this value, so the wait ends only when the condition holds.
        let _ = self.phase.subscribe().wait_for(|phase| is_so(*phase)).await;
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_hand_over_may_be_forced_from_its_limit_after_the_last_write_that_knew_nothing_of_it()
    {
        let begun = crate::Clock::system().instant();
        let hold = Hold::new(begun + 10 * SECOND);
        assert!(!hold.may_be_forced(begun + 100 * SECOND), "no worker asks");
        hold.ask_for(10 * SECOND, 30 * SECOND);
        // Renewals under way and later notes of the same hand-over change nothing.
        hold.extend(begun + 17 * SECOND);
        hold.ask_for(10 * SECOND, 30 * SECOND);
        assert!(!hold.may_be_forced(begun + 30 * SECOND - SECOND / 1_000));
        assert!(hold.may_be_forced(begun + 30 * SECOND));
    }
}
