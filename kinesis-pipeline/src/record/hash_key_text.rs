//! Hash keys in records: a decimal text, because most JSON readers have integers of 53 bits only.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

use crate::shard::HashKey;

/// As its decimal text.
impl Serialize for HashKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From its decimal text, or from an integer.
impl<'de> Deserialize<'de> for HashKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HashKeyVisitor)
    }
}

struct HashKeyVisitor;

impl Visitor<'_> for HashKeyVisitor {
    type Value = HashKey;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal integer from 0 to 2^128 - 1")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<HashKey, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<HashKey, E> {
        Ok(HashKey::new(value.into()))
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<HashKey, E> {
        Ok(HashKey::new(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_key_is_written_as_text_and_read_from_text_or_integer() {
        let text = serde_json::to_string(&HashKey::MAX).unwrap();
        assert_eq!(text, format!("\"{}\"", u128::MAX));
        assert_eq!(
            serde_json::from_str::<HashKey>(&text).unwrap(),
            HashKey::MAX
        );
        assert_eq!(
            serde_json::from_str::<HashKey>("7").unwrap(),
            HashKey::new(7)
        );
        assert!(serde_json::from_str::<HashKey>("-7").is_err());
    }
}
