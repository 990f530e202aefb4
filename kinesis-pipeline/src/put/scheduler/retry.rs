//! What follows a failed attempt.

use std::time::Duration;

use crate::{
    put::{error::AttemptError, options::PutOptions},
    service::ErrorClass,
};

/// What becomes of a record whose attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is sent again after this time.
    Again(Duration),
    /// It has been tried enough.
    GiveUp,
    /// No retry changes the answer.
    Reject,
}

/// Decides what becomes of a record.
///
/// `attempts` counts the failed one; `unreached` is how long no attempt has reached the service; `jitter` is
/// a random number from 0 to 1.
pub(crate) fn verdict(
    options: &PutOptions,
    failure: &AttemptError,
    attempts: u32,
    unreached: Duration,
    jitter: f64,
) -> Verdict {
    if matches!(failure, AttemptError::WrongAnswer { .. }) {
        return Verdict::GiveUp;
    }
    if !may_pass(failure.class()) {
        return Verdict::Reject;
    }
    let lost = failure.is_unreached() && unreached >= options.unreachable_max;
    let attempts_max = match failure.class() {
        ErrorClass::Throttled => options.throttled_attempts_max,
        _ => options.attempts_max,
    };
    if lost || attempts >= attempts_max {
        return Verdict::GiveUp;
    }
    Verdict::Again(backoff(options, attempts, jitter))
}

/// Whether a later attempt may succeed. A stream that is being changed takes records again soon.
pub(crate) fn may_pass(class: ErrorClass) -> bool {
    class.is_retryable() || matches!(class, ErrorClass::InUse | ErrorClass::LimitExceeded)
}

/// How long to wait after this many attempts: between half and the whole of a time that doubles with each.
pub(crate) fn backoff(options: &PutOptions, attempts: u32, jitter: f64) -> Duration {
    let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
    let full = options
        .backoff_min
        .saturating_mul(doubled)
        .min(options.backoff_max);
    full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::service::{EntryFailure, ServiceError};

    fn entry(code: &str) -> AttemptError {
        AttemptError::Record(Arc::new(EntryFailure::new(code, "")))
    }

    fn verdict_on(failure: &AttemptError, attempts: u32, unreached: Duration) -> Verdict {
        verdict(&PutOptions::new(), failure, attempts, unreached, 1.0)
    }

    #[test]
    fn failures_that_may_pass_are_retried_until_the_attempts_are_used_up() {
        let throttled = "ProvisionedThroughputExceededException";
        for (code, attempts_max) in [
            ("InternalFailure", 10),
            ("ResourceInUseException", 10),
            (throttled, 40),
        ] {
            let again = verdict_on(&entry(code), 1, Duration::ZERO);
            assert_eq!(again, Verdict::Again(Duration::from_millis(50)), "{code}");
            let last = verdict_on(&entry(code), attempts_max - 1, Duration::ZERO);
            assert_ne!(last, Verdict::GiveUp, "{code}");
            let over = verdict_on(&entry(code), attempts_max, Duration::ZERO);
            assert_eq!(over, Verdict::GiveUp, "{code}");
        }
    }

    #[test]
    fn failures_for_good_are_rejected_at_once() {
        for code in [
            "AccessDeniedException",
            "ResourceNotFoundException",
            "ValidationException",
            "Odd",
        ] {
            assert_eq!(
                verdict_on(&entry(code), 1, Duration::ZERO),
                Verdict::Reject,
                "{code}"
            );
        }
    }

    #[test]
    fn an_endpoint_that_cannot_be_reached_is_given_up_by_time() {
        let refused = AttemptError::Request(Arc::new(ServiceError::unanswered(
            "PutRecords",
            "http://127.0.0.1:1",
            ErrorClass::Transient,
            "connection refused",
        )));
        assert!(matches!(
            verdict_on(&refused, 2, Duration::from_secs(4)),
            Verdict::Again(_)
        ));
        assert_eq!(
            verdict_on(&refused, 2, Duration::from_secs(5)),
            Verdict::GiveUp
        );
    }

    #[test]
    fn an_answer_that_fits_no_request_is_not_repeated() {
        let wrong = AttemptError::WrongAnswer {
            sent: 2,
            answered: 1,
        };
        assert_eq!(verdict_on(&wrong, 1, Duration::ZERO), Verdict::GiveUp);
    }

    proptest! {
        #[test]
        fn backoff_lies_between_half_and_the_whole_of_a_bounded_doubling(attempts in 1_u32..200, jitter in 0.0..1.0) {
            let options = PutOptions::new();
            let wait = backoff(&options, attempts, jitter);
            let doubled = options.backoff_min.saturating_mul(2_u32.saturating_pow(attempts - 1));
            let whole = doubled.min(options.backoff_max);
            prop_assert!(wait <= whole && wait >= whole / 2);
        }
    }
}
