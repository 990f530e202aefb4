//! Calls that are retried while a reader opens, before there is a state machine for each shard.

use std::{future::Future, time::Duration};

use crate::{
    get::shard_reader::retry::{Failures, RetryDecision},
    service::{ErrorClass, ServiceError},
    target::Target,
};

/// The time for which opening retries when the service cannot be reached or fails.
pub(in crate::get) const UNREACHABLE_MAX: Duration = Duration::from_secs(4);
/// The time for which opening retries when the service answers that it is busy.
pub(in crate::get) const BUSY_MAX: Duration = Duration::from_secs(30);

/// Makes a call until it succeeds, fails for good, or has failed for too long: [`BUSY_MAX`] or [`UNREACHABLE_MAX`].
pub(in crate::get) async fn with_retries<T, F>(
    target: &Target,
    call: impl Fn() -> F,
) -> Result<T, ServiceError>
where
    F: Future<Output = Result<T, ServiceError>>,
{
    let outage_max = |error: &ServiceError| match error.class {
        ErrorClass::Throttled | ErrorClass::InUse | ErrorClass::LimitExceeded => BUSY_MAX,
        _ if error.awaits_credentials() => BUSY_MAX,
        _ => UNREACHABLE_MAX,
    };
    retried(target, outage_max, call).await
}

/// Makes a call until it succeeds, fails for good, or has failed for the time that `outage_max` gives for its error.
pub(in crate::get) async fn retried<T, F>(
    target: &Target,
    outage_max: impl Fn(&ServiceError) -> Duration,
    call: impl Fn() -> F,
) -> Result<T, ServiceError>
where
    F: Future<Output = Result<T, ServiceError>>,
{
    let mut failures = Failures::default();
    loop {
        let error = match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let (now, outage_max) = (target.clock.instant(), outage_max(&error));
        match failures.judge(error.class, now, outage_max, fastrand::f64()) {
            RetryDecision::Again { at, .. } => tokio::time::sleep_until(at).await,
            RetryDecision::Final => return Err(error),
        }
    }
}
