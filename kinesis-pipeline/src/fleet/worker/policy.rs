use std::{sync::Arc, time::Duration};

use crate::{fleet::dead_letters::DeadLetters, service::backoff::Backoff};

/// The first pause before records are given out again. It doubles each time.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The handling of records that a processor fails on, by an error or a panic, and of records that cannot be decoded.
///
/// By default they are given out again without a limit, after pauses of up to 30 s, with a warning in the log each
/// time. The shard waits, and nothing is lost. The same holds for records that cannot be decoded, unless the processor
/// takes them with [`Batch::take_undecodable`](super::Batch::take_undecodable).
///
/// ```
/// use kinesis_pipeline::{ErrorPolicy, FileDeadLetters};
///
/// // Five tries, then half the batch at a time, and what fails alone goes to a file.
/// let policy = ErrorPolicy::retry()
///     .attempts_max(5)
///     .bisect()
///     .then_dead_letter(FileDeadLetters::new("failed.jsonl"));
/// ```
#[derive(Clone, Debug)]
#[must_use = "a policy does nothing until a worker is built with it"]
pub struct ErrorPolicy {
    attempts_max: Option<u32>,
    age_max: Option<Duration>,
    pause_max: Duration,
    pub(super) bisects: bool,
    pub(super) then: Option<OnFailure>,
}

/// The handling of records whose tries are spent.
#[derive(Clone, Debug)]
pub(super) enum OnFailure {
    Stop,
    Skip,
    DeadLetter(Arc<dyn DeadLetters>),
}

/// A decision about records that a processor failed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryDecision {
    /// The records are given out again after this pause.
    Again(Duration),
    /// The records are given up: their tries are spent.
    GiveUp,
}

impl Default for ErrorPolicy {
    fn default() -> Self {
        Self::retry()
    }
}

impl ErrorPolicy {
    /// Gives the records out again without a limit.
    pub fn retry() -> Self {
        Self {
            attempts_max: None,
            age_max: None,
            pause_max: PAUSE_MAX,
            bisects: false,
            then: None,
        }
    }

    /// Sets how often records are given out, at least once. Default: no limit. Without a `then_` setting the worker
    /// stops after the last try.
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = Some(attempts.max(1));
        self
    }

    /// Sets how long records are given out again, from their first try. Default: no limit.
    pub fn age_max(mut self, age: Duration) -> Self {
        self.age_max = Some(age);
        self
    }

    /// Sets the longest pause between two tries. Default: 30 s.
    pub fn pause_max(mut self, pause: Duration) -> Self {
        self.pause_max = pause;
        self
    }

    /// Splits a batch whose tries are spent and tries each half again, to find the records that it failed for.
    pub fn bisect(mut self) -> Self {
        self.bisects = true;
        self
    }

    /// Ends the worker with the error after the last try. The records are not finished: the next worker tries them.
    pub fn then_stop(mut self) -> Self {
        self.then = Some(OnFailure::Stop);
        self
    }

    /// Skips the records after the last try, with an error in the log that names them.
    pub fn then_skip(mut self) -> Self {
        self.then = Some(OnFailure::Skip);
        self
    }

    /// Stores the records as dead letters after the last try, and skips them once they are stored. Records that cannot
    /// be decoded are stored at once.
    pub fn then_dead_letter(mut self, letters: impl DeadLetters) -> Self {
        self.then = Some(OnFailure::DeadLetter(Arc::new(letters)));
        self
    }

    /// Decides about records that have failed `failures` times, `age` after their first try.
    pub(super) fn judge(&self, failures: u32, age: Duration, jitter: f64) -> RetryDecision {
        let is_spent = self.attempts_max.is_some_and(|max| failures >= max);
        if is_spent || self.age_max.is_some_and(|max| age >= max) {
            return RetryDecision::GiveUp;
        }
        let backoff = Backoff::new(PAUSE_MIN, self.pause_max);
        RetryDecision::Again(backoff.after(failures, jitter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_never_end_by_themselves() {
        let policy = ErrorPolicy::retry();
        let pause = |failures| policy.judge(failures, Duration::from_hours(100), 1.0);
        assert_eq!(pause(1), RetryDecision::Again(PAUSE_MIN));
        assert_eq!(pause(2), RetryDecision::Again(2 * PAUSE_MIN));
        assert_eq!(pause(u32::MAX), RetryDecision::Again(PAUSE_MAX));
    }

    #[test]
    fn tries_end_by_their_number_or_by_their_time() {
        let policy = ErrorPolicy::retry().attempts_max(3);
        let policy = policy.age_max(Duration::from_mins(1));
        let gives_up = |failures, seconds| {
            let age = Duration::from_secs(seconds);
            policy.judge(failures, age, 0.0) == RetryDecision::GiveUp
        };
        assert!(!gives_up(2, 59) && gives_up(3, 0) && gives_up(1, 60));
    }
}
