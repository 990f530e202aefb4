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
        const { R::DIRECTION.assert_put() };
        let partition_key = match key_field {
            Some(field) => record.partition_key_in(field)?,
            None => record.partition_key()?,
        };
        let explicit_hash_key = record.explicit_hash_key()?;
        let data = if let Some(data) = record.shared_data() {
            data
        } else {
            scratch::write(|out| record.encode(context, out))?
        };
        Ok(Self {
            data,
            partition_key,
            explicit_hash_key,
        })
    }

    /// Reads the record of yours.
    pub(crate) fn to_record<R: KinesisRecord>(&self) -> Result<R, DecodeError> {
        const { R::DIRECTION.assert_get() };
        R::decode(self)
    }

    /// Reads the record of yours, which may take the bytes over.
    pub(crate) fn into_record<R: KinesisRecord>(self) -> Result<R, DecodeError> {
        const { R::DIRECTION.assert_get() };
        R::decode_owned(self)
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
