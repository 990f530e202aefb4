//! Bytes and text as they are.

use std::error::Error;

use bytes::{Bytes, BytesMut};
use bytestring::ByteString;

use super::{
    Codec, DecodeError, EncodeContext, EncodeError, EncodedRecord, KeyError, KinesisRecord,
    PartitionKey,
};
use crate::shard::HashKey;

/// The codec `bytes`: the record's bytes are the value's own, with nothing around them.
///
/// A derived record of this codec is a struct with one field, whose type is [`RawBytes`].
///
/// ```
/// use kinesis_pipeline::KinesisRecord;
///
/// #[derive(KinesisRecord)]
/// #[kinesis(codec = "bytes")]
/// struct LogLine(String);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Raw;

/// A type that is bytes: what the codec `bytes` reads and writes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not plain bytes",
    label = "the codec `bytes` cannot write this type",
    note = "use `Bytes`, `Vec<u8>` or `String`, implement `kinesis_pipeline::record::RawBytes`, or choose another codec"
)]
pub trait RawBytes: Sized {
    /// Returns the bytes of this value.
    fn as_raw(&self) -> &[u8];

    /// Returns the same bytes, if they are in shared memory.
    fn shared(&self) -> Option<Bytes> {
        None
    }

    /// Returns the value with these bytes.
    ///
    /// # Errors
    /// No value has these bytes.
    fn from_raw(data: &Bytes) -> Result<Self, Box<dyn Error + Send + Sync>>;
}

impl RawBytes for Bytes {
    fn as_raw(&self) -> &[u8] {
        self
    }

    fn shared(&self) -> Option<Bytes> {
        Some(self.clone())
    }

    fn from_raw(data: &Bytes) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(data.clone())
    }
}

impl RawBytes for Vec<u8> {
    fn as_raw(&self) -> &[u8] {
        self
    }

    fn from_raw(data: &Bytes) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(data.to_vec())
    }
}

impl RawBytes for String {
    fn as_raw(&self) -> &[u8] {
        self.as_bytes()
    }

    fn from_raw(data: &Bytes) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(std::str::from_utf8(data)?.to_owned())
    }
}

impl RawBytes for ByteString {
    fn as_raw(&self) -> &[u8] {
        self.as_bytes()
    }

    fn from_raw(data: &Bytes) -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self::try_from(data.clone())?)
    }
}

impl<T: RawBytes> Codec<T> for Raw {
    fn encode(value: &T, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.extend_from_slice(value.as_raw());
        Ok(())
    }

    fn decode(data: &Bytes) -> Result<T, DecodeError> {
        T::from_raw(data).map_err(|source| DecodeError::new("bytes", data.len(), source))
    }
}

macro_rules! raw_record {
    ($(#[doc = $doc:literal] $type:ty,)*) => {$(
        #[doc = $doc]
        impl KinesisRecord for $type {
            fn partition_key(&self) -> Result<PartitionKey, KeyError> {
                Ok(PartitionKey::random())
            }

            fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
                Raw::encode(self, out)
            }

            fn shared_data(&self) -> Option<Bytes> {
                RawBytes::shared(self)
            }

            fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
                Raw::decode(&stored.data)
            }
        }
    )*};
}

/// Plain bytes, under a random partition key. Reading shares them, without a copy: with the other records of an aggregate,
/// or small ones with their neighbours in the page, up to 64 KiB.
impl KinesisRecord for Bytes {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        Ok(PartitionKey::random())
    }

    fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        Raw::encode(self, out)
    }

    fn shared_data(&self) -> Option<Bytes> {
        RawBytes::shared(self)
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        Raw::decode(&stored.data)
    }

    fn decode_owned(stored: EncodedRecord) -> Result<Self, DecodeError> {
        Ok(stored.data)
    }

    fn decode_taking(stored: &mut EncodedRecord) -> Result<Self, DecodeError> {
        Ok(std::mem::take(&mut stored.data))
    }
}

raw_record! {
    #[doc = "Bytes as they are, under a random partition key. Reading copies them: prefer `Bytes`."]
    Vec<u8>,
    #[doc = "Text as it is, under a random partition key. Bytes that are not UTF-8 are a [`DecodeError`]."]
    String,
}

/// Bytes and keys, neither encoded nor decoded.
impl KinesisRecord for EncodedRecord {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        Ok(self.partition_key.clone())
    }

    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        Ok(self.explicit_hash_key)
    }

    fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.extend_from_slice(&self.data);
        Ok(())
    }

    fn shared_data(&self) -> Option<Bytes> {
        Some(self.data.clone())
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        Ok(stored.clone())
    }

    fn decode_owned(stored: EncodedRecord) -> Result<Self, DecodeError> {
        Ok(stored)
    }

    fn decode_taking(stored: &mut EncodedRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            data: std::mem::take(&mut stored.data),
            partition_key: stored.partition_key.clone(),
            explicit_hash_key: stored.explicit_hash_key,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip<T: RawBytes>(value: &T) -> T {
        let mut out = BytesMut::new();
        Raw::encode(value, &mut out).unwrap();
        Raw::decode(&out.freeze()).unwrap()
    }

    #[test]
    fn bytes_that_nobody_else_needs_are_not_shared() {
        let stored = EncodedRecord::new(PartitionKey::stored("k"), Bytes::from(vec![b'a'; 9]));
        assert!(!Bytes::decode(&stored).unwrap().is_unique());
        assert_eq!(EncodedRecord::decode_owned(stored.clone()).unwrap(), stored);
        let mut taken = stored.clone();
        assert_eq!(EncodedRecord::decode_taking(&mut taken).unwrap(), stored);
        assert!(taken.data.is_empty());
        assert_eq!(
            Bytes::decode_taking(&mut stored.clone()).unwrap(),
            stored.data
        );
        assert!(Bytes::decode_owned(stored).unwrap().is_unique());
    }

    #[test]
    fn text_that_is_not_utf_8_is_an_error() {
        let error = <Raw as Codec<String>>::decode(&Bytes::from_static(b"a\xff")).unwrap_err();
        assert_eq!((error.codec, error.bytes), ("bytes", 2));
    }

    proptest! {
        #[test]
        fn bytes_read_back_what_they_wrote(data: Vec<u8>, text: String) {
            prop_assert_eq!(&round_trip(&data), &data);
            prop_assert_eq!(round_trip(&Bytes::from(data.clone())), data);
            prop_assert_eq!(&round_trip(&text), &text);
            prop_assert_eq!(&*round_trip(&ByteString::from(&*text)), &*text);
        }
    }
}
