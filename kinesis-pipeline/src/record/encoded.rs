use bytes::Bytes;

use super::{
    DecodeError, EncodeContext, EncodeError, KeyError, KinesisRecord, PartitionKey, scratch,
};
use crate::shard::HashKey;

/// A record as the service sees it: bytes and keys. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EncodedRecord {
    /// The bytes.
    pub data: Bytes,
    /// The key whose MD5 decides the shard.
    pub partition_key: PartitionKey,
    /// The hash key that decides the shard in place of the partition key. It cannot be read back, except for user records of
    /// an aggregate.
    pub explicit_hash_key: Option<HashKey>,
}

impl EncodedRecord {
    /// Makes a record with these bytes under this key.
    #[must_use]
    pub fn new(partition_key: PartitionKey, data: Bytes) -> Self {
        Self {
            data,
            partition_key,
            explicit_hash_key: None,
        }
    }

    /// Returns the record's size by the service's limits: data and partition key, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }

    /// Returns the point of the key space that decides the record's shard.
    #[must_use]
    pub fn hash_key(&self) -> HashKey {
        self.explicit_hash_key
            .unwrap_or_else(|| HashKey::of_partition_key(&self.partition_key))
    }

    /// Encodes a record of yours, its key taken from `key_field` if the stream's configuration names one.
    ///
    /// # Errors
    /// [`RecordError`]: the record has no usable key or its codec refuses it.
    pub fn of<R: KinesisRecord>(
        record: &R,
        key_field: Option<&str>,
        context: &EncodeContext,
    ) -> Result<Self, RecordError> {
        encode(record, key_field, context, |encoded| {
            encoded.map(Encoded::into_record)
        })
    }

    /// Reads the record of yours.
    pub(crate) fn to_record<R: KinesisRecord>(&self) -> Result<R, DecodeError> {
        const { R::DIRECTION.assert_get() };
        R::decode(self)
    }

    /// Reads the record of yours, which may take the bytes out of this one. After an error they are still here.
    pub(crate) fn take_record<R: KinesisRecord>(&mut self) -> Result<R, DecodeError> {
        const { R::DIRECTION.assert_get() };
        R::decode_taking(self)
    }

    /// Reads the record of yours, which may take the bytes over.
    pub(crate) fn into_record<R: KinesisRecord>(self) -> Result<R, DecodeError> {
        const { R::DIRECTION.assert_get() };
        R::decode_owned(self)
    }
}

/// The size of the largest small record. A small one that is put is copied from the buffer it is encoded in; a larger one
/// takes the buffer. A small one that is read may share memory with its neighbours in the page; a larger one never does.
pub(crate) const COPIED_BYTES_MAX: usize = 8 * 1_024;
/// The size of the largest allocation that small records share.
pub(crate) const SHARED_BYTES_MAX: usize = 64 * 1_024;
const _: () = assert!(
    COPIED_BYTES_MAX <= SHARED_BYTES_MAX / 8,
    "the room that is left at the end of an allocation is small"
);

/// Gives a small record memory of its own, if it shares some or may have some of an arena.
///
/// The last slice of an arena is unique too, and may be a small part of it.
pub(crate) fn own(data: &mut Bytes, may_be_slice: bool) {
    if data.len() <= COPIED_BYTES_MAX && (may_be_slice || !data.is_unique()) {
        *data = Bytes::copy_from_slice(data);
    }
}

/// A record that has just been encoded. It is handed on by reference: a move of it costs as much as its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Encoded<'a> {
    pub(crate) data: EncodedData<'a>,
    pub(crate) partition_key: &'a PartitionKey,
    pub(crate) explicit_hash_key: Option<HashKey>,
}

/// The bytes of a record that has just been encoded.
#[derive(Clone, Copy, Debug)]
pub(crate) enum EncodedData<'a> {
    /// Few bytes, in a buffer for the next record.
    Borrowed(&'a [u8]),
    /// Bytes of its own.
    Owned(&'a Bytes),
}

/// Encodes a record and hands it out.
#[inline]
pub(crate) fn encode<R: KinesisRecord, T>(
    record: &R,
    key_field: Option<&str>,
    context: &EncodeContext,
    then: impl FnOnce(Result<Encoded<'_>, RecordError>) -> T,
) -> T {
    const { R::DIRECTION.assert_put() };
    let partition_key = match key_field {
        Some(field) => record.partition_key_in(field),
        None => record.partition_key(),
    };
    // By reference: a move of a key that was just made stalls (store forwarding).
    let key = match (&partition_key, record.explicit_hash_key()) {
        (Ok(partition_key), Ok(explicit_hash_key)) => (partition_key, explicit_hash_key),
        (Err(error), _) => return then(Err(error.clone().into())),
        (_, Err(error)) => return then(Err(error.into())),
    };
    if let Some(data) = record.shared_data() {
        return then(Ok(Encoded::new(EncodedData::Owned(&data), key)));
    }
    scratch::with(
        |out| record.encode(context, out),
        |out| match out {
            Ok(out) if out.len() <= COPIED_BYTES_MAX => {
                then(Ok(Encoded::new(EncodedData::Borrowed(out), key)))
            }
            Ok(out) => {
                // All of it: a rest would keep the whole allocation.
                let data = std::mem::take(out).freeze();
                then(Ok(Encoded::new(EncodedData::Owned(&data), key)))
            }
            Err(error) => then(Err(error.into())),
        },
    )
}

impl<'a> EncodedData<'a> {
    #[inline]
    pub(crate) fn bytes(self) -> &'a [u8] {
        match self {
            Self::Borrowed(data) => data,
            Self::Owned(data) => data,
        }
    }

    /// Returns the bytes as they are kept: those in a buffer are copied.
    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::Borrowed(data) => Bytes::copy_from_slice(data),
            Self::Owned(data) => data.clone(),
        }
    }
}

impl<'a> Encoded<'a> {
    #[inline]
    fn new(data: EncodedData<'a>, key: (&'a PartitionKey, Option<HashKey>)) -> Self {
        let (partition_key, explicit_hash_key) = key;
        Self {
            data,
            partition_key,
            explicit_hash_key,
        }
    }

    /// Returns the record's size by the service's limits, in bytes.
    pub(crate) fn size_bytes(self) -> usize {
        self.data.bytes().len() + self.partition_key.len()
    }

    /// Returns the record with bytes of its own.
    pub(crate) fn into_record(self) -> EncodedRecord {
        EncodedRecord {
            data: self.data.into_bytes(),
            partition_key: self.partition_key.clone(),
            explicit_hash_key: self.explicit_hash_key,
        }
    }
}

impl<'a> From<&'a EncodedRecord> for Encoded<'a> {
    fn from(record: &'a EncodedRecord) -> Self {
        Self {
            data: EncodedData::Owned(&record.data),
            partition_key: &record.partition_key,
            explicit_hash_key: record.explicit_hash_key,
        }
    }
}

/// An error that keeps a record from being encoded for the service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The record has no usable key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The record's codec refused it.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_shares_memory_gets_its_own() {
        let mut arena = Bytes::from(vec![7; 100]);
        let mut record = arena.split_to(10);
        own(&mut record, false);
        assert!(arena.is_unique() && record.is_unique());
        assert_eq!(record[..], [7; 10]);
        let memory = arena.as_ptr();
        own(&mut arena, false);
        assert_eq!(arena.as_ptr(), memory);
        own(&mut arena, true);
        assert_ne!(arena.as_ptr(), memory, "the last slice");
    }
}
