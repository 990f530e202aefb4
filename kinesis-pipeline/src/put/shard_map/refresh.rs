//! When the shard map is read.

use std::time::Duration;

use tokio::time::Instant;

use crate::shard::Shard;

/// A map that proves wrong again so soon is read again only after this time.
const INTERVAL_MIN: Duration = Duration::from_millis(200);
/// A stream whose shards could not be listed is asked again after this time.
const UNKNOWN_AGAIN: Duration = Duration::from_mins(1);
/// How often listing is tried before records go without a shard map.
const FAILURES_MAX: u32 = 5;
const BACKOFF_MIN: Duration = Duration::from_millis(50);

/// Where the reading of the shard map stands.
#[derive(Debug)]
pub(crate) struct Refresh {
    step: Step,
    failures: u32,
    /// The map is not read before.
    not_before: Option<Instant>,
}

#[derive(Debug)]
enum Step {
    /// The map is right, as far as is known.
    Idle,
    /// The map is to be read.
    Wanted(Instant),
    /// The map is being read.
    Reading,
    /// The map was read and is not in use yet.
    Read(Vec<Shard>),
}

impl Refresh {
    pub(crate) fn new() -> Self {
        Self {
            step: Step::Idle,
            failures: 0,
            not_before: None,
        }
    }

    /// The map is wrong or absent.
    pub(crate) fn want(&mut self, now: Instant) {
        if let Step::Idle = self.step {
            self.step = Step::Wanted(self.not_before.map_or(now, |time| time.max(now)));
        }
    }

    /// Whether to begin reading now.
    pub(crate) fn begin(&mut self, now: Instant) -> bool {
        let due = matches!(self.step, Step::Wanted(at) if at <= now);
        if due {
            self.step = Step::Reading;
        }
        due
    }

    /// When reading is to begin.
    pub(crate) fn begins_at(&self) -> Option<Instant> {
        match self.step {
            Step::Wanted(at) => Some(at),
            _ => None,
        }
    }

    pub(crate) fn is_reading(&self) -> bool {
        matches!(self.step, Step::Reading)
    }

    /// Whether another map is to be expected.
    pub(crate) fn is_under_way(&self) -> bool {
        !matches!(self.step, Step::Idle)
    }

    /// The map was read.
    pub(crate) fn read(&mut self, shards: Vec<Shard>, now: Instant) {
        self.failures = 0;
        self.not_before = Some(now + INTERVAL_MIN);
        self.step = Step::Read(shards);
    }

    /// The map could not be read. Returns whether it will be tried again soon.
    pub(crate) fn failed(&mut self, may_pass: bool, now: Instant) -> bool {
        self.failures += 1;
        if may_pass && self.failures < FAILURES_MAX {
            self.step = Step::Wanted(now + BACKOFF_MIN * 2_u32.pow(self.failures));
            return true;
        }
        self.failures = 0;
        self.not_before = Some(now + UNKNOWN_AGAIN);
        self.step = Step::Idle;
        false
    }

    /// Takes the map that was read.
    pub(crate) fn take(&mut self) -> Option<Vec<Shard>> {
        match std::mem::replace(&mut self.step, Step::Idle) {
            Step::Read(shards) => Some(shards),
            other => {
                self.step = other;
                None
            }
        }
    }

    /// Whoever was reading the map is gone.
    pub(crate) fn interrupted(&mut self, now: Instant) {
        if self.is_reading() {
            self.step = Step::Wanted(now);
        }
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
        refresh.read(Vec::new(), now);
        assert!(refresh.take().is_some() && !refresh.is_under_way());
        refresh.want(now);
        assert!(!refresh.begin(now) && refresh.begin(now + INTERVAL_MIN));
    }

    #[test]
    fn reading_is_given_up_after_five_failures_or_one_for_good() {
        let mut now = Clock::system().instant();
        let mut refresh = Refresh::new();
        refresh.want(now);
        let mut tries = 0;
        while let Some(at) = refresh.begins_at() {
            now = at;
            assert!(refresh.begin(now));
            refresh.failed(true, now);
            tries += 1;
        }
        assert_eq!(tries, 5);
        let mut refused = Refresh::new();
        refused.want(now);
        assert!(!refused.failed(false, now) && !refused.is_under_way());
    }
}
