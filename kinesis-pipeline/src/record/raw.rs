//! Bytes and text as they are, under a random key.

use bytes::{Bytes, BytesMut};

use super::{
    DecodeError, EncodeContext, EncodeError, EncodedRecord, KeyError, KinesisRecord, PartitionKey,
};

/// Bytes as they are, under a random partition key.
impl KinesisRecord for Bytes {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        Ok(PartitionKey::random())
    }

    fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.extend_from_slice(self);
        Ok(())
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        Ok(stored.data.clone())
    }
}

/// Bytes and keys as they are.
impl KinesisRecord for EncodedRecord {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        Ok(self.partition_key.clone())
    }

    fn explicit_hash_key(&self) -> Result<Option<crate::shard::HashKey>, KeyError> {
        Ok(self.explicit_hash_key)
    }

    fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.extend_from_slice(&self.data);
        Ok(())
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        Ok(stored.clone())
    }
}
