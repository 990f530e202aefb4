use std::time::Duration;

use tokio::time::Instant;

use crate::{
    get::shard_reader::retry::{Failures, RetryDecision},
    service::ErrorClass,
};

/// The time between two listings while the children of an ended shard cannot be found; it doubles.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// The longest time between two such listings.
const INTERVAL_MAX: Duration = Duration::from_secs(30);

/// The timer of listings, which find the children that no page has told.
#[derive(Debug)]
pub(in crate::get) struct Listing {
    is_running: bool,
    /// The earliest time of the next listing. It is made only while children are looked for.
    due: Option<Instant>,
    interval: Duration,
    failures: Failures,
    /// The number of listings in a row that lacked shards.
    incomplete: u32,
}

impl Listing {
    pub(in crate::get) fn new() -> Self {
        Self {
            is_running: false,
            due: None,
            interval: INTERVAL_MIN,
            failures: Failures::default(),
            incomplete: 0,
        }
    }

    /// Returns the time of the next listing.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.is_running)
    }

    /// Begins a listing if one is due. Returns whether it did.
    pub(super) fn begin_if_due(&mut self, is_wanted: bool, now: Instant) -> bool {
        if self.is_running {
            return false;
        }
        if !is_wanted {
            self.due = None;
            self.interval = INTERVAL_MIN;
            return false;
        }
        self.is_running = self.due.is_none_or(|due| due <= now);
        self.is_running
    }

    pub(super) fn on_listed(&mut self, now: Instant) {
        self.is_running = false;
        self.failures.reset();
        self.due = Some(now + self.interval);
        self.interval = (self.interval * 2).min(INTERVAL_MAX);
    }

    /// Whether to use a listing. One that lacks shards is used only after `incomplete_max` others like it, since the
    /// service then has no better one.
    pub(super) fn is_believed(&mut self, is_whole: bool, incomplete_max: u32) -> bool {
        self.incomplete = if is_whole { 0 } else { self.incomplete + 1 };
        is_whole || self.incomplete > incomplete_max
    }

    /// Takes the failure of a listing. Returns whether it will be tried again.
    pub(super) fn on_error(
        &mut self,
        class: ErrorClass,
        now: Instant,
        outage_max: Duration,
        jitter: f64,
    ) -> bool {
        self.is_running = false;
        match self.failures.judge(class, now, outage_max, jitter) {
            RetryDecision::Again { at, .. } => {
                self.due = Some(at);
                true
            }
            RetryDecision::Final => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn listings_are_made_at_once_and_then_ever_less_often_while_children_are_looked_for() {
        let mut listing = Listing::new();
        let mut now = crate::Clock::system().instant();
        assert!(!listing.begin_if_due(false, now));
        let mut waits = Vec::new();
        for _ in 0..10 {
            assert!(listing.begin_if_due(true, now));
            assert!(!listing.begin_if_due(true, now), "one at a time");
            listing.on_listed(now);
            let due = listing.due().expect("it is due again");
            assert!(!listing.begin_if_due(true, now));
            waits.push(due - now);
            now = due;
        }
        assert!(waits.is_sorted() && waits[0] == INTERVAL_MIN && waits[9] == INTERVAL_MAX);
        assert!(!listing.begin_if_due(false, now));
        assert!(listing.begin_if_due(true, now));
    }
}
