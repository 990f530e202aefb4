//! Calls made after the pattern of one that the SDK made.
//!
//! ```text
//!   the first call of a stream,  body ─> SDK: endpoint rules, headers, signature ─┬─> connection ─> answer ─> SDK
//!   one a minute, and one after                                            Recorder
//!   each failure                                                              │
//!                                                                        PreparedCall
//!                                                                             │
//!   all others                   body ─> the same headers, signature ─────────┴─> connection ─> answer
//! ```
//!
//! The reason is speed. The SDK composes each call anew: it merges layers of configuration, evaluates the rules of
//! endpoints and runs some twenty interceptors, which for a request of 500 small records takes more CPU time than its
//! records. All of it yields the same request, but for body, time, signature and identifier.
//!
//! What a prepared call uses is the SDK's: its cache of credentials, the algorithm of its signature (`aws-sigv4`), its
//! connections with their time limits, its reading of errors. A call is prepared only if the request has none but the usual
//! headers, and if the signature that is made here for the SDK's request is the SDK's own. A pattern is forgotten after a
//! minute or a failure; the SDK's next call corrects what has changed: the endpoint, the offset of this machine's clock.

mod pattern;
mod recorder;
mod send;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

pub(super) use self::{
    recorder::Recorder,
    send::{PreparedCall, Sent},
};
use super::dialect::Form;
use crate::{clock::Clock, service::StreamId};

/// The time after which a call is made by the SDK again.
const LIFETIME: Duration = Duration::from_mins(1);
/// The number of streams whose calls are prepared at a time.
const STREAMS_MAX: usize = 1_000;

/// The prepared calls of a client, by stream.
#[derive(Debug)]
pub(super) struct PreparedCalls {
    is_on: bool,
    streams_max: usize,
    kept: Mutex<HashMap<StreamId, Kept>>,
}

#[derive(Debug)]
struct Kept {
    form: Form,
    /// `None`: the request is not one that can be prepared.
    call: Option<Arc<PreparedCall>>,
    until: Instant,
}

/// How the next call is made.
#[derive(Debug)]
pub(super) enum Way {
    Prepared(Arc<PreparedCall>),
    /// By the SDK, and recorded.
    Recorded(Recorder),
    /// By the SDK.
    Sdk,
}

impl Way {
    /// Returns the recorder of the SDK's call, if it is recorded.
    pub(super) fn recorder(self) -> Option<Recorder> {
        match self {
            Self::Recorded(recorder) => Some(recorder),
            Self::Prepared(_) | Self::Sdk => None,
        }
    }
}

impl PreparedCalls {
    pub(super) fn new(is_on: bool) -> Self {
        Self {
            is_on,
            streams_max: STREAMS_MAX,
            kept: Mutex::default(),
        }
    }

    /// Returns how the next call to this stream is made.
    pub(super) fn way(&self, stream: &StreamId, form: Form) -> Way {
        if !self.is_on {
            return Way::Sdk;
        }
        let kept = self.lock();
        let found = kept.get(stream);
        match found.filter(|kept| kept.form == form && kept.until > now()) {
            None => Way::Recorded(Recorder::default()),
            Some(Kept { call: None, .. }) => Way::Sdk,
            Some(Kept {
                call: Some(call), ..
            }) => Way::Prepared(Arc::clone(call)),
        }
    }

    /// Prepares calls after the recorded one, which had this body and succeeded.
    pub(super) async fn prepare(
        &self,
        stream: &StreamId,
        form: Form,
        recorder: Recorder,
        body: &[u8],
    ) {
        let Some(request) = recorder.recorded() else {
            return;
        };
        let call = PreparedCall::of(request, body).await;
        let now = now();
        let mut kept = self.lock();
        if kept.len() >= self.streams_max {
            kept.retain(|_, kept| kept.until > now);
        }
        if kept.len() < self.streams_max {
            let call = call.map(Arc::new);
            let until = now + LIFETIME;
            kept.insert(stream.clone(), Kept { form, call, until });
        }
    }

    /// Lets the SDK make the next call.
    #[cold]
    pub(super) fn forget(&self, stream: &StreamId) {
        self.lock().remove(stream);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<StreamId, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now() -> Instant {
    Clock::system().instant()
}
