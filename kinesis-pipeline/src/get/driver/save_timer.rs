use std::time::Duration;

use tokio::time::Instant;

use crate::{
    get::shard_reader::retry::{Failures, RetryDecision},
    service::ErrorClass,
};

/// The timer of checkpoint saves.
#[derive(Debug)]
pub(in crate::get) struct SaveTimer {
    interval: Duration,
    is_running: bool,
    due: Instant,
    failures: Failures,
}

impl SaveTimer {
    /// Makes a timer whose first save is due at once: it saves the start positions.
    pub(in crate::get) fn new(interval: Duration, now: Instant) -> Self {
        Self {
            interval,
            is_running: false,
            due: now,
            failures: Failures::default(),
        }
    }

    /// Returns the time of the next save.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.is_running).then_some(self.due)
    }

    /// Makes a save due now, because a shard has ended, unless saves are failing.
    pub(super) fn hurry(&mut self, now: Instant) {
        if !self.failures.are_any() {
            self.due = self.due.min(now);
        }
    }

    /// Begins a save if one is due. Returns whether it did.
    pub(super) fn begin_if_due(&mut self, now: Instant) -> bool {
        if self.is_running || self.due > now {
            return false;
        }
        self.is_running = true;
        self.due = now + self.interval;
        true
    }

    pub(super) fn on_saved(&mut self) {
        self.is_running = false;
        self.failures.reset();
    }

    pub(super) fn on_error(
        &mut self,
        is_retryable: bool,
        now: Instant,
        outage_max: Duration,
        jitter: f64,
    ) -> RetryDecision {
        self.is_running = false;
        let class = if is_retryable {
            ErrorClass::Transient
        } else {
            ErrorClass::Invalid
        };
        let decision = self.failures.judge(class, now, outage_max, jitter);
        if let RetryDecision::Again { at, .. } = decision {
            self.due = at;
        }
        decision
    }
}
