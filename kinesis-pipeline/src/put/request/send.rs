//! The `PutRecords` call with its time-out.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use super::{entry::Entry, request::Request};
use crate::{
    put::{
        admission::{metrics::SentRecord, shared::Shared},
        error::AttemptError,
    },
    record::EncodedRecord,
    service::{ErrorClass, PutRecords, PutRecordsAnswer, ServiceError},
};

/// A request that has ended, with or without an answer.
#[derive(Debug)]
pub(in crate::put) struct Sent {
    pub(in crate::put) entries: Vec<Entry>,
    /// The Kinesis records that were sent, one for each entry.
    pub(in crate::put) records: Vec<EncodedRecord>,
    pub(in crate::put) outcome: Result<PutRecordsAnswer, AttemptError>,
    /// The time at which the request was built.
    pub(in crate::put) begun_at: Option<Instant>,
}

/// Sends one request and waits for its answer. The records come back also if the code of the service panics.
pub(in crate::put) async fn send(shared: Arc<Shared>, request: Request) -> Sent {
    let Request {
        entries,
        drafts,
        begun_at,
        ..
    } = request;
    let records = Arc::new(drafts.finish());
    let call = PutRecords {
        stream: shared.target.stream.clone(),
        records: Arc::clone(&records),
    };
    let attempt = AssertUnwindSafe(attempt(&shared, &entries, call));
    let outcome = match attempt.catch_unwind().await {
        Ok(outcome) => outcome,
        Err(_) => Err(AttemptError::Request(Arc::new(panicked(&shared)))),
    };
    Sent {
        // A copy only if the service has kept its reference.
        records: Arc::unwrap_or_clone(records),
        entries,
        outcome,
        begun_at,
    }
}

async fn attempt(
    shared: &Shared,
    entries: &[Entry],
    call: PutRecords,
) -> Result<PutRecordsAnswer, AttemptError> {
    shared.counters.count_request(entries.len());
    shared.publish();
    let clock = &shared.target.clock;
    let span = tracing::debug_span!(
        "put_records",
        stream = %shared.target.stream,
        kinesis_records = entries.len(),
        user_records = entries.iter().map(Entry::len).sum::<usize>(),
    );
    let after = shared.options.request_timeout;
    let stopwatch = shared.metrics.request_sent(sent_records(entries), clock);
    let answer = shared.target.service.put_records(call).instrument(span);
    let outcome = match timeout(after, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(AttemptError::Request(Arc::new(error))),
        Err(_) => Err(AttemptError::TimedOut { after }),
    };
    let failure = outcome.as_ref().err();
    let is_halved = failure.is_some_and(|failure| is_worth_halving(failure, entries.len()));
    let records = sent_records(entries);
    shared
        .metrics
        .answered(stopwatch, clock, records, &outcome, is_halved);
    outcome
}

fn sent_records(entries: &[Entry]) -> impl ExactSizeIterator<Item = SentRecord> {
    entries.iter().map(|entry| {
        let first = entry.first();
        SentRecord {
            attempts: first.map_or(1, |first| first.attempts),
            entered_at: first.map(|first| first.entered_at),
            user_records: entry.len(),
            bytes: entry.bytes(),
        }
    })
}

/// Whether a refused request is sent again in two halves: a service that checks a request as a whole refuses the good
/// records with the bad one.
pub(in crate::put) fn is_worth_halving(failure: &AttemptError, records: usize) -> bool {
    records > 1
        && failure.class() == ErrorClass::Invalid
        && matches!(failure, AttemptError::Request(_))
}

fn panicked(shared: &Shared) -> ServiceError {
    let endpoint = shared.endpoint.as_ref();
    let message = "the code that sends requests panicked";
    let mut error = ServiceError::unanswered("PutRecords", endpoint, ErrorClass::Other, message);
    error.may_have_been_done = true;
    error
}
