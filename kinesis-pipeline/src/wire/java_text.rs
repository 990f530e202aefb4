//! The decoding of text that may not be UTF-8, as the readers of aggregates in Java do it.

use std::borrow::Cow;

/// The replacement of each malformed sequence of bytes.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// Decodes text, with U+FFFD for each sequence that is not UTF-8.
///
/// Sequences are those of Java's decoder. They differ from [`String::from_utf8_lossy`] in one case: half of a surrogate
/// pair that is encoded on its own, in three bytes, is one sequence.
pub(super) fn java_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(replaced(bytes)),
    }
}

#[cold]
fn replaced(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(chunk) = rest.utf8_chunks().next() {
        text.push_str(chunk.valid());
        rest = &rest[chunk.valid().len()..];
        if !chunk.invalid().is_empty() {
            text.push(REPLACEMENT);
            rest = &rest[surrogate_bytes(rest).unwrap_or(chunk.invalid().len())..];
        }
    }
    text
}

/// Returns the number of bytes of the half surrogate pair at the begin; its last byte may be missing.
fn surrogate_bytes(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] => Some(3),
        [0xed, 0xa0..=0xbf, ..] => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `new String(bytes, StandardCharsets.UTF_8)`, by the source of `OpenJDK`: by hand, as no JVM runs here.
    #[test]
    fn malformed_bytes_become_what_java_makes_of_them() {
        let cases: [(&[u8], &str); 12] = [
            (b"plain", "plain"),
            (b"\xff", "\u{fffd}"),
            (b"a\xffb\xfe\xfdc", "a\u{fffd}b\u{fffd}\u{fffd}c"),
            // Cut short: one for the bytes that are there.
            (b"\xe2\x82", "\u{fffd}"),
            (b"\xf0\x9f\x98", "\u{fffd}"),
            (b"\xe2\x82x", "\u{fffd}x"),
            // Too long an encoding: one for each byte.
            (b"\xc0\x80", "\u{fffd}\u{fffd}"),
            (b"\xe0\x80\x80", "\u{fffd}\u{fffd}\u{fffd}"),
            (b"\xf5\x80", "\u{fffd}\u{fffd}"),
            // Halves of surrogate pairs.
            (b"\xed\xa0\xbd\xed\xb8\x80", "\u{fffd}\u{fffd}"),
            (b"x\xed\xa0", "x\u{fffd}"),
            (b"\xed\xa0y", "\u{fffd}y"),
        ];
        for (bytes, text) in cases {
            assert_eq!(java_text(bytes), text, "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn without_surrogates_it_is_the_lossy_text(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x80_u8..0xc0], 0..40),
        ) {
            let has_surrogate = bytes.windows(2).any(|two| surrogate_bytes(two).is_some());
            let lossy = String::from_utf8_lossy(&bytes);
            prop_assert!(has_surrogate || java_text(&bytes) == lossy);
            prop_assert!(java_text(&bytes).chars().count() <= lossy.chars().count());
        }
    }
}
