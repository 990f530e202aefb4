use std::{error::Error, fmt, sync::Arc};

type BoxError = Box<dyn Error + Send + Sync>;

/// The largest part of a wrong hash key that an error shows, in characters.
const FOUND_CHARS_MAX: usize = 40;

/// The reason why a record has no usable partition key or explicit hash key.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The key's field is absent or null.
    #[non_exhaustive]
    Missing {
        /// The field, if it has a name.
        field: Option<String>,
    },
    /// The key is an empty text.
    #[non_exhaustive]
    Empty {
        /// The field, if it has a name.
        field: Option<String>,
    },
    /// The key has more than 256 characters.
    #[non_exhaustive]
    TooLong {
        /// The field, if it has a name.
        field: Option<String>,
        /// The length of the key, in characters.
        chars: usize,
    },
    /// The key's field holds something that has no text form, such as a list.
    #[non_exhaustive]
    NotText {
        /// The field, if it has a name.
        field: Option<String>,
        /// The type that was found.
        found: &'static str,
    },
    /// The explicit hash key is not a decimal integer from 0 to 2^128 - 1.
    #[non_exhaustive]
    NotAHashKey {
        /// The field, if it has a name.
        field: Option<String>,
        /// The value that was found, cut after 40 characters.
        found: String,
    },
}

impl KeyError {
    /// Returns the error of a key that is absent or null, in a field that is not named yet.
    #[must_use]
    pub fn missing() -> Self {
        Self::Missing { field: None }
    }

    /// Returns the error of an empty text.
    #[must_use]
    pub fn empty() -> Self {
        Self::Empty { field: None }
    }

    /// Returns the error of a key of so many characters.
    #[must_use]
    pub fn too_long(chars: usize) -> Self {
        Self::TooLong { field: None, chars }
    }

    /// Returns the error of a value without a text form, such as "a list".
    #[must_use]
    pub fn not_text(found: &'static str) -> Self {
        Self::NotText { field: None, found }
    }

    /// Returns the error of an explicit hash key that is no decimal integer of 128 bits.
    #[must_use]
    pub fn not_a_hash_key(found: &str) -> Self {
        Self::NotAHashKey {
            field: None,
            found: found.chars().take(FOUND_CHARS_MAX).collect(),
        }
    }

    /// Returns the same error, about the field of this name.
    #[must_use]
    pub fn in_field(mut self, name: impl Into<String>) -> Self {
        let (Self::Missing { field }
        | Self::Empty { field }
        | Self::TooLong { field, .. }
        | Self::NotText { field, .. }
        | Self::NotAHashKey { field, .. }) = &mut self;
        *field = Some(name.into());
        self
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |field: &Option<String>| match field {
            Some(name) => format!(" in field `{name}`"),
            None => String::new(),
        };
        match self {
            Self::Missing { field } => write!(
                f,
                "the record has no partition key{}: set it before the put",
                place(field)
            ),
            Self::Empty { field } => write!(
                f,
                "the partition key{} is empty: a key has 1 to 256 characters",
                place(field)
            ),
            Self::TooLong { field, chars } => write!(
                f,
                "the partition key{} has {chars} characters: a key has 1 to 256",
                place(field)
            ),
            Self::NotText { field, found } => write!(
                f,
                "the partition key{} is {found}: use a text, a number or a bool",
                place(field)
            ),
            Self::NotAHashKey { field, found } => write!(
                f,
                "the explicit hash key{} is `{found}`: use a decimal integer from 0 to 2^128 - 1",
                place(field)
            ),
        }
    }
}

impl Error for KeyError {}

/// A value that its codec cannot write. Cheap to clone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EncodeError {
    /// The codec's name, such as `json`.
    pub codec: &'static str,
    source: Arc<dyn Error + Send + Sync>,
}

impl EncodeError {
    /// Makes an error of this codec.
    pub fn new(codec: &'static str, source: impl Into<BoxError>) -> Self {
        Self {
            codec,
            source: Arc::from(source.into()),
        }
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} codec cannot write this record", self.codec)
    }
}

// Written by hand: the derived source would be the `Arc`, and could not be downcast to the codec's error.
impl Error for EncodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// Bytes that are not what a codec writes for a type. Cheap to clone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DecodeError {
    /// The codec's name, such as `json`.
    pub codec: &'static str,
    /// The length of the data, in bytes.
    pub bytes: usize,
    source: Arc<dyn Error + Send + Sync>,
}

impl DecodeError {
    /// Makes an error of this codec about `bytes` bytes.
    pub fn new(codec: &'static str, bytes: usize, source: impl Into<BoxError>) -> Self {
        Self {
            codec,
            bytes,
            source: Arc::from(source.into()),
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { codec, bytes, .. } = self;
        write!(
            f,
            "these {bytes} bytes are not a record in the {codec} codec"
        )
    }
}

// Written by hand: the derived source would be the `Arc`, and could not be downcast to the codec's error.
impl Error for DecodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codecs_own_error_can_be_told_by_its_type() {
        let json = || serde_json::from_str::<u8>("x").unwrap_err();
        let encode = EncodeError::new("json", json());
        let decode = DecodeError::new("json", 1, json());
        for error in [&encode as &dyn Error, &decode] {
            assert!(error.source().unwrap().is::<serde_json::Error>());
        }
    }
}
