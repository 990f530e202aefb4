//! A pull scanner of CBOR in memory, for `application/x-amz-cbor-1.1`: the bodies of calls with records.
//!
//! ```text
//!  bytes ── Scanner ── open_map, next_key ── text, bytes, number, .. (borrow)
//!                  └── open_array, has_next     └── skip: values that are not needed
//! ```
//!
//! It reads all that the Java SDKs write: definite and indefinite lengths, text and bytes in chunks, and tags, which it
//! skips. Like them it writes maps and arrays of indefinite length. Format: RFC 8949.

#[cfg(any(test, fuzzing))]
mod peer;
mod scanner;
mod write;

#[cfg(fuzzing)]
pub(crate) use peer::agrees;
pub(crate) use scanner::{Items, Number, Scanner, is_cut};
pub(crate) use write::{
    BREAK, HEAD_BYTES_MAX, OPEN_ARRAY, OPEN_MAP, put_bytes, put_digits, put_text, put_unsigned,
};

/// Whether a body is CBOR. A CBOR body begins with a map, or with a tag before it. JSON never begins with such a byte.
pub(crate) fn is_cbor(body: &[u8]) -> bool {
    let major = body.first().map(|byte| byte >> 5);
    matches!(major, Some(scanner::MAP | scanner::TAG))
}
