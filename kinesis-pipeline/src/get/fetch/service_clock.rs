//! The service's clock, as far as this machine's differs from it.
//!
//! Times of this machine's clock are asked for as positions and saved as checkpoints. One that the service's clock has
//! not reached is refused (`InvalidArgumentException`), or passes over records if it is used later. No answer carries
//! the service's time, but the refusal itself tells: a time that is taken as a position is not ahead.

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
/// The number of steps: up to a day and a half.
const STEPS_MAX: u32 = 19;
/// The age of a time that needs no look at the clock.
const CERTAIN_AFTER: Duration = Duration::from_hours(1);

/// The bounds of the service's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::get) struct ServiceClock {
    /// A time that it has reached.
    pub(in crate::get) reached: SystemTime,
    /// The upper bound of this machine's lead.
    pub(in crate::get) ahead_max: Duration,
}

/// Whether a time may be one that the service's clock has not reached, `now` by this machine's clock.
pub(in crate::get) fn is_uncertain(time: SystemTime, now: SystemTime) -> bool {
    now.duration_since(time)
        .is_ok_and(|age| age < CERTAIN_AFTER)
        || time > now
}

impl ServiceClock {
    /// A time that the clock has reached unless it is off by more than a minute.
    pub(in crate::get) fn unknown(now: SystemTime) -> Self {
        Self {
            reached: now.checked_sub(SKEW_MAX).unwrap_or(now),
            ahead_max: Duration::ZERO,
        }
    }

    /// Looks by how much this machine's clock must be set back to give a time that the service takes as a position
    /// of this shard.
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

    /// The position for a time that may not have been reached, `now` by this machine's clock: the clock of whoever
    /// named the time may be ahead.
    pub(in crate::get) fn position(&self, time: SystemTime, now: SystemTime) -> SystemTime {
        if time > self.reached && time <= now + SKEW_MAX {
            self.reached
        } else {
            time
        }
    }

    /// Fails if this machine's clock is too far ahead for its times to be of use.
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
