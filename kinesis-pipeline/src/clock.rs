//! The one place that reads a clock.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Tells the time to everything in this crate.
///
/// Waiting always goes through tokio's timers, so a test that pauses tokio's clock pauses the pipelines too.
/// Wall-clock time (arrival times, `_meta` timestamps, retention) comes from here: from the system by
/// default, or from tokio's clock with [`Clock::tokio`].
///
/// # Examples
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use kinesis_pipeline::Clock;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// // In a test with `#[tokio::test(start_paused = true)]`: time moves when the test says so.
/// let clock = Clock::tokio(SystemTime::UNIX_EPOCH);
/// tokio::time::advance(Duration::from_secs(3_600)).await;
/// assert_eq!(clock.now(), SystemTime::UNIX_EPOCH + Duration::from_secs(3_600));
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock {
    virtual_base: Option<(SystemTime, Instant)>,
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::default()
    }

    /// A wall clock that starts at `base` and moves as tokio's clock moves: it stands still while a test
    /// pauses tokio's clock, and jumps when the test advances it.
    ///
    /// # Panics
    /// Outside a tokio runtime built with its time driver, as tokio's clock does when it is paused.
    #[must_use]
    pub fn tokio(base: SystemTime) -> Self {
        Self {
            virtual_base: Some((base, monotonic())),
        }
    }

    /// The wall-clock time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        match self.virtual_base {
            Some((base, start)) => base + monotonic().duration_since(start),
            None => system_now(),
        }
    }

    /// The monotonic time, for deadlines and durations.
    #[must_use]
    pub fn instant(&self) -> Instant {
        monotonic()
    }
}

/// Milliseconds since the Unix epoch; 0 for times before it.
pub(crate) fn epoch_millis(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        })
}

/// The time that is `millis` milliseconds after the Unix epoch.
pub(crate) fn from_epoch_millis(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

#[expect(clippy::disallowed_methods, reason = "the clock itself")]
fn system_now() -> SystemTime {
    SystemTime::now()
}

#[expect(clippy::disallowed_methods, reason = "the clock itself")]
fn monotonic() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tokio_clock_moves_only_when_the_test_advances_it() {
        let base = from_epoch_millis(1_000);
        let clock = Clock::tokio(base);
        assert_eq!(clock.now(), base);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(epoch_millis(clock.now()), 3_601_000);
    }
}
