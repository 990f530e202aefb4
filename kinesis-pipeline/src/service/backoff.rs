//! The back-off between two tries of a call, for the whole library.

use std::time::Duration;

/// The largest number of doublings: far beyond every longest wait.
const DOUBLINGS_MAX: u32 = 16;

/// An exponential back-off with jitter: the wait doubles with each failure in a row up to the longest one, and a random
/// part keeps callers that failed together from coming back together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    max: Duration,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max }
    }

    /// Returns the wait after `failures` failures in a row. `jitter` is random, 0 to 1.
    pub(crate) fn after(self, failures: u32, jitter: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(DOUBLINGS_MAX);
        let whole = self.first.saturating_mul(1 << doublings).min(self.max);
        jittered(whole, jitter)
    }
}

/// Returns between half and the whole of a wait. `jitter` is random, 0 to 1.
pub(crate) fn jittered(whole: Duration, jitter: f64) -> Duration {
    whole.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_the_longest_and_is_at_least_half_of_that() {
        let ms = Duration::from_millis;
        let backoff = Backoff::new(ms(100), ms(1_000));
        let whole = [1, 2, 3, 4, 5, 1_000].map(|failures| backoff.after(failures, 1.0));
        assert_eq!(whole, [100, 200, 400, 800, 1_000, 1_000].map(ms));
        assert_eq!(backoff.after(2, 0.0), ms(100));
        assert_eq!(backoff.after(0, 7.0), ms(100));
        let endless = Backoff::new(Duration::MAX, Duration::MAX);
        assert!(endless.after(u32::MAX, 0.0) > ms(1_000));
    }
}
