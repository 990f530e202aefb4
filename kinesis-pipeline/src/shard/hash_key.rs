use std::{fmt, str::FromStr};

use crate::digest;

/// A point of a stream's key space, 0 to 2^128 - 1. It decides which shard takes a record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashKey {
    // Two halves: the alignment of a `u128` would make each type that holds a key 16 bytes larger.
    high: u64,
    low: u64,
}

impl HashKey {
    /// The least hash key, 0.
    pub const MIN: Self = Self::new(0);
    /// The greatest hash key, 2^128 - 1.
    pub const MAX: Self = Self::new(u128::MAX);
    /// The largest number of decimal digits.
    pub(crate) const DIGITS_MAX: usize = 39;

    /// Returns the hash key with this value.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "each half is what is left")]
    pub const fn new(value: u128) -> Self {
        Self {
            high: (value >> 64) as u64,
            low: value as u64,
        }
    }

    /// Returns the hash key that the service computes for a partition key: the MD5 of its UTF-8 bytes, read as a
    /// big-endian integer.
    ///
    /// ```
    /// use kinesis_pipeline::HashKey;
    ///
    /// let key = HashKey::of_partition_key("k1");
    /// assert_eq!(key.to_string(), "242208671286853988395785178707875403226");
    /// ```
    #[must_use]
    pub fn of_partition_key(partition_key: &str) -> Self {
        Self::of_digest(digest::of(partition_key.as_bytes()))
    }

    /// Returns the hash key of the partition key that has this MD5.
    pub(crate) const fn of_digest(md5: [u8; 16]) -> Self {
        Self::new(u128::from_be_bytes(md5))
    }

    /// Returns the value as an integer.
    #[must_use]
    pub const fn value(self) -> u128 {
        (self.high as u128) << 64 | self.low as u128
    }
}

impl From<u128> for HashKey {
    fn from(value: u128) -> Self {
        Self::new(value)
    }
}

/// A text that is not a hash key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a hash key: write a decimal integer from 0 to 2^128 - 1, without sign or leading zeros"
)]
#[non_exhaustive]
pub struct InvalidHashKey {
    /// The text that was given, cut after 40 characters.
    pub text: String,
}

impl FromStr for HashKey {
    type Err = InvalidHashKey;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = text == "0" || !(text.starts_with('0') || text.starts_with('+'));
        plain
            .then(|| text.parse().ok())
            .flatten()
            .map(Self::new)
            .ok_or_else(|| InvalidHashKey {
                text: text.chars().take(40).collect(),
            })
    }
}

impl fmt::Display for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value().fmt(f)
    }
}

/// The hash keys from `start` to `end`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct HashKeyRange {
    /// The first hash key of the range.
    pub start: HashKey,
    /// The last hash key of the range.
    pub end: HashKey,
}

impl HashKeyRange {
    /// The whole key space.
    pub const ALL: Self = Self {
        start: HashKey::MIN,
        end: HashKey::MAX,
    };

    /// Makes the range from `start` to `end`, both included.
    #[must_use]
    pub const fn new(start: HashKey, end: HashKey) -> Self {
        Self { start, end }
    }

    /// Whether the range holds the hash key.
    #[must_use]
    pub fn contains(&self, key: HashKey) -> bool {
        (self.start..=self.end).contains(&key)
    }

    /// Returns the first hash key of the upper half: where to split a shard evenly.
    ///
    /// ```
    /// use kinesis_pipeline::{HashKey, HashKeyRange};
    ///
    /// assert_eq!(HashKeyRange::ALL.middle(), HashKey::new(1 << 127));
    /// ```
    #[must_use]
    pub fn middle(&self) -> HashKey {
        let upper_half = (self.end.value().saturating_sub(self.start.value())).div_ceil(2);
        HashKey::new(self.start.value() + upper_half)
    }

    /// Whether `other` begins right after this range ends, or ends right before it begins.
    #[must_use]
    pub fn is_adjacent_to(&self, other: &Self) -> bool {
        self.end.value().checked_add(1) == Some(other.start.value())
            || other.end.value().checked_add(1) == Some(self.start.value())
    }
}

impl fmt::Display for HashKeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.start, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_key_is_a_plain_decimal_of_128_bits() {
        assert_eq!(u128::MAX.to_string().parse(), Ok(HashKey::MAX));
        assert_eq!("0".parse(), Ok(HashKey::MIN));
        for text in [
            "",
            "-1",
            "+1",
            "01",
            "1e3",
            "340282366920938463463374607431768211456",
        ] {
            assert!(text.parse::<HashKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_touch_at_either_end() {
        let low = HashKeyRange::new(HashKey::new(0), HashKey::new(9));
        let high = HashKeyRange::new(HashKey::new(10), HashKey::MAX);
        assert!(low.is_adjacent_to(&high) && high.is_adjacent_to(&low));
        assert!(!low.is_adjacent_to(&low));
        assert!(low.contains(HashKey::new(9)) && !low.contains(HashKey::new(10)));
    }
}
