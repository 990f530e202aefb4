//! How large a record may be: the service's default, or what the stream says once a larger record comes.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::{encode::RECORD_BYTES_MAX, shared::Settings};
use crate::{put::error::PutError, service::DescribeStreamSummary};

/// The most that any stream takes.
pub(crate) const RECORD_BYTES_RAISED_MAX: usize = 10 * 1024 * 1024;
/// A stream's limit can be raised: it is asked for again after this time.
const ASKED_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// The largest record, data and partition key, that the stream takes, as far as is known.
#[derive(Debug)]
pub(crate) struct RecordLimit {
    bytes_max: AtomicUsize,
    asked_at: Mutex<Option<Instant>>,
}

impl RecordLimit {
    pub(crate) fn new() -> Self {
        Self {
            bytes_max: AtomicUsize::new(RECORD_BYTES_MAX),
            asked_at: Mutex::new(None),
        }
    }

    /// Whether the stream is known to take a record of this size.
    pub(crate) fn allows(&self, bytes: usize) -> bool {
        bytes <= self.bytes_max.load(Ordering::Relaxed)
    }

    /// The error of a record of this size.
    pub(crate) fn too_large(&self, bytes: usize, settings: &Settings) -> PutError {
        PutError::TooLarge {
            stream: settings.target.stream.clone(),
            bytes,
            bytes_max: self.bytes_max.load(Ordering::Relaxed),
        }
    }

    /// Checks a record's size; the stream is asked for its limit if that may help.
    pub(crate) async fn check(&self, bytes: usize, settings: &Settings) -> Result<(), PutError> {
        if self.allows(bytes) {
            return Ok(());
        }
        if bytes <= RECORD_BYTES_RAISED_MAX && self.asks(settings.target.clock.instant()) {
            self.ask(settings).await;
        }
        if self.allows(bytes) {
            return Ok(());
        }
        Err(self.too_large(bytes, settings))
    }

    /// Whether to ask now; whoever is told to, does.
    fn asks(&self, now: Instant) -> bool {
        let mut asked_at = self.asked_at.lock().unwrap_or_else(PoisonError::into_inner);
        let asks = asked_at.is_none_or(|at| now.duration_since(at) >= ASKED_AGAIN_AFTER);
        if asks {
            *asked_at = Some(now);
        }
        asks
    }

    async fn ask(&self, settings: &Settings) {
        let call = DescribeStreamSummary::new(settings.target.stream.clone());
        let answer = settings.target.service.describe_stream_summary(call);
        match timeout(settings.options.request_timeout, answer).await {
            Ok(Ok(stream)) => {
                let bytes_max = stream.record_bytes_max;
                let bytes_max = bytes_max.clamp(RECORD_BYTES_MAX, RECORD_BYTES_RAISED_MAX);
                self.bytes_max.store(bytes_max, Ordering::Relaxed);
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, "the stream did not tell how large records may be");
            }
            Err(_) => tracing::debug!("the stream did not tell in time how large records may be"),
        }
    }
}
