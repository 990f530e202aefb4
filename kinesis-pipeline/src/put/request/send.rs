//! The one service call of the pipeline that carries records.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use tokio::time::timeout;
use tracing::Instrument as _;

use super::{entry::Entry, request::Request};
use crate::{
    put::{admission::shared::Settings, error::AttemptError},
    record::EncodedRecord,
    service::{ErrorClass, PutRecords, PutRecordsAnswer, ServiceError},
};

/// A request that came back, with or without an answer.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) entries: Vec<Entry>,
    /// The Kinesis records that were sent, one for each entry.
    pub(crate) records: Vec<EncodedRecord>,
    pub(crate) outcome: Result<PutRecordsAnswer, AttemptError>,
}

/// Sends one request and waits for its answer. Whatever panics, the records come back.
pub(crate) async fn send(settings: Arc<Settings>, request: Request) -> Sent {
    let Request {
        entries, drafts, ..
    } = request;
    let records = Arc::new(drafts.finish());
    let call = PutRecords {
        stream: settings.target.stream.clone(),
        records: Arc::clone(&records),
    };
    let attempt = AssertUnwindSafe(attempt(&settings, &entries, call));
    let outcome = match attempt.catch_unwind().await {
        Ok(outcome) => outcome,
        Err(_) => Err(AttemptError::Request(Arc::new(panicked(&settings)))),
    };
    Sent {
        // A service that keeps them makes a copy necessary.
        records: Arc::unwrap_or_clone(records),
        entries,
        outcome,
    }
}

async fn attempt(
    settings: &Settings,
    entries: &[Entry],
    call: PutRecords,
) -> Result<PutRecordsAnswer, AttemptError> {
    settings.counters.count_request(entries);
    settings.publish();
    let clock = &settings.target.clock;
    let span = tracing::debug_span!(
        "put_records",
        stream = %settings.target.stream,
        kinesis_records = entries.len(),
        user_records = entries.iter().map(Entry::len).sum::<usize>(),
    );
    let after = settings.options.request_timeout;
    let stopwatch = settings.metrics.request_sent(entries, clock);
    let answer = settings.target.service.put_records(call).instrument(span);
    let outcome = match timeout(after, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(AttemptError::Request(Arc::new(error))),
        Err(_) => Err(AttemptError::TimedOut { after }),
    };
    settings
        .metrics
        .answered(stopwatch, clock, entries, &outcome);
    outcome
}

fn panicked(settings: &Settings) -> ServiceError {
    let endpoint = settings.endpoint.as_ref();
    let message = "the code that sends requests panicked";
    let mut error = ServiceError::unanswered("PutRecords", endpoint, ErrorClass::Other, message);
    error.may_have_been_done = true;
    error
}
