use bytes::BytesMut;
use serde::{Serialize, de::DeserializeOwned};

use super::{DecodeError, EncodeError};

/// A codec that goes through serde, and so can write an envelope around any record.
pub trait Format {
    /// The codec's name in errors.
    const NAME: &'static str;

    /// Appends the bytes of `value` to `out`.
    ///
    /// # Errors
    /// The value's `Serialize` refuses, or the format has no form for it.
    fn write<T: Serialize + ?Sized>(value: &T, out: &mut BytesMut) -> Result<(), EncodeError>;

    /// Reads a value back from the whole of `data`.
    ///
    /// # Errors
    /// The bytes are not a `T` in this format.
    fn read<T: DeserializeOwned>(data: &[u8]) -> Result<T, DecodeError>;
}
