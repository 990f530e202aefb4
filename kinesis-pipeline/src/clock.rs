//! The clock of the library, and the only code that reads one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

/// The largest number of readings of the system's clock until it has moved, in [`Clock::of_runtime`]'s check of whether
/// tokio's clock moves with it. One or two are enough where the clock counts nanoseconds.
const READINGS_MAX: u32 = 10_000;

/// The source of wall-clock time for everything in this crate: arrival times, `_meta` timestamps, retention.
///
/// By default it is the system's clock. In a test that has paused tokio's clock, it moves with that clock:
/// [`Clock::of_runtime`] finds out. Waits always use tokio's timers, so such a test pauses the pipelines too.
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

    /// The clock of the runtime that this is called in: [`system`](Self::system), or if tokio's clock is paused one
    /// that moves with [tokio's](Self::tokio). It is what streams and the embedded Kinesis go by unless they are
    /// given another.
    ///
    /// In a usual runtime, and outside of one, this is the system's clock, with its adjustments and leaps. Under
    /// `#[tokio::test(start_paused = true)]` it stands still until the test advances tokio's clock. It begins there at
    /// the system's time of the pause, plus what the test has advanced since: all such clocks of a runtime agree
    /// within a millisecond, whenever they are made. Tokio's clock is looked at once, here: a test that calls
    /// `tokio::time::pause` does so before it makes what shall follow.
    ///
    /// The look takes less than a microsecond.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// use std::time::Duration;
    ///
    /// use kinesis_pipeline::Clock;
    ///
    /// let clock = Clock::of_runtime();
    /// let begun = clock.now();
    /// tokio::time::advance(Duration::from_hours(25)).await;
    /// assert_eq!(clock.now(), begun + Duration::from_hours(25));
    /// # }
    /// ```
    #[must_use]
    pub fn of_runtime() -> Self {
        if is_paused() {
            Self::tokio(paused_wall_time())
        } else {
            Self::system()
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

#[expect(clippy::disallowed_methods, reason = "the clock itself")]
fn system_monotonic() -> std::time::Instant {
    std::time::Instant::now()
}

/// Whether tokio's clock is paused here. Tokio does not say so. But a clock that is not paused moves exactly with the
/// system's monotonic clock, so one that shows the same time before and after the system's has moved is paused.
pub(crate) fn is_paused() -> bool {
    let before = monotonic();
    let first = system_monotonic();
    let moved = (0..READINGS_MAX).any(|_| system_monotonic() > first);
    moved && monotonic() == before
}

/// The wall-clock time that a paused clock of tokio shows. The difference between the two monotonic clocks is what real
/// time passed since the pause, less what the test advanced.
fn paused_wall_time() -> SystemTime {
    let (virtual_now, real_now) = (monotonic().into_std(), system_monotonic());
    let wall = system_now();
    match virtual_now.checked_duration_since(real_now) {
        Some(ahead) => wall + ahead,
        None => wall - real_now.duration_since(virtual_now),
    }
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

    fn apart(a: SystemTime, b: SystemTime) -> Duration {
        a.duration_since(b).unwrap_or_else(|error| error.duration())
    }

    #[tokio::test(start_paused = true)]
    async fn the_clock_of_a_paused_runtime_moves_only_when_the_test_advances_it() {
        let begun = Clock::of_runtime().now();
        assert!(apart(begun, system_now()) < Duration::from_mins(1));
        let clock = Clock::of_runtime();
        let first = clock.now();
        std::thread::yield_now();
        assert_eq!(clock.now(), first);
        tokio::time::advance(Duration::from_hours(25)).await;
        assert_eq!(clock.now(), first + Duration::from_hours(25));
    }

    #[tokio::test(start_paused = true)]
    async fn clocks_of_a_paused_runtime_agree_whenever_they_are_made() {
        let first = Clock::of_runtime();
        tokio::time::advance(Duration::from_hours(25)).await;
        let second = Clock::of_runtime();
        assert!(apart(first.now(), second.now()) < Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_clock_that_is_paused_later_is_found_then() {
        assert!(!is_paused());
        tokio::time::pause();
        assert!(is_paused());
        tokio::time::resume();
        assert!(!is_paused());
    }

    #[test]
    fn the_clock_of_a_usual_runtime_is_the_systems_and_so_it_is_outside_of_one() {
        assert!(Clock::of_runtime().virtual_base.is_none());
        let runtimes = [
            tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build(),
            tokio::runtime::Builder::new_current_thread().build(),
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_time()
                .build(),
        ];
        for runtime in runtimes {
            let clock = runtime.unwrap().block_on(async { Clock::of_runtime() });
            assert!(clock.virtual_base.is_none());
        }
    }
}
