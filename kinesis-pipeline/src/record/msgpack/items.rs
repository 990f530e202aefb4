//! The items of `MessagePack` bytes, one after another and without recursion.

use std::ops::Range;

/// The nesting limit, as in `serde_json`: it protects the stack.
const DEPTH_MAX: usize = 128;

/// Bytes that are not one `MessagePack` value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("the bytes end within a value that begins at byte {at}")]
    Cut { at: usize },
    #[error("byte {at} is 0xc1, which begins no value")]
    Reserved { at: usize },
    #[error("more than {DEPTH_MAX} lists and maps are nested at byte {at}")]
    TooDeep { at: usize },
    #[error("the value ends before byte {at}, and more bytes follow")]
    Trailing { at: usize },
}

/// One item: its marker and length, and its payload. Lists and maps have none; their elements are the items
/// that follow.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) start: usize,
    pub(super) marker: u8,
    pub(super) payload: Range<usize>,
    /// The number of items inside this one.
    pub(super) children: usize,
}

impl Item {
    pub(super) fn read(data: &[u8], start: usize) -> Result<Self, Malformed> {
        let cut = Malformed::Cut { at: start };
        let marker = *data.get(start).ok_or(cut)?;
        let length_at = start + 1;
        let length = |bytes: usize| -> Result<usize, Malformed> {
            let digits = data.get(length_at..length_at + bytes).ok_or(cut)?;
            Ok(digits
                .iter()
                .fold(0, |value, digit| value << 8 | usize::from(*digit)))
        };
        let (header_bytes, payload_bytes, children) = match marker {
            0x00..=0x7f | 0xc0 | 0xc2 | 0xc3 | 0xe0..=0xff => (1, 0, 0),
            0x80..=0x8f => (1, 0, 2 * usize::from(marker & 0x0f)),
            0x90..=0x9f => (1, 0, usize::from(marker & 0x0f)),
            0xa0..=0xbf => (1, usize::from(marker & 0x1f), 0),
            0xc1 => return Err(Malformed::Reserved { at: start }),
            0xc4 | 0xd9 => (2, length(1)?, 0),
            0xc5 | 0xda => (3, length(2)?, 0),
            0xc6 | 0xdb => (5, length(4)?, 0),
            // The type of an extension counts as payload, here and in 0xd4 to 0xd8.
            0xc7 => (2, length(1)? + 1, 0),
            0xc8 => (3, length(2)? + 1, 0),
            0xc9 => (5, length(4)?.saturating_add(1), 0),
            0xcc | 0xd0 => (1, 1, 0),
            0xcd | 0xd1 | 0xd4 => (1, 2, 0),
            0xd5 => (1, 3, 0),
            0xca | 0xce | 0xd2 => (1, 4, 0),
            0xd6 => (1, 5, 0),
            0xcb | 0xcf | 0xd3 => (1, 8, 0),
            0xd7 => (1, 9, 0),
            0xd8 => (1, 17, 0),
            0xdc => (3, 0, length(2)?),
            0xdd => (5, 0, length(4)?),
            0xde => (3, 0, 2 * length(2)?),
            0xdf => (5, 0, length(4)?.saturating_mul(2)),
        };
        let payload_at = start + header_bytes;
        // Every child has at least a byte: a list that claims more children than bytes is cut off.
        let left = data.len().saturating_sub(payload_at);
        if payload_bytes > left || children > left {
            return Err(cut);
        }
        Ok(Self {
            start,
            marker,
            payload: payload_at..payload_at + payload_bytes,
            children,
        })
    }
}

/// Whether `data` is exactly one value, whose lengths and nesting can be trusted.
pub(super) fn check(data: &[u8]) -> Result<(), Malformed> {
    // The number of missing items on each level; every open level has at least one.
    let mut open = [0_usize; DEPTH_MAX];
    let mut depth = 0;
    let mut at = 0;
    loop {
        let item = Item::read(data, at)?;
        at = item.payload.end;
        if item.children > 0 {
            *open
                .get_mut(depth)
                .ok_or(Malformed::TooDeep { at: item.start })? = item.children;
            depth += 1;
            continue;
        }
        depth = close(&mut open, depth);
        if depth == 0 {
            break;
        }
    }
    match data.len() - at {
        0 => Ok(()),
        _ => Err(Malformed::Trailing { at }),
    }
}

/// Counts one finished item, and every list that it finishes. Returns the number of levels that stay open.
fn close(open: &mut [usize], mut depth: usize) -> usize {
    while depth > 0 {
        open[depth - 1] -= 1;
        if open[depth - 1] > 0 {
            break;
        }
        depth -= 1;
    }
    depth
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_whole_value_passes() {
        for data in [
            &b"\xc0"[..],
            b"\x90",
            b"\x92\x01\x81\xa1a\x93\x01\x02\x03",
            b"\xdc\x00\x01\xda\x00\x01a",
            b"\xc7\x0c\x05aaaaaaaaaaaa",
            b"\xd8\x05aaaaaaaaaaaaaaaa",
            b"\xdf\x00\x00\x00\x01\xc0\xcb\0\0\0\0\0\0\0\0",
        ] {
            assert_eq!(check(data), Ok(()), "{data:x?}");
        }
    }

    #[test]
    fn anything_else_is_named_with_its_byte() {
        for (data, problem) in [
            (&b""[..], Malformed::Cut { at: 0 }),
            (b"\x92\x01", Malformed::Cut { at: 0 }),
            (b"\x82\xa1a\x01\x81", Malformed::Cut { at: 4 }),
            (b"\x92\x01\xa2a", Malformed::Cut { at: 2 }),
            (b"\xdb\xff\xff\xff\xffa", Malformed::Cut { at: 0 }),
            (b"\xdf\xff\xff\xff\xff", Malformed::Cut { at: 0 }),
            (b"\xc9\xff\xff\xff\xff\x05", Malformed::Cut { at: 0 }),
            (b"\x91\xc1", Malformed::Reserved { at: 1 }),
            (b"\xc0\xc0", Malformed::Trailing { at: 1 }),
        ] {
            assert_eq!(check(data), Err(problem), "{data:x?}");
        }
    }

    #[test]
    fn nesting_ends_at_its_limit() {
        let nested = |levels| [vec![0x91; levels], vec![0xc0]].concat();
        assert_eq!(check(&nested(DEPTH_MAX)), Ok(()));
        let too_deep = Malformed::TooDeep { at: DEPTH_MAX };
        assert_eq!(check(&nested(DEPTH_MAX + 1)), Err(too_deep));
    }
}
