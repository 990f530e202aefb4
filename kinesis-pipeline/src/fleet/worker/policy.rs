use std::{sync::Arc, time::Duration};

use crate::{fleet::dead_letters::DeadLetters, service::backoff::Backoff};

/// The first pause before records are given out again; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The handling of records that a processor fails on: an error, a panic, or data that cannot be decoded.
///
/// By default they are given out again for ever, after pauses of up to 30 s, with a warning in the log each time: the
/// shard waits, and nothing is lost. The same holds for records that cannot be decoded, unless the processor takes them
/// with [`Batch::take_undecodable`](super::Batch::take_undecodable).
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

/// The handling of records that were tried often enough.
#[derive(Clone, Debug)]
pub(super) enum OnFailure {
    Stop,
    Skip,
    DeadLetter(Arc<dyn DeadLetters>),
}

/// A decision about records that a processor failed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryDecision {
    /// Give them out again after this pause.
    Again(Duration),
    /// Give them up: they were tried often enough.
    GiveUp,
}

impl Default for ErrorPolicy {
    fn default() -> Self {
        Self::retry()
    }
}

impl ErrorPolicy {
    /// Gives the records out again for ever.
    pub fn retry() -> Self {
        Self {
            attempts_max: None,
            age_max: None,
            pause_max: PAUSE_MAX,
            bisects: false,
            then: None,
        }
    }

    /// Sets how often records are given out, at least once. No limit by default. Without a `then_` setting the worker
    /// stops after that.
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = Some(attempts.max(1));
        self
    }

    /// Sets how long records are given out again, from their first try. No limit by default.
    pub fn age_max(mut self, age: Duration) -> Self {
        self.age_max = Some(age);
        self
    }

    /// Sets the longest pause between two tries. 30 s by default.
    pub fn pause_max(mut self, pause: Duration) -> Self {
        self.pause_max = pause;
        self
    }

    /// Tries a batch that failed often enough again in halves, to find the records that it failed for.
    pub fn bisect(mut self) -> Self {
        self.bisects = true;
        self
    }

    /// Then ends the worker with the error. The records are not finished: the next worker tries them.
    pub fn then_stop(mut self) -> Self {
        self.then = Some(OnFailure::Stop);
        self
    }

    /// Then skips the records, with an error in the log that names them.
    pub fn then_skip(mut self) -> Self {
        self.then = Some(OnFailure::Skip);
        self
    }

    /// Then puts the records into a place for dead letters, and skips them once they are there. Records that cannot be decoded
    /// go there at once.
    pub fn then_dead_letter(mut self, letters: impl DeadLetters) -> Self {
        self.then = Some(OnFailure::DeadLetter(Arc::new(letters)));
        self
    }

    /// Decides about records that failed for the `failures`th time, `age` after their first try.
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
