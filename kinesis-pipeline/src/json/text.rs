use std::borrow::Cow;

use memchr::memchr;

/// A text as it stands in JSON, without its quotation marks. It is UTF-8, and its escapes are right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    pub(super) raw: &'a [u8],
    /// Whether the text is ASCII; if false, it may be all the same.
    pub(super) is_ascii: bool,
    pub(super) has_escapes: bool,
}

impl<'a> Text<'a> {
    /// Whether JSON writes it in another way than UTF-8 does.
    pub(crate) fn has_escapes(&self) -> bool {
        self.has_escapes
    }

    /// Returns the bytes: borrowed, if there are no escapes.
    #[inline]
    pub(crate) fn as_bytes(&self) -> Cow<'a, [u8]> {
        if !self.has_escapes {
            return Cow::Borrowed(self.raw);
        }
        let mut bytes = Vec::with_capacity(self.raw.len());
        let _ = unescape(self.raw, |part| bytes.extend_from_slice(part));
        Cow::Owned(bytes)
    }

    /// Returns the text: borrowed, if there are no escapes. It costs a look at every byte.
    pub(crate) fn to_str(self) -> Cow<'a, str> {
        const CHECKED: &str = "the scanner lets only UTF-8 through";
        match self.as_bytes() {
            Cow::Borrowed(bytes) => Cow::Borrowed(std::str::from_utf8(bytes).expect(CHECKED)),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).expect(CHECKED)),
        }
    }

    /// Whether it is UTF-8, and its escapes stand for characters.
    #[inline]
    pub(super) fn is_right(&self) -> bool {
        let is_utf8 = self.is_ascii || std::str::from_utf8(self.raw).is_ok();
        is_utf8 && (!self.has_escapes || unescape(self.raw, |_| {}).is_some())
    }
}

/// Gives out the text part by part; `None` for an escape that stands for no character.
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

/// Returns the character of an escape such as `\n`; `None` for `\u` and unknown ones.
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

/// Returns the character of the digits after `\u`, and what comes after it. Those past 16 bits are written in two.
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

/// The number of four digits, and what comes after them.
pub(super) fn hex_digits(digits: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = digits.split_first_chunk::<4>()?;
    let number = digits.iter().try_fold(0, |number, &digit| {
        Some(number << 4 | char::from(digit).to_digit(16)?)
    })?;
    Some((number, rest))
}
