use std::{fmt, ops::Deref};

use smol_str::SmolStr;

use super::KeyError;

/// The longest partition key that the service takes, in Unicode characters.
pub const PARTITION_KEY_CHARS_MAX: usize = 256;

/// A partition key: 1 to 256 Unicode characters. Cheap to clone: up to 23 bytes are copied, a longer one is shared.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey(SmolStr);

impl PartitionKey {
    /// Returns the partition key with this text.
    ///
    /// # Errors
    /// [`KeyError::Empty`] and [`KeyError::TooLong`].
    ///
    /// ```
    /// use kinesis_pipeline::PartitionKey;
    ///
    /// assert_eq!(PartitionKey::new("device-7")?.as_str(), "device-7");
    /// assert!(PartitionKey::new("").is_err());
    /// # Ok::<(), kinesis_pipeline::KeyError>(())
    /// ```
    pub fn new(text: impl Into<String>) -> Result<Self, KeyError> {
        Self::of(&text.into())
    }

    /// Returns the partition key with this text, which is copied.
    pub(crate) fn of(text: &str) -> Result<Self, KeyError> {
        // A character has 1 to 4 bytes: most keys need no counting.
        let chars = match text.len() {
            0 => return Err(KeyError::Empty { field: None }),
            bytes if bytes <= PARTITION_KEY_CHARS_MAX => bytes,
            _ => text.chars().count(),
        };
        if chars > PARTITION_KEY_CHARS_MAX {
            return Err(KeyError::TooLong { field: None, chars });
        }
        Ok(Self::stored(text))
    }

    /// Makes a key of 32 random hexadecimal digits, which spreads records evenly over the shards.
    #[must_use]
    pub fn random() -> Self {
        Self::stored(format!("{:032x}", fastrand::u128(..)))
    }

    /// Makes a key that the service stored: it is taken as it is.
    pub(crate) fn stored(text: impl AsRef<str>) -> Self {
        Self(SmolStr::new(text))
    }

    /// Makes a key that is part of the program.
    pub(crate) const fn known(text: &'static str) -> Self {
        Self(SmolStr::new_static(text))
    }

    /// Returns the key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for PartitionKey {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for PartitionKey {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for PartitionKey {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for PartitionKey {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for PartitionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_1_to_256_characters_not_bytes() {
        assert!(PartitionKey::new("日".repeat(256)).is_ok());
        let too_long = PartitionKey::new("日".repeat(257));
        assert_eq!(
            too_long,
            Err(KeyError::TooLong {
                field: None,
                chars: 257
            })
        );
        assert_eq!(PartitionKey::new(""), Err(KeyError::Empty { field: None }));
    }

    #[test]
    fn random_keys_differ() {
        assert_ne!(PartitionKey::random(), PartitionKey::random());
    }
}
