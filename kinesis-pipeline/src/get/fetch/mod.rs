//! The fetch stage: the calls of one shard, with their time limits.
//!
//! - `poll`: `GetShardIterator` and `GetRecords`.
//! - `subscribe`: `SubscribeToShard` and its events.
//! - `consumer`: the registered consumer of a subscription: it is registered, described, removed.
//! - `with_retries`: calls that are repeated while a reader opens, before a state machine decides about them.
//! - `service_clock`: the clock skew between this machine and the service.

pub(super) mod consumer;
mod poll;
pub(super) mod service_clock;
mod subscribe;
pub(super) mod with_retries;

pub(in crate::get) use poll::{get_iterator, get_page};
pub(in crate::get) use subscribe::{Subscribed, next_event, subscribe};

use std::{future::Future, time::Duration};

use crate::service::{ErrorClass, Kinesis, ServiceError};

/// The time limit of a call: enough for a page of 10 MiB on a line of 3 Mbit/s.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);

/// Waits for the call's answer. Returns an error after the time limit.
pub(super) async fn in_time<T>(
    operation: &'static str,
    service: &dyn Kinesis,
    call: impl Future<Output = Result<T, ServiceError>>,
) -> Result<T, ServiceError> {
    match tokio::time::timeout(CALL_TIME_MAX, call).await {
        Ok(answer) => answer,
        Err(_) => Err(ServiceError::unanswered(
            operation,
            service.endpoint(),
            ErrorClass::Transient,
            format!("no answer within {} s", CALL_TIME_MAX.as_secs()),
        )),
    }
}
