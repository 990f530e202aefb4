//! The id of a record, with a flag for ids that JSON writes unchanged. The flag is used several times for each record.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use crate::json::{Malformed, Scanner};

/// An id that an event owns.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnId<'a> {
    text: Cow<'a, [u8]>,
    is_plain: bool,
}

impl<'a> OwnId<'a> {
    pub(super) fn new(text: Cow<'a, str>) -> Self {
        let is_plain = is_plain(text.as_bytes());
        let text = match text {
            Cow::Borrowed(text) => text.as_bytes().into(),
            Cow::Owned(text) => text.into_bytes().into(),
        };
        Self { text, is_plain }
    }

    /// Reads the id. It must be a text: without an id no answer is possible.
    #[inline]
    pub(super) fn scan(&mut self, scanner: &mut Scanner<'a>) -> Result<(), Malformed> {
        let text = scanner.string()?;
        self.text = text.as_bytes();
        // JSON text without escapes has no characters that must be escaped.
        self.is_plain = !text.has_escapes();
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    pub(super) fn as_id(&self) -> Id<'_> {
        Id {
            text: &self.text,
            is_plain: self.is_plain,
        }
    }
}

impl PartialEq for OwnId<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for OwnId<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_id().as_str())
    }
}

/// A borrowed id. Its bytes are UTF-8.
#[derive(Clone, Copy, Debug)]
pub(super) struct Id<'a> {
    pub(super) text: &'a [u8],
    is_plain: bool,
}

impl<'a> Id<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let text = text.as_bytes();
        let is_plain = is_plain(text);
        Self { text, is_plain }
    }

    pub(super) fn as_str(self) -> &'a str {
        std::str::from_utf8(self.text).expect("an id is made of a text")
    }

    /// Returns the length of the id in JSON, with its quotation marks.
    pub(super) fn json_bytes(self) -> usize {
        if self.is_plain {
            return self.text.len() + 2;
        }
        escaped(self.as_str()).len()
    }

    /// Appends the id with its quotation marks.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        if !self.is_plain {
            return out.extend_from_slice(escaped(self.as_str()).as_bytes());
        }
        out.push(b'"');
        out.extend_from_slice(self.text);
        out.push(b'"');
    }
}

fn escaped(text: &str) -> String {
    serde_json::to_string(text).expect("a text has a JSON text")
}

/// Whether JSON writes the text unchanged. The loop looks at every byte, without an early exit, so that it is
/// vectorized.
fn is_plain(text: &[u8]) -> bool {
    let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    !text
        .iter()
        .fold(false, |found, &byte| found | special(byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_is_written_as_json_does(text in ".{1,20}", seed in "[a\"\\\\\n]{1,4}") {
            for text in [text, seed] {
                let json = serde_json::to_string(&text).unwrap();
                let mut read = OwnId::default();
                read.scan(&mut Scanner::new(json.as_bytes())).unwrap();
                for id in [Id::new(&text), read.as_id()] {
                    let mut out = Vec::new();
                    id.write(&mut out);
                    prop_assert_eq!(&out, json.as_bytes());
                    prop_assert_eq!(id.json_bytes(), json.len());
                }
            }
        }
    }
}
