//! The partition keys that an aggregate has so far.

use super::protobuf::put_bytes;

/// How many slots the table begins with.
const SLOTS_MIN: usize = 64;

/// Finds the index of a key among those that were written. It copies no key: it knows where each was written.
///
/// The general map of the standard library takes three times as long, which at this place is most of the
/// time of an aggregate.
#[derive(Clone, Debug)]
pub(super) struct KeyTable {
    /// Indices into `keys` plus one, 0 where there is none. A power of two, at most half of them taken.
    slots: Vec<u32>,
    keys: Vec<Key>,
    /// The index that was found last.
    last: usize,
    /// Random, so that nobody can choose keys that collide.
    seed: u64,
}

#[derive(Clone, Copy, Debug)]
struct Key {
    start: usize,
    /// Past 2^32, which no Kinesis record can hold, a key is written each time.
    bytes: u32,
    /// The upper half.
    hash: u32,
}

impl Key {
    #[inline]
    fn is(&self, key: &[u8], out: &[u8]) -> bool {
        let end = self.start + self.bytes as usize;
        self.bytes as usize == key.len() && out.get(self.start..end) == Some(key)
    }
}

impl KeyTable {
    pub(super) fn new() -> Self {
        Self {
            slots: vec![0; SLOTS_MIN],
            keys: Vec::new(),
            last: 0,
            seed: fastrand::u64(..),
        }
    }

    /// The index of the key; it is written as a field of this number if it is new.
    #[inline]
    pub(super) fn index_of(&mut self, key: &[u8], field: u8, out: &mut Vec<u8>) -> u64 {
        // Often the key is that of the record before.
        if let Some(last) = self.keys.get(self.last)
            && last.is(key, out)
        {
            return self.last as u64;
        }
        self.last = self.find(key, field, out);
        self.last as u64
    }

    fn find(&mut self, key: &[u8], field: u8, out: &mut Vec<u8>) -> usize {
        let hash = hash(self.seed, key);
        let mut slot = self.slot_of(hash);
        loop {
            let Some(index) = self.slots[slot].checked_sub(1) else {
                return self.insert(slot, hash, key, field, out);
            };
            let index = index as usize;
            let known = self.keys[index];
            if known.hash == upper(hash) && known.is(key, out) {
                return index;
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low bits are as good as any"
    )]
    fn slot_of(&self, hash: u64) -> usize {
        hash as usize & (self.slots.len() - 1)
    }

    fn insert(
        &mut self,
        slot: usize,
        hash: u64,
        key: &[u8],
        field: u8,
        out: &mut Vec<u8>,
    ) -> usize {
        put_bytes(out, field, key);
        self.keys.push(Key {
            start: out.len() - key.len(),
            bytes: u32::try_from(key.len()).unwrap_or(u32::MAX),
            hash: upper(hash),
        });
        self.slots[slot] = number(self.keys.len());
        if self.keys.len() * 2 > self.slots.len() {
            self.grow(out);
        }
        self.keys.len() - 1
    }

    fn grow(&mut self, out: &[u8]) {
        self.slots = vec![0; self.slots.len() * 2];
        for index in 0..self.keys.len() {
            let key = self.keys[index];
            let text = out.get(key.start..key.start + key.bytes as usize);
            let mut slot = self.slot_of(hash(self.seed, text.unwrap_or_default()));
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

/// What tells most keys apart that share a slot, which the lower bits decide.
fn upper(hash: u64) -> u32 {
    (hash >> 32) as u32
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
        let (mut table, mut out) = (KeyTable::new(), Vec::new());
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
