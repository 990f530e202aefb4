use bytes::BytesMut;

use super::{
    DecodeError, Direction, EncodeContext, EncodeError, EncodedRecord, KeyError, KinesisRecord,
    PartitionKey,
};
use crate::shard::HashKey;

/// A record with its key beside it, for a key that is not part of the record.
///
/// The bytes are those of the record alone. A record that is read back has the key under which it was stored.
///
/// ```
/// use bytes::Bytes;
/// use kinesis_pipeline::{KinesisRecord, PartitionKey, record::Keyed};
///
/// let line = Keyed::new(PartitionKey::new("host-7")?, Bytes::from("started"));
/// assert_eq!(line.partition_key()?, "host-7");
/// # Ok::<(), kinesis_pipeline::KeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keyed<R> {
    /// The key whose MD5 decides the shard.
    pub partition_key: PartitionKey,
    /// The hash key that decides the shard in place of the partition key. It cannot be read back, except for user records of
    /// an aggregate.
    pub explicit_hash_key: Option<HashKey>,
    /// The record.
    pub record: R,
}

impl<R> Keyed<R> {
    /// This record under this key.
    #[must_use]
    pub fn new(partition_key: PartitionKey, record: R) -> Self {
        Self {
            partition_key,
            explicit_hash_key: None,
            record,
        }
    }

    /// Returns the same, placed by this hash key.
    #[must_use]
    pub fn with_explicit_hash_key(mut self, hash_key: HashKey) -> Self {
        self.explicit_hash_key = Some(hash_key);
        self
    }
}

/// The given keys have priority over those of the record, and over a key field of the stream's configuration.
impl<R: KinesisRecord> KinesisRecord for Keyed<R> {
    const DIRECTION: Direction = R::DIRECTION;

    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        Ok(self.partition_key.clone())
    }

    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        Ok(self.explicit_hash_key)
    }

    fn encode(&self, context: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        self.record.encode(context, out)
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            partition_key: stored.partition_key.clone(),
            explicit_hash_key: stored.explicit_hash_key,
            record: R::decode(stored)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::clock::from_epoch_millis;

    #[test]
    fn the_given_keys_replace_those_of_the_record_and_come_back() {
        let key = PartitionKey::new("given").unwrap();
        let keyed =
            Keyed::new(key, json!({"device": "own"})).with_explicit_hash_key(HashKey::new(7));
        let context = EncodeContext::at(from_epoch_millis(0));
        let stored = EncodedRecord::of(&keyed, Some("device"), &context).unwrap();
        assert_eq!(stored.partition_key, "given");
        assert_eq!(stored.explicit_hash_key, Some(HashKey::new(7)));
        assert_eq!(stored.data, r#"{"device":"own"}"#);
        assert_eq!(Keyed::decode(&stored).unwrap(), keyed);
    }
}
