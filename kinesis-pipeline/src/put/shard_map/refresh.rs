//! The times at which the shards are listed.

use std::time::Duration;

use tokio::time::Instant;

use crate::{service::ErrorClass, shard::Shard};

/// The shortest time between two listings: a map that proves wrong again is not listed before.
const INTERVAL_MIN: Duration = Duration::from_millis(200);
/// The time after which a listing that was given up is tried again ...
const FAILED_AGAIN: Duration = Duration::from_secs(5);
/// ... and the time if it was refused for good.
const REFUSED_AGAIN: Duration = Duration::from_mins(1);
/// The time between two listings while the service distributes the records by itself.
const AUTO_AGAIN: Duration = Duration::from_secs(10);
/// The number of failed listings after which records are sent without a shard map.
const FAILURES_MAX: u32 = 5;
const BACKOFF_MIN: Duration = Duration::from_millis(50);

/// The timing and progress of listings.
#[derive(Debug)]
pub(in crate::put) struct Refresh {
    step: Step,
    /// The number of listings in a row that failed, or did not have the shards that were looked for.
    failures: u32,
    /// The begin of the last listing.
    began_at: Option<Instant>,
    /// The time before which no listing begins.
    not_before: Option<Instant>,
}

#[derive(Debug)]
enum Step {
    /// Nothing to do: the map is right as far as is known.
    Idle,
    /// A listing begins at this time.
    Wanted(Instant),
    /// A listing is under way.
    Reading,
    /// A listing has ended, and its result was not taken yet.
    Ended(Listing),
}

/// The end of one or several attempts to list the shards.
#[derive(Debug)]
pub(in crate::put) enum Listing {
    /// The shards as they were listed.
    Shards(Vec<Shard>),
    /// No listing was of use: they failed, or did not have the shards that were looked for.
    Failed,
}

impl Refresh {
    pub(in crate::put) fn new() -> Self {
        Self {
            step: Step::Idle,
            failures: 0,
            began_at: None,
            not_before: None,
        }
    }

    /// Asks for a listing, as the map is wrong or absent.
    pub(in crate::put) fn want(&mut self, now: Instant) {
        if let Step::Idle = self.step {
            self.step = Step::Wanted(self.not_before.map_or(now, |time| time.max(now)));
        }
    }

    /// Asks for a later listing, which checks whether the service still distributes records by itself.
    pub(in crate::put) fn look_later(&mut self, now: Instant) {
        self.settled(now);
        self.step = Step::Wanted(now + AUTO_AGAIN);
    }

    /// Begins a listing if one is due. Returns whether it did.
    pub(in crate::put) fn begin(&mut self, now: Instant) -> bool {
        let due = matches!(self.step, Step::Wanted(at) if at <= now);
        if due {
            self.step = Step::Reading;
            self.began_at = Some(now);
        }
        due
    }

    /// Returns the time at which the last listing began.
    pub(in crate::put) fn began_at(&self) -> Option<Instant> {
        self.began_at
    }

    /// Returns the time at which the next listing begins.
    pub(in crate::put) fn begins_at(&self) -> Option<Instant> {
        match self.step {
            Step::Wanted(at) => Some(at),
            _ => None,
        }
    }

    pub(in crate::put) fn is_reading(&self) -> bool {
        matches!(self.step, Step::Reading)
    }

    /// Whether a new map will come.
    pub(in crate::put) fn is_under_way(&self) -> bool {
        !matches!(self.step, Step::Idle)
    }

    /// Takes the shards of a listing.
    pub(in crate::put) fn read(&mut self, shards: Vec<Shard>) {
        self.step = Step::Ended(Listing::Shards(shards));
    }

    /// Notes that the listing has all that was looked for.
    pub(in crate::put) fn settled(&mut self, now: Instant) {
        self.failures = 0;
        self.not_before = Some(now + INTERVAL_MIN);
    }

    /// Notes a listing that failed or does not have the shards that were looked for. Returns whether another one follows
    /// soon; otherwise [`take`](Self::take) returns [`Listing::Failed`].
    pub(in crate::put) fn failed(&mut self, class: ErrorClass, now: Instant) -> bool {
        self.failures += 1;
        if class.may_pass_after(self.failures) && self.failures < FAILURES_MAX {
            self.step = Step::Wanted(now + BACKOFF_MIN * 2_u32.pow(self.failures));
            return true;
        }
        self.failures = 0;
        self.not_before = Some(now + wait_after(class));
        self.step = Step::Ended(Listing::Failed);
        false
    }

    /// Takes the result of the last listing.
    pub(in crate::put) fn take(&mut self) -> Option<Listing> {
        match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Ended(listing) => Some(listing),
            other => {
                self.step = other;
                None
            }
        }
    }

    /// Forgets a listing that was interrupted.
    pub(in crate::put) fn interrupted(&mut self, now: Instant) {
        if self.is_reading() {
            self.step = Step::Wanted(now);
        }
    }
}

/// Returns the wait before the next listing. A stream that is not found may be created at any time.
fn wait_after(class: ErrorClass) -> Duration {
    if class.may_pass() || class == ErrorClass::NotFound {
        FAILED_AGAIN
    } else {
        REFUSED_AGAIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Clock;

    #[test]
    fn the_map_is_read_once_at_a_time_and_not_in_a_hurry() {
        let now = Clock::system().instant();
        let mut refresh = Refresh::new();
        assert!(!refresh.begin(now));
        refresh.want(now);
        assert!(refresh.begin(now) && !refresh.begin(now));
        refresh.want(now);
        refresh.read(Vec::new());
        assert!(refresh.is_under_way());
        assert!(refresh.take().is_some() && !refresh.is_under_way());
        refresh.settled(now);
        refresh.want(now);
        assert!(!refresh.begin(now) && refresh.begin(now + INTERVAL_MIN));
    }

    #[test]
    fn reading_is_given_up_after_five_failures_and_begins_again_later() {
        let mut now = Clock::system().instant();
        let mut refresh = Refresh::new();
        refresh.want(now);
        let mut tries = 0;
        while let Some(at) = refresh.begins_at() {
            now = at;
            assert!(refresh.begin(now));
            refresh.failed(ErrorClass::Throttled, now);
            tries += 1;
        }
        assert_eq!(tries, 5);
        assert!(matches!(refresh.take(), Some(Listing::Failed)));
        refresh.want(now);
        assert_eq!(refresh.begins_at(), Some(now + FAILED_AGAIN));
    }

    #[test]
    fn a_listing_that_is_refused_is_given_up_at_once_and_for_longer() {
        let now = Clock::system().instant();
        let mut refresh = Refresh::new();
        refresh.want(now);
        assert!(!refresh.failed(ErrorClass::AccessDenied, now));
        assert!(matches!(refresh.take(), Some(Listing::Failed)));
        refresh.want(now);
        assert_eq!(refresh.begins_at(), Some(now + REFUSED_AGAIN));
    }

    #[test]
    fn a_stream_that_is_not_there_is_looked_for_again_soon() {
        let now = Clock::system().instant();
        let mut refresh = Refresh::new();
        assert!(!refresh.failed(ErrorClass::NotFound, now));
        refresh.take();
        refresh.want(now);
        assert_eq!(refresh.begins_at(), Some(now + FAILED_AGAIN));
    }

    #[test]
    fn listings_that_do_not_tell_what_was_asked_for_count_until_one_does() {
        let now = Clock::system().instant();
        let mut refresh = Refresh::new();
        for _ in 1..FAILURES_MAX {
            refresh.read(Vec::new());
            assert!(refresh.take().is_some() && refresh.failed(ErrorClass::Throttled, now));
        }
        refresh.settled(now);
        assert!(
            refresh.failed(ErrorClass::Throttled, now),
            "the count begins anew"
        );
    }
}
