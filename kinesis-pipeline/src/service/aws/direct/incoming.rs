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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Malformed;

    /// A reader that joins the parts.
    struct Joined(Vec<u8>);

    impl ReadParts<Vec<u8>> for Joined {
        fn push(&mut self, part: &[u8]) {
            self.0.extend_from_slice(part);
        }

        fn end(self: Box<Self>) -> Result<Vec<u8>, Malformed> {
            Ok(self.0)
        }
    }

    fn joined(_: usize) -> Box<dyn ReadParts<Vec<u8>>> {
        Box::new(Joined(Vec::new()))
    }

    /// Hands parts in. Returns the parts for the SDK.
    fn push(incoming: &Incoming<Vec<u8>>, parts: &[&'static [u8]]) -> Vec<Bytes> {
        let push = |part: &&'static [u8]| incoming.push(Bytes::from_static(part), || joined(0));
        parts.iter().map(push).collect()
    }

    fn answer(incoming: &Incoming<Vec<u8>>) -> Option<Vec<u8>> {
        incoming.take().map(|reader| reader.end().unwrap())
    }

    #[test]
    fn a_page_in_cbor_is_kept_from_the_sdk_and_one_in_json_is_handed_on() {
        let incoming = Incoming::default();
        for parts in [
            [&b"\xA1"[..], b"\x61a", b"\x07"],
            [b"", b"\xD9", b"\xD9\xF7\xA0"],
        ] {
            assert_eq!(push(&incoming, &parts), [&b""[..]; 3]);
            assert_eq!(answer(&incoming), Some(parts.concat()));
        }
        for parts in [[&b"{"[..], b"\"a\":", b"7}"], [b"", b"{", b"\xA0}"]] {
            assert_eq!(push(&incoming, &parts), parts);
            assert_eq!(answer(&incoming), None);
            *incoming.lock() = State::Empty;
        }
    }

    #[tokio::test]
    async fn a_second_attempt_begins_anew_after_half_a_body() {
        let incoming = Incoming::default();
        for first in [&b"\xA1half"[..], b"{half"] {
            let _ = incoming.parts_of(SdkBody::from(first), joined);
            push(&incoming, &[first]);
            for (second, is_cbor) in [(&b"\xA0"[..], true), (b"{}", false)] {
                let body = incoming.parts_of(SdkBody::from(second), joined);
                let to_sdk = body.collect().await.unwrap().to_bytes();
                assert_eq!(to_sdk.is_empty(), is_cbor);
                assert_eq!(answer(&incoming), is_cbor.then(|| second.to_vec()));
            }
        }
    }
}
