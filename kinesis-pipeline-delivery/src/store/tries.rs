use std::time::Duration;

use tokio::time::Instant;

use super::StoreFault;

/// The first pause before a retry; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The longest times for which a call is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetryLimits {
    /// The limit for failures of any kind.
    pub(crate) retry_max: Duration,
    /// The limit for denials in a row.
    pub(crate) denied_max: Duration,
}

/// The failed tries of one call. Pure: the driver reports each failure and carries out the decision.
#[derive(Clone, Debug)]
pub(super) struct Tries {
    attempts: u32,
    since: Option<Instant>,
    denied_since: Option<Instant>,
    pause: Duration,
}

/// The decision after a failed try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextTry {
    /// Another try after this pause, which the driver shortens at random.
    After(Duration),
    /// No further try: the call has failed for this long.
    GiveUp(Duration),
}

impl Tries {
    pub(super) fn new() -> Self {
        Self {
            attempts: 0,
            since: None,
            denied_since: None,
            pause: PAUSE_MIN,
        }
    }

    /// Returns the number of failed tries.
    pub(super) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Counts a failure, and decides about another try.
    pub(super) fn failed(
        &mut self,
        fault: StoreFault,
        now: Instant,
        limits: RetryLimits,
    ) -> NextTry {
        self.attempts = self.attempts.saturating_add(1);
        let failing_for = now - *self.since.get_or_insert(now);
        if fault.is_denial() {
            let denied_for = now - *self.denied_since.get_or_insert(now);
            if denied_for >= limits.denied_max {
                return NextTry::GiveUp(denied_for);
            }
        } else {
            self.denied_since = None;
        }
        if failing_for >= limits.retry_max {
            return NextTry::GiveUp(failing_for);
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        NextTry::After(pause)
    }
}

#[cfg(test)]
mod tests {
    use kinesis_pipeline::Clock;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);
    const LIMITS: RetryLimits = RetryLimits {
        retry_max: Duration::from_hours(24),
        denied_max: HOUR,
    };

    /// Fails each half minute until it is given up. Returns the time for which it failed.
    fn gives_up_after(fault: impl Fn(u32) -> StoreFault) -> Duration {
        let (mut tries, mut now) = (Tries::new(), Clock::system().instant());
        loop {
            match tries.failed(fault(tries.attempts()), now, LIMITS) {
                NextTry::After(_) => now += Duration::from_secs(30),
                NextTry::GiveUp(failing_for) => return failing_for,
            }
        }
    }

    #[test]
    fn pauses_double_to_half_a_minute() {
        let (mut tries, now) = (Tries::new(), Clock::system().instant());
        let mut pauses = Vec::new();
        for _ in 0..11 {
            let NextTry::After(pause) = tries.failed(StoreFault::Unavailable, now, LIMITS) else {
                panic!("no time has passed");
            };
            pauses.push(pause.as_millis());
        }
        let expected = [
            100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000,
        ];
        assert_eq!(pauses, expected);
        assert_eq!(tries.attempts(), 11);
    }

    #[test]
    fn credentials_that_expired_are_awaited_longer_than_a_denial() {
        assert_eq!(
            gives_up_after(|_| StoreFault::Credentials),
            LIMITS.retry_max
        );
        assert_eq!(gives_up_after(|_| StoreFault::Denied), HOUR);
        assert_eq!(gives_up_after(|_| StoreFault::NoBucket), HOUR);
    }

    #[test]
    fn a_denial_after_an_outage_has_a_time_of_its_own_within_that_of_the_call() {
        // Every hundredth failure is of another kind.
        let failing_for = gives_up_after(|attempt| match attempt % 100 {
            0 => StoreFault::Unavailable,
            _ => StoreFault::Denied,
        });
        assert_eq!(failing_for, LIMITS.retry_max);
        let failing_for = gives_up_after(|attempt| match attempt {
            0..200 => StoreFault::Unavailable,
            _ => StoreFault::Denied,
        });
        assert_eq!(failing_for, HOUR);
    }
}
