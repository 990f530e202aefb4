//! The fetch stage: the calls of one shard, and how long they may take.

pub(super) mod consumer;
mod poll;
pub(super) mod service_clock;
mod subscribe;
pub(super) mod with_retries;

pub(in crate::get) use poll::{get_iterator, get_page};
pub(in crate::get) use subscribe::{Subscribed, next_event, subscribe};

use std::{future::Future, time::Duration};

use crate::service::{ErrorClass, Kinesis, ServiceError};

/// The time limit of a call. A page of 10 MiB comes through a line of 3 Mbit/s in it.
const CALL_TIME_MAX: Duration = Duration::from_secs(30);

/// The call's answer, or an error once it has taken too long.
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
