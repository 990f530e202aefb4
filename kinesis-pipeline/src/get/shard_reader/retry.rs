use std::time::Duration;

use tokio::time::Instant;

use crate::service::{ErrorClass, backoff::Backoff};

/// The waits before a failed call is made again.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(10));
/// The duration after which a run of failures is worth a warning.
const WARN_AFTER: Duration = Duration::from_secs(15);

/// The failures of one kind of call since it last succeeded.
#[derive(Clone, Debug, Default)]
pub(in crate::get) struct Failures {
    count: u32,
    first_at: Option<Instant>,
    is_warned: bool,
}

/// The decision about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::get) enum RetryDecision {
    /// Make the call again at this time.
    Again {
        at: Instant,
        is_worth_a_warning: bool,
    },
    /// Give up.
    Final,
}

impl Failures {
    pub(in crate::get) fn reset(&mut self) {
        *self = Self::default();
    }

    pub(in crate::get) fn are_any(&self) -> bool {
        self.count > 0
    }

    /// Counts a failure and decides about a retry. A run of failures that has lasted for `outage_max` is final. `jitter` is
    /// random, 0 to 1.
    pub(in crate::get) fn judge(
        &mut self,
        class: ErrorClass,
        now: Instant,
        outage_max: Duration,
        jitter: f64,
    ) -> RetryDecision {
        let first_at = *self.first_at.get_or_insert(now);
        let lasted = now.saturating_duration_since(first_at);
        self.count += 1;
        if !class.may_pass_after(self.count) || lasted >= outage_max {
            return RetryDecision::Final;
        }
        let is_worth_a_warning = !self.is_warned && lasted >= WARN_AFTER;
        self.is_warned |= is_worth_a_warning;
        RetryDecision::Again {
            at: (now + backoff(self.count, jitter)).min(first_at + outage_max),
            is_worth_a_warning,
        }
    }
}

/// Returns the wait after the `count`th failure in a row.
pub(in crate::get) fn backoff(count: u32, jitter: f64) -> Duration {
    BACKOFF.after(count, jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTAGE_MAX: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn a_passing_fault_is_retried_with_growing_waits_until_the_outage_is_too_long() {
        let mut failures = Failures::default();
        let (start, mut now, mut waits, mut warnings) = (
            crate::Clock::system().instant(),
            crate::Clock::system().instant(),
            vec![],
            0,
        );
        while let RetryDecision::Again {
            at,
            is_worth_a_warning,
        } = failures.judge(ErrorClass::Transient, now, OUTAGE_MAX, 1.0)
        {
            waits.push(at - now);
            warnings += u32::from(is_worth_a_warning);
            assert!(!is_worth_a_warning || now - start >= WARN_AFTER);
            now = at;
        }
        // The last try is made when the time is up.
        assert_eq!(now - start, OUTAGE_MAX);
        waits.pop();
        assert!(waits.is_sorted() && waits[0] == Duration::from_millis(200));
        assert_eq!(waits.last(), Some(&Duration::from_secs(10)));
        assert_eq!(warnings, 1);
    }

    #[tokio::test]
    async fn what_cannot_pass_is_final_at_once_and_what_is_unknown_after_a_few_tries() {
        let now = crate::Clock::system().instant();
        for class in [
            ErrorClass::AccessDenied,
            ErrorClass::NotFound,
            ErrorClass::Invalid,
        ] {
            assert_eq!(
                Failures::default().judge(class, now, OUTAGE_MAX, 0.0),
                RetryDecision::Final
            );
        }
        let mut failures = Failures::default();
        let tries = (0..100)
            .take_while(|_| {
                failures.judge(ErrorClass::Other, now, OUTAGE_MAX, 0.0) != RetryDecision::Final
            })
            .count();
        assert_eq!(tries, 5);
    }
}
