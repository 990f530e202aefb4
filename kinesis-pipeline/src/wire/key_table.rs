//! The partition keys that an aggregate has so far.

use super::protobuf::put_bytes;

/// How many slots the table begins with.
const SLOTS_MIN: usize = 64;

/// Finds the index of a key among those that were written.
///
/// It has a copy of their texts, since they stand far apart in the aggregate. The general map of the standard library
/// takes three times as long, which at this place is most of the time of an aggregate.
#[derive(Clone, Debug)]
pub(super) struct KeyTable {
    /// Indices into `keys` plus one, 0 where there is none. A power of two, at most half of them taken.
    slots: Vec<u32>,
    keys: Vec<Key>,
    texts: Vec<u8>,
    /// Random, so that nobody can choose keys that collide.
    seed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    hash: u64,
    /// Where its text ends, and that of the next begins.
    end: usize,
}

impl KeyTable {
    /// A table that expects this many keys.
    pub(super) fn expecting(keys: usize) -> Self {
        Self {
            slots: vec![0; (2 * keys).next_power_of_two().max(SLOTS_MIN)],
            keys: Vec::with_capacity(keys),
            texts: Vec::new(),
            seed: fastrand::u64(..),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The index of the key; it is written as a field of this number if it is new.
    #[inline]
    pub(super) fn index_of(&mut self, key: &[u8], field: u8, out: &mut Vec<u8>) -> u64 {
        let hash = hash(self.seed, key);
        let mut slot = self.slot_of(hash);
        loop {
            let Some(index) = self.slots[slot].checked_sub(1) else {
                put_bytes(out, field, key);
                return self.insert(slot, hash, key) as u64;
            };
            let index = index as usize;
            if self.keys[index].hash == hash && self.text(index) == key {
                return index as u64;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    fn text(&self, index: usize) -> &[u8] {
        let start = index
            .checked_sub(1)
            .map_or(0, |before| self.keys[before].end);
        &self.texts[start..self.keys[index].end]
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low bits are as good as any"
    )]
    fn slot_of(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn insert(&mut self, slot: usize, hash: u64, key: &[u8]) -> usize {
        self.texts.extend_from_slice(key);
        let end = self.texts.len();
        self.keys.push(Key { hash, end });
        self.slots[slot] = number(self.keys.len());
        if self.keys.len() * 2 > self.slots.len() {
            self.grow();
        }
        self.keys.len() - 1
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 2];
        for index in 0..self.keys.len() {
            let mut slot = self.slot_of(self.keys[index].hash);
            while self.slots[slot] != 0 {
                slot = (slot + 1) & (self.slots.len() - 1);
            }
            self.slots[slot] = number(index + 1);
        }
    }
}

/// A slot's content. Past 2^32 keys, which no Kinesis record can hold, keys would be written twice.
fn number(keys: usize) -> u32 {
    u32::try_from(keys).unwrap_or(0)
}

/// Hashes a short key in a few cycles.
#[inline]
fn hash(seed: u64, key: &[u8]) -> u64 {
    let (words, rest) = key.as_chunks::<8>();
    let mut hash = seed ^ key.len() as u64;
    for word in words {
        hash = mix(hash, u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(hash, u64::from_le_bytes(last))
}

#[inline]
fn mix(hash: u64, word: u64) -> u64 {
    // The fraction of the golden ratio: odd, and without a pattern.
    const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;
    let product = u128::from(hash ^ word) * FACTOR;
    #[expect(clippy::cast_possible_truncation, reason = "both halves are folded")]
    let folded = (product >> 64) as u64 ^ product as u64;
    folded.rotate_left(23).wrapping_add(word)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_that_differ_little_are_spread() {
        let keys = (0..100_000).map(|number| format!("device-{number}"));
        let low: HashSet<_> = keys.map(|key| hash(7, key.as_bytes()) & 0xffff).collect();
        // A random function would reach about 51,000 of the 65,536 values.
        assert!(low.len() > 45_000, "{}", low.len());
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
