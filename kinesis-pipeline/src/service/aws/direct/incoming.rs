//! A body that is read in parts, as the connection delivers them, while the SDK waits for its end.
//!
//! ```text
//!   connection ─> part ─> stalled-stream protection ─> Incoming ─┬─ CBOR: read here; the SDK gets an empty part
//!                         (of the SDK)                           └─ JSON: handed on, for the SDK to join
//! ```
//!
//! Stalled-stream protection gives up a body of which too few bytes come. The SDK wraps the body in it in the same hook in
//! which it is wrapped here, but before: interceptors of the client and of the operation run before those of a call's
//! customization. So its wrapper is inside of this one and counts the bytes that really come. The SDK's trace of a response
//! shows an empty body for a page in CBOR.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http_body_util::BodyExt as _;

use super::{BeginParts, ReadParts};
use crate::cbor;

/// The incoming body of one call.
pub(super) struct Incoming<A>(Arc<Mutex<State<A>>>);

enum State<A> {
    /// No byte has come.
    Empty,
    Cbor(Box<dyn ReadParts<A>>),
    Other,
}

impl<A: 'static> Incoming<A> {
    /// Returns the body to hand to the SDK in place of this one. A body in CBOR is read by the reader that `begin` makes.
    pub(super) fn parts_of(&self, body: SdkBody, begin: BeginParts<A>) -> SdkBody {
        *self.lock() = State::Empty;
        let incoming = self.clone();
        let body_bytes = body.content_length().unwrap_or_default();
        let begin = move || begin(usize::try_from(body_bytes).unwrap_or_default());
        let parts = body.map_frame(move |frame| frame.map_data(|part| incoming.push(part, begin)));
        SdkBody::from_body_1_x(parts)
    }

    /// Takes a part. Returns the part for the SDK.
    fn push(&self, part: Bytes, begin: impl FnOnce() -> Box<dyn ReadParts<A>>) -> Bytes {
        let mut state = self.lock();
        if matches!(*state, State::Empty) && !part.is_empty() {
            let is_cbor = cbor::is_cbor(&part);
            *state = if is_cbor {
                State::Cbor(begin())
            } else {
                State::Other
            };
        }
        let State::Cbor(reader) = &mut *state else {
            return part;
        };
        reader.push(&part);
        Bytes::new()
    }
}

impl<A> Incoming<A> {
    /// Takes the reader of a body in CBOR; `None` for any other body.
    pub(super) fn take(&self) -> Option<Box<dyn ReadParts<A>>> {
        match mem::replace(&mut *self.lock(), State::Empty) {
            State::Cbor(reader) => Some(reader),
            State::Empty | State::Other => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Default for Incoming<A> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State::Empty)))
    }
}

impl<A> Clone for Incoming<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
