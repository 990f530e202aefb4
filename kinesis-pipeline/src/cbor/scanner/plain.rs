//! Short paths for values in their plain form: maps of few members, strings with a definite length and no tag.

use super::{BREAK, MAP, ONE_BYTE, OPEN, Scanner, TEXT, TWO_BYTES, WIDTH};

impl<'a> Scanner<'a> {
    /// Returns the bytes from here on.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Passes all bytes but these last ones of the [rest](Self::rest).
    #[inline]
    pub(crate) fn pass_to(&mut self, rest: &[u8]) {
        self.at = self.bytes.len() - rest.len();
    }

    /// Enters a map of `members` members. Returns whether its end is marked, for [`pass_end`](Self::pass_end); `None`
    /// for any other value.
    #[inline]
    pub(crate) fn pass_map(&mut self, members: u8) -> Option<bool> {
        let first = *self.bytes.get(self.at)?;
        self.at += 1;
        let is_open = first == MAP << 5 | OPEN;
        (is_open || first == MAP << 5 | members).then_some(is_open)
    }

    /// Passes the end of a map, if its end is marked. `None` if the end is not here.
    #[inline]
    pub(crate) fn pass_end(&mut self, is_open: bool) -> Option<()> {
        let ends = !is_open || *self.bytes.get(self.at)? == BREAK;
        self.at += usize::from(is_open);
        ends.then_some(())
    }

    /// Returns a text of up to 65,535 bytes with a definite length. UTF-8 is not checked.
    #[inline]
    pub(crate) fn plain_text(&mut self) -> Option<&'a [u8]> {
        self.plain(TEXT)
    }

    /// Returns a text or bytes of up to 65,535 bytes with a definite length and no tag. `None` for any other value, which
    /// is then still next.
    #[inline]
    pub(super) fn plain(&mut self, major: u8) -> Option<&'a [u8]> {
        let (head, bytes) = match *self.bytes.get(self.at..)? {
            [first, ..] if first >> 5 != major => return None,
            [first, ..] if first & WIDTH < ONE_BYTE => (1, usize::from(first & WIDTH)),
            [first, byte, ..] if first & WIDTH == ONE_BYTE => (2, usize::from(byte)),
            [first, high, low, ..] if first & WIDTH == TWO_BYTES => {
                (3, usize::from(u16::from_be_bytes([high, low])))
            }
            _ => return None,
        };
        let start = self.at + head;
        let string = self.bytes.get(start..start + bytes)?;
        self.at = start + bytes;
        Some(string)
    }
}
