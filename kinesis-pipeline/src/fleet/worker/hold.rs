use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

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
    /// The time until which no other worker can have taken the lease: the fail-over time after the start of the last
    /// successful write. Other workers see that write later, and wait for the fail-over time from then on.
    valid_until: Arc<Mutex<Instant>>,
    /// The time from which the worker that asks for the lease may take it by force; `None` if no worker asks.
    hand_over_until: Arc<Mutex<Option<Instant>>>,
}

impl Hold {
    pub(super) fn new(valid_until: Instant) -> Self {
        Self {
            phase: Arc::new(watch::Sender::new(Phase::Held)),
            valid_until: Arc::new(Mutex::new(valid_until)),
            hand_over_until: Arc::default(),
        }
    }

    /// Extends the lease after a write that began a fail-over time before `valid_until`.
    pub(super) fn extend(&self, valid_until: Instant) {
        *self.valid() = valid_until;
        // Tasks that wait for a valid lease are woken. The new time is set before, so they see it.
        self.phase.send_modify(|_| {});
    }

    /// Notes that another worker asks for the lease, which it may take by force `hand_over_max` after it asked.
    ///
    /// It asked after the last write of this worker that knew nothing of it, which began a fail-over time before
    /// `valid_until`. So this worker gives up no later than the other one takes.
    pub(super) fn ask_for(&self, failover: Duration, hand_over_max: Duration) {
        let asked_after = self.valid().checked_sub(failover);
        self.hand_over()
            .get_or_insert_with(|| asked_after.unwrap_or(*self.valid()) + hand_over_max);
        self.phase.send_if_modified(|phase| {
            let is_new = *phase == Phase::Held;
            if is_new {
                *phase = Phase::AskedFor;
            }
            is_new
        });
    }

    /// Waits until the worker that asks for the lease may take it by force.
    pub(super) async fn hand_over_expired(&self) {
        let until = *self.hand_over();
        match until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    }

    pub(super) fn lose(&self) {
        self.phase.send_replace(Phase::Lost);
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(super) fn is_valid(&self, now: Instant) -> bool {
        self.phase() != Phase::Lost && now < *self.valid()
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
        self.until(|phase| phase == Phase::Lost || now() < *self.valid())
            .await;
    }

    async fn until(&self, mut is_so: impl FnMut(Phase) -> bool) {
        // The sender is part of this value, so the wait ends only when the condition holds.
        let _ = self.phase.subscribe().wait_for(|phase| is_so(*phase)).await;
    }

    fn valid(&self) -> MutexGuard<'_, Instant> {
        self.valid_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn hand_over(&self) -> MutexGuard<'_, Option<Instant>> {
        self.hand_over_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_hand_over_expires_after_the_last_write_that_knew_nothing_of_it() {
        let begun = crate::Clock::system().instant();
        let hold = Hold::new(begun + 10 * SECOND);
        hold.ask_for(10 * SECOND, 30 * SECOND);
        // Renewals under way and later notes of the same hand-over change nothing.
        hold.extend(begun + 17 * SECOND);
        hold.ask_for(10 * SECOND, 30 * SECOND);
        hold.hand_over_expired().await;
        let waited = crate::Clock::system().instant() - begun;
        assert!((30 * SECOND..31 * SECOND).contains(&waited), "{waited:?}");
    }
}
