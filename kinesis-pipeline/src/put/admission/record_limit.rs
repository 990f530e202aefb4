//! The largest record that the stream takes: the service's default, or what the stream says once a larger record comes.

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

/// The most that any stream takes.
pub(in crate::put) const RECORD_BYTES_RAISED_MAX: usize = 10 * 1024 * 1024;
/// An answer holds for so long: a stream's limit can be raised, and the service describes a stream 20 times a second
/// for all who ask.
const ASKED_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// The largest record, data and partition key, that the stream takes, as far as is known.
#[derive(Debug)]
pub(in crate::put) struct RecordLimit {
    bytes_max: AtomicUsize,
    /// Counts the askings that have ended: those who waited for one share its outcome.
    askings: AtomicUsize,
    /// Locked while the stream is asked. One asks at a time, the others wait for the answer.
    outcome: Mutex<Outcome>,
}

/// The result of the last call.
#[derive(Clone, Debug)]
enum Outcome {
    /// The stream was not asked yet.
    Nothing,
    /// It told its limit at this time.
    Told(Instant),
    /// It did not, also after the repetitions.
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

    /// Checks a record's size; the stream is asked for its limit if that may help.
    ///
    /// Cancel safe: if the put that asks is dropped, one that waits for the answer asks.
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

    /// The stream refused a record of this size that it was known to take: its limit may have been lowered.
    pub(in crate::put) fn doubt(&self, bytes: usize) {
        if bytes > RECORD_BYTES_MAX {
            self.bytes_max.store(RECORD_BYTES_MAX, Ordering::Relaxed);
            // If it is locked, the stream is being asked anyway.
            if let Ok(mut outcome) = self.outcome.try_lock() {
                *outcome = Outcome::Nothing;
            }
        }
    }

    /// Returns the error of a record of this size that cannot wait for the stream's answer.
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

    /// Asks the stream, and again while that may help, for as long as an outage may last.
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
                // A server without the call: its streams take what each stream takes.
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
    /// Whether asking again would bring nothing else: the answer, or the refusal, has not grown old.
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
