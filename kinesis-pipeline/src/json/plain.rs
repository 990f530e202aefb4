//! The plain part of a JSON text: its bytes before the next escape or quotation mark.

use memchr::memchr2;

const WORD_BYTES: usize = 8;

/// The limit of a text that is searched word by word. For short keys and ids the setup of a vector search takes longer.
const SHORT_BYTES: usize = 8 * WORD_BYTES;

/// The bytes before the first special one: an escape, a quotation mark or a control character.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plain {
    pub(super) bytes: usize,
    /// Whether these bytes, and some after them, are all ASCII.
    pub(super) is_ascii: bool,
}

/// Returns the plain part of a text; `None` if there is no special byte.
#[inline]
pub(super) fn plain(text: &[u8]) -> Option<Plain> {
    let (mut passed_bytes, mut seen_bits) = (0, 0);
    for word in text.as_chunks().0.iter().take(SHORT_BYTES / WORD_BYTES) {
        let word = u64::from_le_bytes(*word);
        seen_bits |= word;
        let special = special_in(word);
        if special != 0 {
            return Some(Plain {
                bytes: passed_bytes + special.trailing_zeros() as usize / 8,
                is_ascii: seen_bits & HIGH_BITS == 0,
            });
        }
        passed_bytes += WORD_BYTES;
    }
    let long = plain_long(&text[passed_bytes..])?;
    Some(Plain {
        bytes: passed_bytes + long.bytes,
        is_ascii: seen_bits & HIGH_BITS == 0 && long.is_ascii,
    })
}

fn plain_long(text: &[u8]) -> Option<Plain> {
    let end = memchr2(b'"', b'\\', text);
    let seen = Seen::of(&text[..end.unwrap_or(text.len())]);
    let control = || text.iter().position(|&byte| byte < b' ');
    Some(Plain {
        bytes: if seen.least < b' ' { control() } else { end }?,
        is_ascii: seen.bits.is_ascii(),
    })
}

/// The minimum and the combined bits of a run of bytes. They are collected without an early exit, so that the loop is
/// vectorized.
struct Seen {
    least: u8,
    bits: u8,
}

impl Seen {
    fn of(bytes: &[u8]) -> Self {
        let mut lanes = Lanes::default();
        // The last chunk overlaps with the one before. Handling the rest byte by byte would take as long as all chunks.
        match bytes.last_chunk() {
            Some(last) => {
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .for_each(|chunk| lanes.see(chunk));
                lanes.see(last);
            }
            None => bytes.iter().for_each(|&byte| lanes.see(&[byte; LANES])),
        }
        Self {
            least: lanes.least.into_iter().fold(u8::MAX, u8::min),
            bits: lanes.bits.into_iter().fold(0, |bits, lane| bits | lane),
        }
    }
}

const LANES: usize = 32;

/// The lanes of a loop that the compiler vectorizes.
struct Lanes {
    least: [u8; LANES],
    bits: [u8; LANES],
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            least: [u8::MAX; LANES],
            bits: [0; LANES],
        }
    }
}

impl Lanes {
    #[inline]
    fn see(&mut self, bytes: &[u8; LANES]) {
        for (lane, &byte) in bytes.iter().enumerate() {
            self.least[lane] = self.least[lane].min(byte);
            self.bits[lane] |= byte;
        }
    }
}

const LOW_BITS: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = LOW_BITS << 7;

/// Returns a mask with the high bit of the first special byte. The bits of later bytes are not reliable.
#[inline]
fn special_in(word: u64) -> u64 {
    let below = |word: u64, bound: u8| word.wrapping_sub(LOW_BITS * u64::from(bound)) & !word;
    let equal = |byte: u8| below(word ^ (LOW_BITS * u64::from(byte)), 1);
    (below(word, b' ') | equal(b'"') | equal(b'\\')) & HIGH_BITS
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn is_special(byte: u8) -> bool {
        byte < b' ' || byte == b'"' || byte == b'\\'
    }

    proptest! {
        #[test]
        fn the_first_special_byte_is_found(
            before in vec(prop_oneof![b' '..=b'~', any::<u8>()].prop_filter("plain", |&byte| !is_special(byte)), 0..130),
            special in prop_oneof![0..b' ', Just(b'"'), Just(b'\\')],
            after in vec(any::<u8>(), 0..70),
        ) {
            let text = [&before[..], &[special], &after].concat();
            let plain_text = plain(&text).unwrap();
            prop_assert_eq!(plain_text.bytes, before.len());
            prop_assert!(!plain_text.is_ascii || before.is_ascii());
            prop_assert!(plain(&before).is_none());
            let ascii: Vec<u8> = text.iter().map(|byte| byte & 0x7f).collect();
            prop_assert!(plain(&ascii).unwrap().is_ascii);
        }
    }
}
