//! Calls made after the pattern of one that the SDK made.
//!
//! ```text
//!   the first calls of a stream, body ─> SDK: endpoint rules, headers, signature ─┬─> connection ─> answer ─> SDK
//!   one a minute, and one after                                            Recorder
//!   each failure                                                              │
//!                                                                        PreparedCall
//!                                                                             │
//!   all others                   body ─> the same headers, signature ─────────┴─> connection ─> answer
//! ```
//!
//! The reason is speed. The SDK composes each call anew: it merges layers of configuration, evaluates the rules of
//! endpoints and runs some twenty interceptors, a quarter of the CPU time of a put of records of 100 bytes. All of it yields
//! the same request, but for body, time, signature and identifier.
//!
//! Prepared calls use the SDK's cache of credentials, the algorithm of its signature (`aws-sigv4`), its connections, and its
//! reading of errors. The time limits are the client's, kept here by tokio's timer. A call is prepared only if the request
//! has none but the usual headers, and if the signature that is made here for the SDK's request is the SDK's own. A pattern
//! is used for a minute, and no longer once a call fails: the SDK's next call corrects what has changed, such as the
//! endpoint. A prepared call that is denied is made again by the SDK, whose result counts; from its answer the SDK also
//! learns how far this machine's clock is off.

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

use bytes::Bytes;
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
/// The time in which one call renews a pattern that has ended, while the others still use it.
const RENEWAL: Duration = Duration::from_secs(10);

/// The prepared calls of a client, by stream.
#[derive(Debug)]
pub(super) struct PreparedCalls {
    is_on: bool,
    streams_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    streams: HashMap<StreamId, Slot>,
    /// The last failure. A pattern of its stream that was begun before is not kept.
    failure: Option<(StreamId, Instant)>,
    /// The time before which no slot ends, if all places are taken.
    full_until: Instant,
}

#[derive(Debug)]
struct Slot {
    form: Form,
    /// `None`: the request is not one that can be prepared.
    call: Option<Arc<PreparedCall>>,
    until: Instant,
}

/// The way in which the next call is made.
#[derive(Debug)]
pub(super) enum Way {
    Prepared(Arc<PreparedCall>),
    /// By the SDK, and recorded if it shall become a pattern.
    Sdk(Option<Recording>),
}

/// A call of the SDK that becomes a pattern.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) recorder: Recorder,
    form: Form,
    begun: Instant,
}

impl PreparedCalls {
    pub(super) fn new(is_on: bool) -> Self {
        let kept = Kept {
            streams: HashMap::new(),
            failure: None,
            full_until: now(),
        };
        Self {
            is_on,
            streams_max: STREAMS_MAX,
            kept: kept.into(),
        }
    }

    /// Returns the way of the next call to this stream.
    pub(super) fn way(&self, stream: &StreamId, form: Form) -> Way {
        if !self.is_on {
            return Way::Sdk(None);
        }
        let now = now();
        let mut kept = self.lock();
        match kept.streams.get_mut(stream) {
            Some(slot) if slot.form != form => {}
            Some(slot) if slot.until <= now => slot.until = now + RENEWAL,
            Some(slot) => return slot.call.clone().map_or(Way::Sdk(None), Way::Prepared),
            None => {
                if !kept.make_place(self.streams_max, now) {
                    return Way::Sdk(None);
                }
            }
        }
        Way::Sdk(Some(Recording {
            recorder: Recorder::default(),
            form,
            begun: now,
        }))
    }

    /// Makes prepared calls for a client of the same configuration: none yet.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.is_on)
    }

    /// Prepares calls after the recorded one, which had this body and succeeded.
    pub(super) fn prepare(&self, stream: &StreamId, recording: &Recording, body: &Bytes) {
        let is_wanted = self.lock().wants(stream, recording, self.streams_max);
        if !is_wanted {
            return;
        }
        let request = recording.recorder.take();
        let call = request.and_then(|request| PreparedCall::of(request, body));
        let lifetime = if call.is_some() { LIFETIME } else { RENEWAL };
        let slot = Slot {
            form: recording.form,
            call: call.map(Arc::new),
            until: recording.begun + lifetime,
        };
        let mut kept = self.lock();
        if kept.wants(stream, recording, self.streams_max) {
            kept.streams.insert(stream.clone(), slot);
        }
    }

    /// Lets the SDK make the next call to this stream. `failed` is the prepared call that failed, if it was one: a newer one
    /// stays.
    #[cold]
    pub(super) fn forget(&self, stream: &StreamId, failed: Option<&Arc<PreparedCall>>) {
        let mut kept = self.lock();
        let call = kept.streams.get(stream).and_then(|slot| slot.call.as_ref());
        let is_another = |call| failed.is_some_and(|failed| !Arc::ptr_eq(failed, call));
        if !call.is_some_and(is_another) {
            kept.failure = Some((stream.clone(), now()));
            kept.streams.remove(stream);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Whether a recorded call shall become a pattern: no later call has failed, and none has become one lately.
    fn wants(&self, stream: &StreamId, recording: &Recording, streams_max: usize) -> bool {
        let slot = self.streams.get(stream);
        let is_new = |slot: &Slot| {
            slot.form == recording.form && slot.call.is_some() && slot.until > now() + RENEWAL
        };
        let has_place = slot.is_some() || self.streams.len() < streams_max;
        has_place && !slot.is_some_and(is_new) && !self.has_failed(stream, recording.begun)
    }

    /// Whether the last failure was one of this stream, and not before `begun`.
    fn has_failed(&self, stream: &StreamId, begun: Instant) -> bool {
        let failure = self.failure.as_ref();
        failure.is_some_and(|(failed, at)| failed == stream && *at >= begun)
    }

    /// Drops slots that have ended, if all places are taken. Returns whether there is a place.
    fn make_place(&mut self, streams_max: usize, now: Instant) -> bool {
        if self.streams.len() >= streams_max && self.full_until <= now {
            self.streams.retain(|_, slot| slot.until > now);
            let ends = self.streams.values().map(|slot| slot.until);
            self.full_until = ends.min().unwrap_or(now);
        }
        self.streams.len() < streams_max
    }
}

fn now() -> Instant {
    Clock::system().instant()
}
