//! A hash for partition keys.

use std::hash::{BuildHasher, Hasher};

/// Hashes short keys in a few cycles. The seed is random, so that nobody can choose keys that collide.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyHash {
    seed: u64,
}

impl KeyHash {
    pub(super) fn random() -> Self {
        Self {
            seed: fastrand::u64(..),
        }
    }
}

impl BuildHasher for KeyHash {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher(self.seed)
    }
}

/// The hash of one key while it is read.
pub(super) struct KeyHasher(u64);

impl KeyHasher {
    #[inline]
    fn mix(&mut self, word: u64) {
        // An odd number without a pattern: the fraction of the golden ratio.
        const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15;
        let product = u128::from(self.0 ^ word).wrapping_mul(FACTOR);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are folded")]
        let folded = (product >> 64) as u64 ^ product as u64;
        self.0 = folded.rotate_left(23).wrapping_add(word);
    }
}

impl Hasher for KeyHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last) ^ bytes.len() as u64);
    }

    #[inline]
    fn write_u8(&mut self, _: u8) {
        // What ends a text in a hash: its length is hashed already.
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn keys_that_differ_little_are_spread() {
        let hash = KeyHash { seed: 7 };
        let keys = (0..100_000).map(|number| format!("device-{number}"));
        let low: HashSet<_> = keys.map(|key| hash.hash_one(key) & 0xffff).collect();
        // A random function would reach about 51,000 of the 65,536 values.
        assert!(low.len() > 45_000, "{}", low.len());
        let top = (0..1_000).map(|number| hash.hash_one(format!("{number}")) >> 57);
        assert!(top.collect::<HashSet<_>>().len() > 120);
    }
}
