//! A hash table of the keys that are in an aggregate so far.

use super::protobuf::put_bytes;
use crate::prefetch::Touched;

/// The number of slots of a new table.
const SLOTS_MIN: usize = 64;
/// The largest size of a key that its first and last 8 bytes identify.
const ENDS_BYTES: usize = 16;

/// An open-addressing hash table from keys to their indices in the aggregate.
///
/// It compares short keys by words in the table, long ones with the written bytes. The map of the standard library
/// takes three times as long, and this lookup is most of the time of an aggregate.
#[derive(Clone, Debug)]
pub(super) struct KeyTable {
    /// Indices into `keys` plus one; 0 is an empty slot. The number of slots is a power of two, and at most half of them
    /// are taken.
    slots: Vec<u32>,
    keys: Vec<Key>,
    seed: Seed,
}

/// The fraction of the golden ratio: odd, and without a pattern.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;

/// A random seed, so that keys cannot be chosen to collide.
type Seed = [u64; 2];

#[derive(Clone, Copy, Debug)]
struct Key {
    ends: [u64; 2],
    len: usize,
    /// The offset of its text in the written bytes.
    at: usize,
    hash: u64,
}

impl KeyTable {
    /// Makes a table for this number of keys.
    pub(super) fn expecting(keys: usize) -> Self {
        let slots = (2 * keys).next_power_of_two().max(SLOTS_MIN);
        Self {
            slots: vec![0; slots],
            keys: Vec::with_capacity(slots / 2 + 1),
            seed: [fastrand::u64(..), fastrand::u64(..)],
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Returns the index of a key. A new key is first written as a field of this number. All calls must have the same
    /// `out`.
    #[inline]
    pub(super) fn index_of(&mut self, key: &[u8], field: u8, out: &mut Vec<u8>) -> u64 {
        let ends = ends(key);
        let hash = hash(self.seed, key, ends);
        let mut slot = self.slot_of(hash);
        loop {
            let Some(index) = self.slots[slot].checked_sub(1) else {
                put_bytes(out, field, key);
                let at = out.len() - key.len();
                let len = key.len();
                let key = Key {
                    ends,
                    len,
                    at,
                    hash,
                };
                return self.insert(slot, key) as u64;
            };
            let index = index as usize;
            if self.keys[index].is(key, ends, out) {
                return index as u64;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    /// Prefetches the slot at which [`index_of`](Self::index_of) begins for this key.
    #[inline]
    pub(super) fn prefetch(&self, key: &[u8]) -> Touched {
        let slot = self.slot_of(hash(self.seed, key, ends(key)));
        let index = self.slots[slot].wrapping_sub(1) as usize;
        Touched::read(self.keys.get(index).map_or(0, |key| key.len))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low bits are as good as any"
    )]
    fn slot_of(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn insert(&mut self, slot: usize, key: Key) -> usize {
        self.keys.push(key);
        self.slots[slot] = number(self.keys.len());
        if self.keys.len() * 2 > self.slots.len() {
            self.grow();
        }
        self.keys.len() - 1
    }

    #[cold]
    fn grow(&mut self) {
        let slots = self.slots.len() * 4;
        self.slots = vec![0; slots];
        self.keys.reserve_exact(slots / 2 + 1 - self.keys.len());
        for index in 0..self.keys.len() {
            let mut slot = self.slot_of(self.keys[index].hash);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (self.slots.len() - 1);
            }
            self.slots[slot] = number(index + 1);
        }
    }
}

impl Key {
    #[inline]
    fn is(&self, key: &[u8], ends: [u64; 2], written: &[u8]) -> bool {
        let alike = self.len == key.len() && self.ends == ends;
        alike && (key.len() <= ENDS_BYTES || written[self.at..].starts_with(key))
    }
}

/// Returns a slot's content. Beyond 2^32 keys, more than a Kinesis record can hold, keys would be written twice.
fn number(keys: usize) -> u32 {
    u32::try_from(keys).unwrap_or(0)
}

/// Returns the first and the last 8 bytes of a key; they overlap in a key of less than 16 bytes.
#[inline]
fn ends(key: &[u8]) -> [u64; 2] {
    if let (Some(first), Some(last)) = (key.first_chunk(), key.last_chunk()) {
        return [first, last].map(|word| u64::from_le_bytes(*word));
    }
    if let (Some(first), Some(last)) = (key.first_chunk(), key.last_chunk()) {
        return [first, last].map(|word| u64::from(u32::from_le_bytes(*word)));
    }
    match key {
        [] => [0, 0],
        [only] => [u64::from(*only), 0],
        [first, middle @ .., last] => {
            let middle = middle.first().copied().unwrap_or_default();
            [
                u64::from(*first),
                u64::from_le_bytes([*last, middle, 0, 0, 0, 0, 0, 0]),
            ]
        }
    }
}

/// Hashes a short key in a few cycles.
#[inline]
fn hash(seed: Seed, key: &[u8], ends: [u64; 2]) -> u64 {
    let mut hash = seed[0] ^ key.len() as u64;
    if key.len() > ENDS_BYTES {
        let (words, _) = key[8..].as_chunks::<8>();
        for word in words {
            hash = mix(hash ^ u64::from_le_bytes(*word), seed[1]);
        }
    }
    // One round is enough for most seeds, but with a few of them keys that count up would fall into few slots.
    mix(mix(hash ^ ends[0], seed[1] ^ ends[1]), FACTOR)
}

/// Folds both halves of the product.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "both halves are folded")]
fn mix(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SEED: Seed = [7, 0xd6e8_feb8_6659_fd93];

    #[test]
    fn keys_that_differ_little_are_spread() {
        let long = |number| format!("a-key-of-more-bytes-than-its-ends-{number}-have");
        let texts: [&dyn Fn(u32) -> String; 3] = [
            &|number| format!("device-{number}"),
            &|number| format!("{number}"),
            &long,
        ];
        for text in texts {
            let low: HashSet<_> = (0..100_000)
                .map(|number| {
                    let key = text(number);
                    let key = key.as_bytes();
                    hash(SEED, key, ends(key)) & 0xffff
                })
                .collect();
            // A random function would reach about 51,000 of the 65,536 values.
            assert!(low.len() > 45_000, "{}", low.len());
        }
    }

    #[test]
    fn keys_of_up_to_16_bytes_are_known_by_their_ends_and_length() {
        let mut seen = HashSet::new();
        for len in 0..=ENDS_BYTES {
            assert!(seen.insert((len, ends(&vec![0; len]))));
            for at in 0..len {
                for byte in 1..=u8::MAX {
                    let mut key = vec![0; len];
                    key[at] = byte;
                    assert!(seen.insert((len, ends(&key))), "{key:?}");
                }
            }
        }
    }

    #[test]
    fn long_keys_that_differ_in_one_byte_are_two() {
        let (mut table, mut out) = (KeyTable::expecting(0), Vec::new());
        for len in ENDS_BYTES..40 {
            let first = table.len();
            for _ in 0..2 {
                for at in 0..len {
                    let mut key = vec![b'x'; len];
                    key[at] = b'y';
                    let index = table.index_of(&key, 1, &mut out);
                    assert_eq!(index, (first + at) as u64);
                }
            }
        }
    }

    #[test]
    fn a_key_has_one_index_however_many_there_are() {
        let (mut table, mut out) = (KeyTable::expecting(0), Vec::new());
        for _ in 0..2 {
            for number in 0..5_000_u64 {
                let key = format!("key-{number}");
                assert_eq!(table.index_of(key.as_bytes(), 1, &mut out), number);
            }
        }
        assert_eq!(table.index_of(b"", 1, &mut out), 5_000);
        assert_eq!(table.index_of(b"", 1, &mut out), 5_000);
    }
}
