//! The one place that reads a clock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

/// Tells the time to everything in this crate.
///
/// Waiting always goes through tokio's timers, so a test that pauses tokio's clock pauses the pipelines too.
/// Wall-clock time (arrival times, `_meta` timestamps, retention) comes from here: from the system by
/// default, or from tokio's clock with [`Clock::tokio`].
#[derive(Clone, Debug, Default)]
pub struct Clock {
    virtual_base: Option<(SystemTime, Instant)>,
    /// The sum of the steps of a wall clock that is set while it runs, in milliseconds.
    steps: Option<Arc<AtomicI64>>,
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
            steps: None,
        }
    }

    /// The same clock, whose wall-clock time is shifted by these milliseconds, as they are at the moment.
    #[cfg(feature = "local")]
    pub(crate) fn with_steps(mut self, steps: Arc<AtomicI64>) -> Self {
        self.steps = Some(steps);
        self
    }

    /// The wall-clock time.
    #[must_use]
    pub fn now(&self) -> SystemTime {
        let now = match self.virtual_base {
            Some((base, start)) => base + monotonic().duration_since(start),
            None => system_now(),
        };
        match &self.steps {
            Some(steps) => stepped(now, steps.load(Ordering::Relaxed)),
            None => now,
        }
    }

    /// The monotonic time, for deadlines and durations.
    #[must_use]
    pub fn instant(&self) -> Instant {
        monotonic()
    }
}

fn stepped(time: SystemTime, millis: i64) -> SystemTime {
    let step = Duration::from_millis(millis.unsigned_abs());
    let stepped = if millis < 0 {
        time.checked_sub(step)
    } else {
        time.checked_add(step)
    };
    stepped.unwrap_or(time)
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
