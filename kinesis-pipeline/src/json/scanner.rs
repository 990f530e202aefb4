use super::{
    Malformed, Text,
    plain::plain,
    text::{hex_digits, short_escape},
};

/// The nesting limit of skipped values, the same as in `serde_json`.
pub(crate) const NESTING_MAX: u32 = 127;

pub(super) const TOO_DEEP: &str = "it is too deep";

/// The kind of a value, by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    Array,
    Text,
    Number,
    Bool,
    Null,
}

/// A pull scanner: a position in a JSON text, before or after a value.
///
/// After opening an object or array, the caller asks for its next key or element until there is none, and reads one
/// value for each. The scanner does not track open objects and arrays. After an error it must not be used.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether an object or array was just opened, so that no comma is expected.
    is_opened: bool,
}

#[expect(
    clippy::inline_always,
    reason = "texts that are handed over in memory cost a tenth of an event's time"
)]
impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            at: 0,
            is_opened: false,
        }
    }

    /// Returns the number of remaining bytes.
    pub(crate) fn rest_bytes(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Returns an error at this position.
    pub(crate) fn malformed(&self, what: &'static str) -> Malformed {
        Malformed {
            offset: self.at,
            what,
        }
    }

    /// Returns the kind of the next value.
    #[inline]
    pub(crate) fn kind(&mut self) -> Result<Kind, Malformed> {
        Ok(match self.peek() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'"') => Kind::Text,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => return Err(self.malformed("there is no value")),
        })
    }

    /// Opens an object. Its members are read with [`next_key`](Self::next_key).
    pub(crate) fn open_object(&mut self) -> Result<(), Malformed> {
        self.expect(b'{', "it is no object")?;
        self.is_opened = true;
        Ok(())
    }

    /// Returns the key of the object's next member, before its value; `None` at the end.
    #[inline(always)]
    pub(crate) fn next_key(&mut self) -> Result<Option<Text<'a>>, Malformed> {
        match self.quoted_key()? {
            Some(key) => self.checked(key).map(Some),
            None => Ok(None),
        }
    }

    /// Opens an array. Its elements are read with [`next_element`](Self::next_element).
    pub(crate) fn open_array(&mut self) -> Result<(), Malformed> {
        self.expect(b'[', "it is no array")?;
        self.is_opened = true;
        Ok(())
    }

    /// Whether the array has another element. The scanner is then before it.
    #[inline]
    pub(crate) fn next_element(&mut self) -> Result<bool, Malformed> {
        self.is_continued(b']')
    }

    /// Returns a text.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<Text<'a>, Malformed> {
        let text = self.quoted()?;
        self.checked(text)
    }

    /// Returns a number as its text.
    pub(crate) fn number(&mut self) -> Result<&'a str, Malformed> {
        self.peek();
        let start = self.at;
        self.pass_number()?;
        Ok(std::str::from_utf8(&self.bytes[start..self.at]).expect("a number is ASCII"))
    }

    /// Returns a `true` or `false`.
    pub(crate) fn bool(&mut self) -> Result<bool, Malformed> {
        let word: &[u8] = match self.peek() {
            Some(b't') => b"true",
            _ => b"false",
        };
        self.word(word)?;
        Ok(word == b"true")
    }

    /// Skips a `null`. Returns whether there was one.
    #[inline]
    pub(crate) fn null(&mut self) -> Result<bool, Malformed> {
        if self.peek() != Some(b'n') {
            return Ok(false);
        }
        self.word(b"null").map(|()| true)
    }

    /// Skips a value. As in `serde_json`, neither the UTF-8 of its texts nor the characters of its escapes are checked.
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        let mut nest = Nest::default();
        loop {
            match self.kind()? {
                Kind::Object => {
                    self.open_object()?;
                    nest.open(true).ok_or(self.malformed(TOO_DEEP))?;
                }
                Kind::Array => {
                    self.open_array()?;
                    nest.open(false).ok_or(self.malformed(TOO_DEEP))?;
                }
                Kind::Text => {
                    self.quoted()?;
                }
                Kind::Number => self.pass_number()?,
                Kind::Bool => {
                    self.bool()?;
                }
                Kind::Null => self.word(b"null")?,
            }
            loop {
                let has_next = match nest.innermost_is_object() {
                    Some(true) => self.quoted_key()?.is_some(),
                    Some(false) => self.next_element()?,
                    None => return Ok(()),
                };
                if has_next {
                    break;
                }
                nest.close();
            }
        }
    }

    /// Returns the JSON text of a value, unchanged.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn raw(&mut self) -> Result<&'a str, Malformed> {
        self.peek();
        let start = self.at;
        self.skip()?;
        std::str::from_utf8(&self.bytes[start..self.at]).map_err(|error| Malformed {
            offset: start + error.valid_up_to(),
            what: "it is not UTF-8",
        })
    }

    /// Skips these bytes. Returns whether they were there.
    #[cfg(feature = "aws")]
    #[inline]
    pub(crate) fn pass(&mut self, bytes: &[u8]) -> Option<()> {
        let is_next = self.bytes[self.at..].starts_with(bytes);
        self.is_opened &= !is_next;
        self.at += if is_next { bytes.len() } else { 0 };
        is_next.then_some(())
    }

    /// Skips all bytes up to the next quotation mark. The caller must check that they are plain.
    #[cfg(feature = "aws")]
    #[inline]
    pub(crate) fn until_quote(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let bytes = memchr::memchr(b'"', rest)?;
        self.at += bytes;
        Some(&rest[..bytes])
    }

    /// Checks that only white space is left.
    pub(crate) fn end(&mut self) -> Result<(), Malformed> {
        match self.peek() {
            Some(_) => Err(self.malformed("something follows the value")),
            None => Ok(()),
        }
    }

    /// Returns the next byte that is not white space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Malformed> {
        if self.peek() != Some(byte) {
            return Err(self.malformed(what));
        }
        self.at += 1;
        Ok(())
    }

    /// Skips the comma before the next key or element, or else the end of the object or array. Returns whether a key or
    /// element follows.
    #[inline]
    fn is_continued(&mut self, close: u8) -> Result<bool, Malformed> {
        let is_opened = std::mem::take(&mut self.is_opened);
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(false);
        }
        if !is_opened {
            self.expect(b',', "a comma or an end is missing")?;
        }
        Ok(true)
    }

    #[inline(always)]
    fn quoted_key(&mut self) -> Result<Option<Text<'a>>, Malformed> {
        if !self.is_continued(b'}')? {
            return Ok(None);
        }
        let key = self.quoted()?;
        self.expect(b':', "a colon is missing")?;
        Ok(Some(key))
    }

    /// Returns a text. Neither its UTF-8 nor the characters of its escapes are checked.
    #[inline(always)]
    fn quoted(&mut self) -> Result<Text<'a>, Malformed> {
        self.expect(b'"', "it is no text")?;
        let start = self.at;
        let (mut is_ascii, mut has_escapes) = (true, false);
        loop {
            let Some(plain) = plain(&self.bytes[self.at..]) else {
                return Err(self.malformed("a text has no end"));
            };
            self.at += plain.bytes;
            is_ascii &= plain.is_ascii;
            match self.bytes[self.at] {
                b'"' => break,
                b'\\' => self.pass_escape()?,
                _ => return Err(self.malformed("a text has a control character")),
            }
            has_escapes = true;
        }
        let raw = &self.bytes[start..self.at];
        self.at += 1;
        Ok(Text {
            raw,
            is_ascii,
            has_escapes,
        })
    }

    #[cold]
    fn pass_escape(&mut self) -> Result<(), Malformed> {
        let rest = &self.bytes[self.at + 1..];
        let escape_bytes = match rest.split_first() {
            Some((b'u', digits)) => hex_digits(digits).map(|_| 6),
            Some((&escape, _)) => short_escape(escape).map(|_| 2),
            None => None,
        };
        self.at += escape_bytes.ok_or(self.malformed("an escape is none"))?;
        Ok(())
    }

    /// Checks that a text is UTF-8 and its escapes are valid characters.
    #[inline(always)]
    fn checked(&self, text: Text<'a>) -> Result<Text<'a>, Malformed> {
        if text.is_right() {
            return Ok(text);
        }
        Err(self.malformed("a text is not UTF-8"))
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Malformed> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.malformed("there is no value"));
        }
        self.at += word.len();
        Ok(())
    }

    #[inline]
    fn pass_number(&mut self) -> Result<(), Malformed> {
        self.pass_byte(b"-");
        if !self.pass_byte(b"0") {
            self.pass_digits()?;
        }
        if self.pass_byte(b".") {
            self.pass_digits()?;
        }
        if self.pass_byte(b"eE") {
            self.pass_byte(b"+-");
            self.pass_digits()?;
        }
        Ok(())
    }

    /// Skips the next byte if it is one of these. Returns whether it was.
    fn pass_byte(&mut self, bytes: &[u8]) -> bool {
        let is_one = matches!(self.bytes.get(self.at), Some(byte) if bytes.contains(byte));
        self.at += usize::from(is_one);
        is_one
    }

    /// Skips one or more digits.
    fn pass_digits(&mut self) -> Result<(), Malformed> {
        let rest = &self.bytes[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return Err(self.malformed("a number is none"));
        }
        self.at += digits;
        Ok(())
    }
}

/// The open objects and arrays, one bit for each.
#[derive(Debug, Default)]
struct Nest {
    is_object: u128,
    depth: u32,
}

const _: () = assert!(NESTING_MAX <= u128::BITS);

impl Nest {
    /// Opens an object or array; `None` at the nesting limit.
    fn open(&mut self, is_object: bool) -> Option<()> {
        self.depth += 1;
        self.is_object = self.is_object << 1 | u128::from(is_object);
        (self.depth <= NESTING_MAX).then_some(())
    }

    fn close(&mut self) {
        self.depth -= 1;
        self.is_object >>= 1;
    }

    fn innermost_is_object(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.is_object & 1 == 1)
    }
}
