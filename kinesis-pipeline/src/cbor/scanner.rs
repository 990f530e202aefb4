mod number;
mod plain;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub(crate) use self::number::Number;
use crate::json::Malformed;

// The major types that occur in bodies.
pub(super) const UNSIGNED: u8 = 0;
const NEGATIVE: u8 = 1;
pub(super) const BYTES: u8 = 2;
pub(super) const TEXT: u8 = 3;
const ARRAY: u8 = 4;
pub(super) const MAP: u8 = 5;
pub(super) const TAG: u8 = 6;
/// The major type of `null`, truth values and floats, and of the end of a value of indefinite length.
const SIMPLE: u8 = 7;

// The marks for the width of an argument that does not fit beside the major type.
pub(super) const ONE_BYTE: u8 = 0x18;
pub(super) const TWO_BYTES: u8 = 0x19;
pub(super) const FOUR_BYTES: u8 = 0x1A;
pub(super) const EIGHT_BYTES: u8 = 0x1B;
/// The bits of a head with the width of its argument, or a small argument itself.
const WIDTH: u8 = 0x1F;
/// The mark of an indefinite length. A break ends such a value.
const OPEN: u8 = 0x1F;

const BREAK: u8 = 0xFF;
/// `null` and `undefined`. Both mean that a member is absent.
const NULL: std::ops::RangeInclusive<u8> = 0xF6..=0xF7;

/// The nesting limit of skipped values.
const NESTING_MAX: u32 = 64;

const CUT: &str = "the CBOR ends too early";
pub(super) const OTHER_CHUNK: &str = "a chunk is of another type";

/// The remaining members of a map, or elements of an array.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items {
    /// The number of remaining items; `None` for an indefinite length.
    left: Option<u64>,
}

/// The head of a value: its major type and argument.
#[derive(Clone, Copy, Debug)]
struct Head {
    major: u8,
    /// The argument; `None` for an indefinite length.
    argument: Option<u64>,
    /// The bits with the width of the argument.
    width: u8,
}

/// Whether bytes are missing after the end of the input: with more of them the value may be read.
pub(crate) fn is_cut(error: &Malformed) -> bool {
    error.what == CUT
}

/// A pull scanner: a position in a CBOR body, before or after a value.
///
/// After opening a map or array, the caller asks for its next key or element until there is none, and reads one value
/// for each. After an error the scanner must not be used. It allocates only for text and bytes in chunks.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Returns the number of remaining bytes.
    pub(crate) fn rest_bytes(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Opens a map. Its members are read with [`next_key`](Self::next_key).
    pub(crate) fn open_map(&mut self) -> Result<Items, Malformed> {
        self.open(MAP, "it is no map")
    }

    /// Opens an array. Its elements are read with [`has_next`](Self::has_next).
    pub(crate) fn open_array(&mut self) -> Result<Items, Malformed> {
        self.open(ARRAY, "it is no array")
    }

    /// Returns the key of the map's next member, before its value; `None` at the end. A key that is not a text is
    /// empty.
    #[inline]
    pub(crate) fn next_key(
        &mut self,
        members: &mut Items,
    ) -> Result<Option<Cow<'a, [u8]>>, Malformed> {
        if !self.has_next(members)? {
            return Ok(None);
        }
        match self.plain_text() {
            Some(key) => Ok(Some(Cow::Borrowed(key))),
            None => self.unusual_key().map(Some),
        }
    }

    #[cold]
    fn unusual_key(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        if self.kind()? == TEXT {
            return self.string(TEXT, "");
        }
        self.skip()?;
        Ok(Cow::Borrowed(b""))
    }

    /// Whether there is another element. The scanner is then before it.
    #[inline]
    pub(crate) fn has_next(&mut self, items: &mut Items) -> Result<bool, Malformed> {
        match &mut items.left {
            Some(0) => Ok(false),
            Some(left) => {
                *left -= 1;
                Ok(true)
            }
            None => Ok(!self.is_past_break()?),
        }
    }

    /// Returns a text.
    #[inline]
    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let not_utf8 = self.malformed("the text is not UTF-8");
        match self.unchecked_text()? {
            Cow::Borrowed(text) => str::from_utf8(text)
                .map(Cow::Borrowed)
                .map_err(|_| not_utf8),
            Cow::Owned(text) => String::from_utf8(text)
                .map(Cow::Owned)
                .map_err(|_| not_utf8),
        }
    }

    /// Returns the bytes of a text. UTF-8 is not checked.
    #[inline]
    pub(crate) fn unchecked_text(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        self.string(TEXT, "it is no text")
    }

    /// Returns bytes.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        self.string(BYTES, "it is no byte string")
    }

    /// Whether the next value is a text.
    pub(crate) fn is_text(&mut self) -> Result<bool, Malformed> {
        Ok(self.kind()? == TEXT)
    }

    /// Skips a `null`. Returns whether there was one.
    #[inline]
    pub(crate) fn null(&mut self) -> Result<bool, Malformed> {
        self.kind()?;
        let is_null = NULL.contains(&self.bytes[self.at]);
        self.at += usize::from(is_null);
        Ok(is_null)
    }

    /// Skips a value. Its texts are not checked for UTF-8.
    pub(crate) fn skip(&mut self) -> Result<(), Malformed> {
        self.skip_nested(0)
    }

    fn skip_nested(&mut self, depth: u32) -> Result<(), Malformed> {
        if depth > NESTING_MAX {
            return Err(self.malformed("it is too deep"));
        }
        match self.kind()? {
            BYTES => self.string(BYTES, "").map(drop),
            TEXT => self.string(TEXT, "").map(drop),
            ARRAY => {
                let mut elements = self.open_array()?;
                while self.has_next(&mut elements)? {
                    self.skip_nested(depth + 1)?;
                }
                Ok(())
            }
            MAP => {
                let mut members = self.open_map()?;
                while self.has_next(&mut members)? {
                    self.skip_nested(depth + 1)?;
                    self.skip_nested(depth + 1)?;
                }
                Ok(())
            }
            _ => match self.head()?.argument {
                Some(_) => Ok(()),
                None => Err(self.malformed("an end stands where a value should")),
            },
        }
    }

    /// Checks that the input ends here.
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.at < self.bytes.len() {
            return Err(self.malformed("something follows the value"));
        }
        Ok(())
    }

    /// Returns an error at this position.
    pub(crate) fn malformed(&self, what: &'static str) -> Malformed {
        Malformed {
            offset: self.at,
            what,
        }
    }

    /// Returns the major type of the next value, after any tags before it.
    #[inline]
    fn kind(&mut self) -> Result<u8, Malformed> {
        loop {
            let Some(byte) = self.bytes.get(self.at) else {
                return Err(self.malformed(CUT));
            };
            match byte >> 5 {
                TAG => self.head_here()?,
                major => return Ok(major),
            };
        }
    }

    /// Reads the head of a value, after any tags before it.
    #[inline]
    fn head(&mut self) -> Result<Head, Malformed> {
        self.kind()?;
        self.head_here()
    }

    #[inline]
    fn head_here(&mut self) -> Result<Head, Malformed> {
        let Some(&byte) = self.bytes.get(self.at) else {
            return Err(self.malformed(CUT));
        };
        let (major, width) = (byte >> 5, byte & WIDTH);
        self.at += 1;
        let argument = match width {
            0..=23 => Some(width.into()),
            ONE_BYTE => Some(self.argument::<1>()?),
            TWO_BYTES => Some(self.argument::<2>()?),
            FOUR_BYTES => Some(self.argument::<4>()?),
            EIGHT_BYTES => Some(self.argument::<8>()?),
            OPEN if !matches!(major, UNSIGNED | NEGATIVE | TAG) => None,
            _ => return Err(self.malformed("a length has no known form")),
        };
        Ok(Head {
            major,
            argument,
            width,
        })
    }

    /// Returns a big-endian number of `BYTES` bytes.
    #[inline]
    fn argument<const BYTES: usize>(&mut self) -> Result<u64, Malformed> {
        let rest = &self.bytes[self.at..];
        let bytes = rest.first_chunk::<BYTES>().ok_or(self.malformed(CUT))?;
        self.at += BYTES;
        let shift_in = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Ok(bytes.iter().fold(0, shift_in))
    }

    fn open(&mut self, major: u8, what: &'static str) -> Result<Items, Malformed> {
        let start = self.malformed(what);
        let head = self.head()?;
        if head.major != major {
            return Err(start);
        }
        Ok(Items {
            left: head.argument,
        })
    }

    /// Returns the bytes of a text or of bytes. They are borrowed, unless they come in chunks.
    #[inline]
    fn string(&mut self, major: u8, what: &'static str) -> Result<Cow<'a, [u8]>, Malformed> {
        match self.plain(major) {
            Some(string) => Ok(Cow::Borrowed(string)),
            None => self.unusual_string(major, what),
        }
    }

    #[cold]
    fn unusual_string(
        &mut self,
        major: u8,
        what: &'static str,
    ) -> Result<Cow<'a, [u8]>, Malformed> {
        let start = self.malformed(what);
        let head = self.head()?;
        if head.major != major {
            return Err(start);
        }
        match head.argument {
            Some(length) => self.take(length).map(Cow::Borrowed),
            None => self.chunks(major).map(Cow::Owned),
        }
    }

    /// Reads chunks up to the break. Each has its own length, and the same type as the whole.
    #[cold]
    fn chunks(&mut self, major: u8) -> Result<Vec<u8>, Malformed> {
        let mut whole = Vec::new();
        while !self.is_past_break()? {
            match self.head_here()? {
                Head {
                    major: of_chunk,
                    argument: Some(length),
                    ..
                } if of_chunk == major => {
                    whole.extend_from_slice(self.take(length)?);
                }
                _ => return Err(self.malformed(OTHER_CHUNK)),
            }
        }
        Ok(whole)
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(length)
            .ok()
            .and_then(|length| rest.get(..length));
        let taken = taken.ok_or(self.malformed(CUT))?;
        self.at += taken.len();
        Ok(taken)
    }

    /// Passes a break. Returns whether there was one.
    #[inline]
    fn is_past_break(&mut self) -> Result<bool, Malformed> {
        let next = self.bytes.get(self.at).ok_or(self.malformed(CUT))?;
        let is_break = *next == BREAK;
        self.at += usize::from(is_break);
        Ok(is_break)
    }
}
