//! The size limit of a record: the service's default of 1 MiB, or the stream's own once a larger record comes.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{
    sync::Mutex,
    time::{Instant, sleep, timeout},
};

use super::shared::Shared;
use crate::{
    put::{
        error::{AttemptError, PutError},
        options::RECORD_BYTES_MAX,
    },
    service::{DescribeStreamSummary, ErrorClass, ServiceError},
};

/// The highest limit that a stream can have, in bytes.
pub(in crate::put) const RECORD_BYTES_RAISED_MAX: usize = 10 * 1024 * 1024;
/// The time for which an answer holds. A stream's limit can be raised at any time, and `DescribeStreamSummary` may be
/// called 20 times a second in an account.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The size limit of a record (data and partition key) as far as it is known.
#[derive(Debug)]
pub(in crate::put) struct RecordLimit {
    bytes_max: AtomicUsize,
    /// The number of calls that have ended. A put that waited for the lock while it changed shares that call's outcome.
    askings: AtomicUsize,
    /// The outcome of the last call. Locked during a call: one put calls at a time, the others wait for its answer.
    outcome: Mutex<Outcome>,
}

/// The outcome of the last call.
#[derive(Clone, Debug)]
enum Outcome {
    /// No call was made yet, or its answer is doubted.
    Nothing,
    /// The stream told its limit at this time.
    Told(Instant),
    /// The call failed at this time, also after its retries.
    Failed(AttemptError, Instant),
}

impl RecordLimit {
    pub(super) fn new() -> Self {
        Self {
            bytes_max: AtomicUsize::new(RECORD_BYTES_MAX),
            askings: AtomicUsize::new(0),
            outcome: Mutex::new(Outcome::Nothing),
        }
    }

    /// Whether the stream is known to take a record of this size.
    pub(in crate::put) fn allows(&self, bytes: usize) -> bool {
        bytes <= self.bytes_max.load(Ordering::Relaxed)
    }

    /// Checks a record's size, and asks the stream for its limit if the record is larger than is known to be allowed.
    ///
    /// Cancel safe: if the put that asks is dropped, one of those that wait for the answer asks in its place.
    pub(in crate::put) async fn check(
        &self,
        bytes: usize,
        shared: &Shared,
    ) -> Result<(), PutError> {
        if self.allows(bytes) {
            return Ok(());
        }
        if bytes > RECORD_BYTES_RAISED_MAX {
            return Err(self.too_large(bytes, shared));
        }
        let askings = self.askings.load(Ordering::Acquire);
        let mut outcome = self.outcome.lock().await;
        if self.allows(bytes) {
            return Ok(());
        }
        let is_shared = self.askings.load(Ordering::Acquire) != askings;
        if !is_shared && !outcome.holds(shared.target.clock.instant()) {
            *outcome = self.ask(shared).await;
            self.askings.fetch_add(1, Ordering::Release);
        }
        match &*outcome {
            Outcome::Failed(source, _) => Err(unknown(bytes, Some(source.clone()), shared)),
            _ if self.allows(bytes) => Ok(()),
            _ => Err(self.too_large(bytes, shared)),
        }
    }

    /// Forgets a raised limit: the stream refused a record of this size, so its limit may have been lowered.
    pub(in crate::put) fn doubt(&self, bytes: usize) {
        if bytes > RECORD_BYTES_MAX {
            self.bytes_max.store(RECORD_BYTES_MAX, Ordering::Relaxed);
            // If another put has the lock, it either asks the stream anyway, or only reads the outcome: then the old one
            // holds for `ASKED_AGAIN_AFTER` at most, and records over 1 MiB are refused until then.
            if let Ok(mut outcome) = self.outcome.try_lock() {
                *outcome = Outcome::Nothing;
            }
        }
    }

    /// Returns the error of a record of this size whose put does not wait for the stream's answer.
    pub(in crate::put) fn refusal(&self, bytes: usize, shared: &Shared) -> PutError {
        let now = shared.target.clock.instant();
        let is_known = self
            .outcome
            .try_lock()
            .is_ok_and(|outcome| matches!(*outcome, Outcome::Told(_)) && outcome.holds(now));
        if is_known || bytes > RECORD_BYTES_RAISED_MAX {
            return self.too_large(bytes, shared);
        }
        unknown(bytes, None, shared)
    }

    fn too_large(&self, bytes: usize, shared: &Shared) -> PutError {
        PutError::TooLarge {
            stream: shared.target.stream.clone(),
            bytes,
            bytes_max: self.bytes_max.load(Ordering::Relaxed),
        }
    }

    /// Asks the stream for its limit. Retries errors that may pass until `outage_max` is over.
    async fn ask(&self, shared: &Shared) -> Outcome {
        let (options, clock) = (&shared.options, &shared.target.clock);
        let began = clock.instant();
        let mut failures = 0;
        loop {
            let failure = match describe(shared).await {
                Ok(bytes_max) => {
                    self.bytes_max.store(bytes_max, Ordering::Relaxed);
                    return Outcome::Told(clock.instant());
                }
                // A server without the call: its streams have the default limit.
                Err(failure) if failure.class() == ErrorClass::Invalid => {
                    return Outcome::Told(clock.instant());
                }
                Err(failure) => failure,
            };
            let lasted = clock.instant().duration_since(began);
            failures += 1;
            if !failure.class().may_pass_after(failures) || lasted >= options.outage_max {
                return Outcome::Failed(failure, clock.instant());
            }
            tracing::debug!(error = %failure, "the stream did not tell how large records may be");
            sleep(options.outage_backoff(lasted, fastrand::f64())).await;
        }
    }
}

impl Outcome {
    /// Whether the outcome is still valid, so that no new call is made.
    fn holds(&self, now: Instant) -> bool {
        match self {
            Self::Nothing => false,
            Self::Failed(failure, _) if failure.class().may_pass() => false,
            Self::Told(at) | Self::Failed(_, at) => now.duration_since(*at) < ASKED_AGAIN_AFTER,
        }
    }
}

async fn describe(shared: &Shared) -> Result<usize, AttemptError> {
    let call = DescribeStreamSummary::new(shared.target.stream.clone());
    let answer = shared.target.service.describe_stream_summary(call);
    match timeout(shared.options.request_timeout, answer).await {
        Ok(Ok(stream)) => {
            let bytes_max = stream.record_bytes_max;
            Ok(bytes_max.clamp(RECORD_BYTES_MAX, RECORD_BYTES_RAISED_MAX))
        }
        Ok(Err(error)) => Err(AttemptError::Request(error.into())),
        Err(_) => Err(AttemptError::Request(timed_out(shared).into())),
    }
}

fn timed_out(shared: &Shared) -> ServiceError {
    let endpoint = shared.endpoint.as_ref();
    let message = "no answer came in time";
    ServiceError::unanswered(
        "DescribeStreamSummary",
        endpoint,
        ErrorClass::Transient,
        message,
    )
}

fn unknown(bytes: usize, source: Option<AttemptError>, shared: &Shared) -> PutError {
    PutError::LimitUnknown {
        stream: shared.target.stream.clone(),
        bytes,
        source,
    }
}
