//! A hash of 128 bits, for sets of values that are too many to keep.

use std::hash::{Hash, Hasher};

/// FNV-1a of 128 bits: its numbers are those of the Internet draft draft-eastlake-fnv.
struct Fnv128(u128);

const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

impl Hasher for Fnv128 {
    fn finish(&self) -> u64 {
        u64::try_from(self.0 >> 64).unwrap_or_default()
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    }
}

/// Returns the value's hash. Two values of a billion have the same one with a chance of one in 10^20.
pub(super) fn hash128(value: &impl Hash) -> u128 {
    let mut hasher = Fnv128(OFFSET);
    value.hash(&mut hasher);
    hasher.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_draft() {
        let of = |text: &str| {
            let mut hasher = Fnv128(OFFSET);
            hasher.write(text.as_bytes());
            hasher.0
        };
        assert_eq!(of(""), OFFSET);
        assert_eq!(of("a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }

    #[test]
    fn values_differ_by_their_borders() {
        assert_ne!(hash128(&("ab", "c")), hash128(&("a", "bc")));
        assert_eq!(hash128(&Some(7)), hash128(&Some(7)));
    }
}
