use std::borrow::Cow;

use memchr::memchr;

/// A text as it is written in JSON, without its quotation marks. It is UTF-8, and its escapes are valid.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    pub(super) raw: &'a [u8],
    /// Whether the text is known to be ASCII. It may be ASCII even if this is false.
    pub(super) is_ascii: bool,
    pub(super) has_escapes: bool,
}

impl<'a> Text<'a> {
    /// Whether JSON writes the text with escapes.
    pub(crate) fn has_escapes(&self) -> bool {
        self.has_escapes
    }

    /// Returns the bytes of the text. They are borrowed if there are no escapes.
    #[inline]
    pub(crate) fn as_bytes(&self) -> Cow<'a, [u8]> {
        if !self.has_escapes {
            return Cow::Borrowed(self.raw);
        }
        let mut bytes = Vec::with_capacity(self.raw.len());
        let _ = unescape(self.raw, |part| bytes.extend_from_slice(part));
        Cow::Owned(bytes)
    }

    /// Returns the text. It is borrowed if there are no escapes. Looks at every byte.
    pub(crate) fn to_str(self) -> Cow<'a, str> {
        const CHECKED: &str = "the scanner lets only UTF-8 through";
        match self.as_bytes() {
            Cow::Borrowed(bytes) => Cow::Borrowed(std::str::from_utf8(bytes).expect(CHECKED)),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).expect(CHECKED)),
        }
    }

    /// Whether the text is UTF-8 and its escapes are valid characters.
    #[inline]
    pub(super) fn is_right(&self) -> bool {
        let is_utf8 = self.is_ascii || std::str::from_utf8(self.raw).is_ok();
        is_utf8 && (!self.has_escapes || unescape(self.raw, |_| {}).is_some())
    }
}

/// Passes the decoded text to `give`, part by part. `None` for an escape that is not a valid character.
fn unescape(mut raw: &[u8], mut give: impl FnMut(&[u8])) -> Option<()> {
    while let Some(plain_bytes) = memchr(b'\\', raw) {
        give(&raw[..plain_bytes]);
        let (escape, rest) = raw[plain_bytes + 1..].split_first()?;
        raw = rest;
        if *escape == b'u' {
            let character;
            (character, raw) = code_point(raw)?;
            give(character.encode_utf8(&mut [0; 4]).as_bytes());
        } else {
            give(&[short_escape(*escape)?]);
        }
    }
    give(raw);
    Some(())
}

/// Returns the character of an escape such as `\n`; `None` for `\u` and for unknown escapes.
pub(super) fn short_escape(escape: u8) -> Option<u8> {
    Some(match escape {
        b'"' | b'\\' | b'/' => escape,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        _ => return None,
    })
}

/// Returns the character of the digits after `\u`, and the text behind it. A character above 16 bits has two escapes.
fn code_point(digits: &[u8]) -> Option<(char, &[u8])> {
    let (unit, rest) = hex_digits(digits)?;
    if !(0xD800..0xDC00).contains(&unit) {
        return Some((char::from_u32(unit)?, rest));
    }
    let (low, rest) = hex_digits(rest.strip_prefix(b"\\u")?)?;
    let low = low.checked_sub(0xDC00).filter(|&bits| bits < 0x400)?;
    let character = char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + low)?;
    Some((character, rest))
}

/// Returns the number of four hexadecimal digits, and the text behind them.
pub(super) fn hex_digits(digits: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = digits.split_first_chunk::<4>()?;
    let number = digits.iter().try_fold(0, |number, &digit| {
        Some(number << 4 | char::from(digit).to_digit(16)?)
    })?;
    Some((number, rest))
}
