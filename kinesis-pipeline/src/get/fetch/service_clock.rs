//! The clock skew between this machine and the service.
//!
//! Times of this machine's clock are used as start positions and saved as checkpoints. A time that the service's clock
//! has not reached is refused (`InvalidArgumentException`), or skips records if it is used later. No answer has the
//! service's time, but a refusal gives a bound: a time that is accepted as a position is not ahead.

use std::time::{Duration, SystemTime};

use crate::{
    get::{
        error::GetError,
        fetch::{self, with_retries::with_retries},
        plan::begin::SKEW_MAX,
    },
    service::{ErrorClass, IteratorStart, ServiceError},
    shard::ShardId,
    target::Target,
};

/// The first step back from a time that was refused; the steps double.
const STEP_FIRST: Duration = Duration::from_millis(250);
/// The largest number of steps: up to a day and a half back.
const STEPS_MAX: u32 = 19;
/// The age from which a time needs no check against the service's clock.
const CERTAIN_AFTER: Duration = Duration::from_hours(1);

/// The known bounds of the service's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::get) struct ServiceClock {
    /// A time that the service's clock has reached.
    pub(in crate::get) reached: SystemTime,
    /// The upper bound of this machine's lead.
    pub(in crate::get) ahead_max: Duration,
}

/// Whether the service's clock may not have reached `time`, when this machine's clock shows `now`.
pub(in crate::get) fn is_uncertain(time: SystemTime, now: SystemTime) -> bool {
    now.duration_since(time)
        .is_ok_and(|age| age < CERTAIN_AFTER)
        || time > now
}

impl ServiceClock {
    /// Makes bounds without a measurement: they are right unless the clocks differ by more than a minute.
    pub(in crate::get) fn unknown(now: SystemTime) -> Self {
        Self {
            reached: now.checked_sub(SKEW_MAX).unwrap_or(now),
            ahead_max: Duration::ZERO,
        }
    }

    /// Measures the skew: goes back from this machine's time until the service accepts the time as a position in this
    /// shard.
    pub(in crate::get) async fn look(
        target: &Target,
        shard_id: &ShardId,
    ) -> Result<Self, ServiceError> {
        let mut step = 0;
        loop {
            let ahead_max = step_back(step);
            let now = target.clock.now();
            let reached = now.checked_sub(ahead_max).unwrap_or(SystemTime::UNIX_EPOCH);
            let start = || IteratorStart::AtTimestamp(reached);
            let get = || fetch::get_iterator(target, shard_id.clone(), start());
            match with_retries(target, get).await {
                Ok(_) => return Ok(Self { reached, ahead_max }),
                Err(error) if error.class == ErrorClass::Invalid && step < STEPS_MAX => step += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the position to use for `time`, which may not have been reached, when this machine's clock shows `now`: the
    /// clock that the time comes from may be ahead.
    pub(in crate::get) fn position(&self, time: SystemTime, now: SystemTime) -> SystemTime {
        if time > self.reached && time <= now + SKEW_MAX {
            self.reached
        } else {
            time
        }
    }

    /// Fails if this machine's clock is too far ahead.
    pub(in crate::get) fn check(&self, target: &Target) -> Result<(), GetError> {
        if self.ahead_max <= SKEW_MAX {
            return Ok(());
        }
        Err(GetError::ClockSkew {
            stream: target.stream.clone(),
            ahead_min: self.ahead_max / 2,
            ahead_max: self.ahead_max,
        })
    }
}

/// Returns the step back from this machine's time.
fn step_back(step: u32) -> Duration {
    match step.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => STEP_FIRST * 2_u32.saturating_pow(doublings),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    #[test]
    fn steps_double_and_one_of_them_is_the_most_that_is_borne() {
        let steps: Vec<_> = (0..=STEPS_MAX).map(step_back).collect();
        assert!(steps.is_sorted() && steps[0].is_zero() && steps[1] == STEP_FIRST);
        assert!(steps.contains(&SKEW_MAX));
    }

    #[test]
    fn a_time_that_was_not_reached_is_moved_and_a_time_to_come_stays() {
        let now = NOW + Duration::from_hours(9);
        let clock = ServiceClock {
            reached: now - Duration::from_secs(4),
            ahead_max: Duration::from_secs(4),
        };
        let past = now - Duration::from_secs(5);
        assert_eq!(clock.position(past, now), past);
        let second = Duration::from_secs(1);
        for time in [now - second, now, now + second, now + SKEW_MAX] {
            assert_eq!(clock.position(time, now), clock.reached);
        }
        let to_come = now + SKEW_MAX + second;
        assert_eq!(clock.position(to_come, now), to_come);
    }

    #[test]
    fn only_times_near_the_present_or_to_come_are_uncertain() {
        let now = NOW + Duration::from_hours(9);
        assert!(is_uncertain(now, now) && is_uncertain(now + CERTAIN_AFTER, now));
        assert!(!is_uncertain(now - CERTAIN_AFTER, now));
    }
}
