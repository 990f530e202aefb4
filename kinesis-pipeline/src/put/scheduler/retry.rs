//! The retry policy of a record.

use std::time::Duration;

use crate::{
    put::{
        error::{AttemptError, Outage},
        options::PutOptions,
    },
    service::{ErrorClass, backoff::Backoff},
};

/// The decision about a record whose attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryDecision {
    /// Send it again after this time.
    Again(Duration),
    /// Give it up: it has been tried enough.
    GiveUp,
    /// Reject it: no retry changes the answer.
    Reject,
}

/// Decides about a record whose attempt failed.
///
/// `attempts` includes the failed one; `lasted` is the time for which the same [`Outage`] has kept all requests from
/// the service; `jitter` is a random number from 0 to 1.
pub(super) fn decide(
    options: &PutOptions,
    failure: &AttemptError,
    attempts: u32,
    lasted: Duration,
    jitter: f64,
) -> RetryDecision {
    if matches!(failure, AttemptError::WrongAnswer { .. }) {
        return RetryDecision::GiveUp;
    }
    if !failure.class().may_pass() {
        return RetryDecision::Reject;
    }
    let outage = failure.outage();
    if outage.is_some_and(|outage| lasted >= outage_max(options, outage)) {
        return RetryDecision::GiveUp;
    }
    if outage == Some(Outage::Credentials) {
        return RetryDecision::Again(options.outage_backoff(lasted, jitter));
    }
    let attempts_max = match failure.class() {
        ErrorClass::Throttled => options.throttled_attempts_max,
        _ => options.attempts_max,
    };
    if attempts >= attempts_max {
        return RetryDecision::GiveUp;
    }
    let backoff = Backoff::new(options.backoff_min, options.backoff_max);
    RetryDecision::Again(backoff.after(attempts, jitter))
}

/// Returns the duration of an outage after which all waiting records are given up.
pub(super) fn outage_max(options: &PutOptions, outage: Outage) -> Duration {
    match outage {
        Outage::Unreachable => options.unreachable_max,
        Outage::Credentials => options.outage_max,
    }
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

    fn decide_on(failure: &AttemptError, attempts: u32, unreached: Duration) -> RetryDecision {
        decide(&PutOptions::new(), failure, attempts, unreached, 1.0)
    }

    #[test]
    fn failures_that_may_pass_are_retried_until_the_attempts_are_used_up() {
        let throttled = "ProvisionedThroughputExceededException";
        for (code, attempts_max) in [
            ("InternalFailure", 10),
            ("ResourceInUseException", 10),
            (throttled, 40),
        ] {
            let again = decide_on(&entry(code), 1, Duration::ZERO);
            assert_eq!(
                again,
                RetryDecision::Again(Duration::from_millis(50)),
                "{code}"
            );
            let last = decide_on(&entry(code), attempts_max - 1, Duration::ZERO);
            assert_ne!(last, RetryDecision::GiveUp, "{code}");
            let over = decide_on(&entry(code), attempts_max, Duration::ZERO);
            assert_eq!(over, RetryDecision::GiveUp, "{code}");
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
                decide_on(&entry(code), 1, Duration::ZERO),
                RetryDecision::Reject,
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
            decide_on(&refused, 2, Duration::from_secs(4)),
            RetryDecision::Again(_)
        ));
        assert_eq!(
            decide_on(&refused, 2, Duration::from_secs(5)),
            RetryDecision::GiveUp
        );
    }

    #[test]
    fn absent_credentials_are_awaited_by_time_and_not_by_attempts() {
        let error = ServiceError::unsigned("PutRecords", "http://x", "busy");
        let unsigned = AttemptError::Request(Arc::new(error));
        let options = PutOptions::new().attempts_max(1);
        let after = |lasted| decide(&options, &unsigned, 1, lasted, 1.0);
        let (mut lasted, mut waits) = (Duration::ZERO, Vec::new());
        while let RetryDecision::Again(wait) = after(lasted) {
            waits.push(wait);
            lasted += wait;
        }
        // The last try is made when the time is up.
        assert_eq!(lasted, options.outage_max);
        assert_eq!(waits[0], options.backoff_min);
        assert_eq!(waits.iter().max(), Some(&options.backoff_max));
        assert!(waits.len() < 60, "{}", waits.len());
        assert_eq!(after(lasted), RetryDecision::GiveUp);
        let shortest = options.outage_backoff(Duration::from_secs(2), 0.0);
        assert_eq!(shortest, Duration::from_millis(500), "spread over half");
    }

    #[test]
    fn an_answer_that_fits_no_request_is_not_repeated() {
        let wrong = AttemptError::WrongAnswer {
            sent: 2,
            answered: 1,
        };
        assert_eq!(decide_on(&wrong, 1, Duration::ZERO), RetryDecision::GiveUp);
    }

    proptest! {
        #[test]
        fn backoff_lies_between_half_and_the_whole_of_a_bounded_doubling(attempts in 1_u32..200, jitter in 0.0..1.0) {
            let options = PutOptions::new();
            let wait = Backoff::new(options.backoff_min, options.backoff_max).after(attempts, jitter);
            let doubled = options.backoff_min.saturating_mul(2_u32.saturating_pow(attempts - 1));
            let whole = doubled.min(options.backoff_max);
            prop_assert!(wait <= whole && wait >= whole / 2);
        }
    }
}
