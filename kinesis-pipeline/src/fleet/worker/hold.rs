use std::sync::{Arc, Mutex, PoisonError};

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
    /// The time until which no other worker can have taken the lease: the fail-over time after the start of the last
    /// successful write. Other workers see that write later, and wait for the fail-over time from then on.
    valid_until: Arc<Mutex<Instant>>,
}

impl Hold {
    pub(super) fn new(valid_until: Instant) -> Self {
        Self {
            phase: Arc::new(watch::Sender::new(Phase::Held)),
            valid_until: Arc::new(Mutex::new(valid_until)),
        }
    }

    /// Extends the lease after a write that began a fail-over time before `valid_until`.
    pub(super) fn extend(&self, valid_until: Instant) {
        *self.valid() = valid_until;
        // Tasks that wait for a valid lease are woken. The new time is set before, so they see it.
        self.phase.send_modify(|_| {});
    }

    pub(super) fn ask_for(&self) {
        self.phase.send_if_modified(|phase| {
            let is_new = *phase == Phase::Held;
            if is_new {
                *phase = Phase::AskedFor;
            }
            is_new
        });
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

    fn valid(&self) -> std::sync::MutexGuard<'_, Instant> {
        self.valid_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
