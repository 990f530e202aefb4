//! The types that a record's key fields may have.

use std::{borrow::Cow, rc::Rc, sync::Arc};

use bytestring::ByteString;
use uuid::Uuid;

use super::{KeyError, PartitionKey};
use crate::shard::HashKey;

/// A value that can be a partition key: what `#[kinesis(partition_key)]` asks of a field's type.
///
/// Texts are taken as they are; integers, `bool`, `char` and `Uuid` in their `Display` form. `None` is an error:
/// a record without a key is not put. References, `Box`, `Rc`, `Arc` and `Cow` of these work too, and so does a
/// `Result<_, KeyError>`, for computed keys that can fail.
///
/// ```
/// use kinesis_pipeline::{KeyError, record::ToPartitionKey};
///
/// assert_eq!(7_u32.to_partition_key()?, "7");
/// assert!(None::<String>.to_partition_key().is_err());
/// # Ok::<(), KeyError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a partition key",
    label = "a partition key has a text form",
    note = "use a text, an integer, a `bool`, a `Uuid` or an `Option` of these, implement `kinesis_pipeline::record::ToPartitionKey`, or compute the key: `#[kinesis(partition_key = path::to::function)]` on the type"
)]
pub trait ToPartitionKey {
    /// Returns the key.
    ///
    /// # Errors
    /// The value is missing, or its text is empty or longer than 256 characters.
    fn to_partition_key(&self) -> Result<PartitionKey, KeyError>;
}

/// A value that can be an explicit hash key: what `#[kinesis(explicit_hash_key)]` asks of a field's type.
///
/// [`HashKey`], `u128`, their decimal text, or an `Option` of these: `None` leaves the choice to the partition
/// key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an explicit hash key",
    label = "a hash key is an integer of 128 bits",
    note = "use `HashKey`, `u128`, a decimal text or an `Option` of these, or implement `kinesis_pipeline::record::ToHashKey`"
)]
pub trait ToHashKey {
    /// Returns the hash key, if there is one.
    ///
    /// # Errors
    /// The value is no integer from 0 to 2^128 - 1.
    fn to_hash_key(&self) -> Result<Option<HashKey>, KeyError>;
}

macro_rules! key_by_display {
    ($($type:ty)*) => {$(
        impl ToPartitionKey for $type {
            fn to_partition_key(&self) -> Result<PartitionKey, KeyError> {
                PartitionKey::new(self.to_string())
            }
        }
    )*};
}

impl ToPartitionKey for str {
    fn to_partition_key(&self) -> Result<PartitionKey, KeyError> {
        PartitionKey::of(self)
    }
}

impl ToPartitionKey for String {
    fn to_partition_key(&self) -> Result<PartitionKey, KeyError> {
        PartitionKey::of(self)
    }
}

key_by_display! {
    char bool Uuid HashKey
    i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize
}

impl ToPartitionKey for PartitionKey {
    fn to_partition_key(&self) -> Result<PartitionKey, KeyError> {
        Ok(self.clone())
    }
}

impl ToPartitionKey for ByteString {
    fn to_partition_key(&self) -> Result<PartitionKey, KeyError> {
        PartitionKey::of(self)
    }
}

impl<T: ToPartitionKey> ToPartitionKey for Option<T> {
    fn to_partition_key(&self) -> Result<PartitionKey, KeyError> {
        self.as_ref()
            .ok_or(KeyError::Missing { field: None })?
            .to_partition_key()
    }
}

impl<T: ToPartitionKey> ToPartitionKey for Result<T, KeyError> {
    fn to_partition_key(&self) -> Result<PartitionKey, KeyError> {
        self.as_ref().map_err(Clone::clone)?.to_partition_key()
    }
}

impl ToHashKey for HashKey {
    fn to_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        Ok(Some(*self))
    }
}

impl ToHashKey for u128 {
    fn to_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        Ok(Some(HashKey::new(*self)))
    }
}

impl ToHashKey for str {
    fn to_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        self.parse()
            .map(Some)
            .map_err(
                |error: crate::shard::InvalidHashKey| KeyError::NotAHashKey {
                    field: None,
                    found: error.text,
                },
            )
    }
}

impl ToHashKey for String {
    fn to_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        self.as_str().to_hash_key()
    }
}

impl<T: ToHashKey> ToHashKey for Option<T> {
    fn to_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        self.as_ref().map_or(Ok(None), ToHashKey::to_hash_key)
    }
}

macro_rules! key_by_pointer {
    ($([$($bound:path)?] $type:ty,)*) => {$(
        impl<T: ?Sized + $($bound +)? ToPartitionKey> ToPartitionKey for $type {
            fn to_partition_key(&self) -> Result<PartitionKey, KeyError> {
                (**self).to_partition_key()
            }
        }

        impl<T: ?Sized + $($bound +)? ToHashKey> ToHashKey for $type {
            fn to_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
                (**self).to_hash_key()
            }
        }
    )*};
}

key_by_pointer! {
    [] &T,
    [] Box<T>,
    [] Rc<T>,
    [] Arc<T>,
    [ToOwned] Cow<'_, T>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: &(impl ToPartitionKey + ?Sized)) -> String {
        value.to_partition_key().unwrap().to_string()
    }

    #[test]
    fn a_key_is_the_plain_text_of_its_value() {
        assert_eq!(key("ab"), "ab");
        assert_eq!(key(&-7_i64), "-7");
        assert_eq!(key(&true), "true");
        assert_eq!(key(&'x'), "x");
        assert_eq!(key(&Uuid::nil()), "00000000-0000-0000-0000-000000000000");
        assert_eq!(key(&Some(Arc::<str>::from("ab"))), "ab");
        assert_eq!(key(&Box::new(Cow::Borrowed("ab"))), "ab");
        assert_eq!(key(&ByteString::from("ab")), "ab");
    }

    #[test]
    fn a_missing_empty_or_failed_key_is_an_error() {
        let missing = KeyError::Missing { field: None };
        assert_eq!(None::<u8>.to_partition_key(), Err(missing.clone()));
        assert_eq!("".to_partition_key(), Err(KeyError::Empty { field: None }));
        let failed = Err::<u8, _>(missing.clone());
        assert_eq!(failed.to_partition_key(), Err(missing));
    }

    #[test]
    fn a_hash_key_is_an_integer_a_decimal_text_or_absent() {
        let seven = Ok(Some(HashKey::new(7)));
        assert_eq!(HashKey::new(7).to_hash_key(), seven);
        assert_eq!(7_u128.to_hash_key(), seven);
        assert_eq!("7".to_hash_key(), seven);
        assert_eq!(Some(String::from("7")).to_hash_key(), seven);
        assert_eq!(None::<u128>.to_hash_key(), Ok(None));
        assert!(
            matches!("7x".to_hash_key(), Err(KeyError::NotAHashKey { found, .. }) if found == "7x")
        );
    }
}
