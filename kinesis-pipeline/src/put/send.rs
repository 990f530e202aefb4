//! The one service call of the pipeline that carries records.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::{
    AttemptError,
    entry::{Entry, wire_records},
    settings::Settings,
};
use crate::service::{ErrorClass, PutRecords, PutRecordsAnswer, ServiceError};

/// A request that came back, with or without an answer.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) entries: Vec<Entry>,
    pub(crate) outcome: Result<PutRecordsAnswer, AttemptError>,
}

/// Sends one request and waits for its answer.
pub(crate) async fn send(settings: Arc<Settings>, mut entries: Vec<Entry>) -> Sent {
    for user in entries.iter_mut().flat_map(Entry::users_mut) {
        user.sent();
    }
    settings.counters.count_request(&entries);
    settings.publish();
    let clock = &settings.target.clock;
    let span = tracing::debug_span!(
        "put_records",
        stream = %settings.target.stream,
        kinesis_records = entries.len(),
        user_records = entries.iter().map(Entry::len).sum::<usize>(),
    );
    let records = wire_records(&mut entries);
    let call = PutRecords::new(settings.target.stream.clone(), records);
    let after = settings.options.request_timeout;
    let stopwatch = settings.metrics.request_sent(&entries, clock);
    // The service's code may be the user's: its panic must not lose the records.
    let answer = AssertUnwindSafe(async { settings.target.service.put_records(call).await });
    let answer = answer.catch_unwind().instrument(span);
    let outcome = match timeout(after, answer).await {
        Ok(Ok(Ok(answer))) => Ok(answer),
        Ok(Ok(Err(error))) => Err(AttemptError::Request(Arc::new(error))),
        Ok(Err(_)) => Err(AttemptError::Request(Arc::new(panicked(&settings)))),
        Err(_) => Err(AttemptError::TimedOut { after }),
    };
    settings
        .metrics
        .answered(stopwatch, clock, &entries, &outcome);
    Sent { entries, outcome }
}

fn panicked(settings: &Settings) -> ServiceError {
    let endpoint = settings.endpoint.as_ref();
    let message = "the code that sends requests panicked";
    let mut error = ServiceError::unanswered("PutRecords", endpoint, ErrorClass::Other, message);
    error.may_have_been_done = true;
    error
}
