//! The record trait for pointers to records: references, `Box`, `Arc`.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::{
    DecodeError, Direction, EncodeContext, EncodeError, EncodedRecord, KeyError, KinesisRecord,
    PartitionKey,
};
use crate::shard::HashKey;

macro_rules! record_behind {
    ($($pointer:ident)*) => {$(
        /// The record that it points to, with its keys and bytes.
        impl<R: KinesisRecord> KinesisRecord for $pointer<R> {
            const DIRECTION: Direction = R::DIRECTION;

            fn partition_key(&self) -> Result<PartitionKey, KeyError> {
                (**self).partition_key()
            }

            fn partition_key_in(&self, field: &str) -> Result<PartitionKey, KeyError> {
                (**self).partition_key_in(field)
            }

            fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
                (**self).explicit_hash_key()
            }

            fn encode(
                &self,
                context: &EncodeContext,
                out: &mut BytesMut,
            ) -> Result<(), EncodeError> {
                (**self).encode(context, out)
            }

            fn shared_data(&self) -> Option<Bytes> {
                (**self).shared_data()
            }

            fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
                R::decode(stored).map(Self::new)
            }

            fn decode_owned(stored: EncodedRecord) -> Result<Self, DecodeError> {
                R::decode_owned(stored).map(Self::new)
            }

            fn decode_taking(stored: &mut EncodedRecord) -> Result<Self, DecodeError> {
                R::decode_taking(stored).map(Self::new)
            }
        }
    )*};
}

record_behind! { Arc Box }

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{clock::from_epoch_millis, record::Keyed};

    fn stored<R: KinesisRecord>(record: &R) -> EncodedRecord {
        let context = EncodeContext::at(from_epoch_millis(0));
        EncodedRecord::of(record, Some("device"), &context).unwrap()
    }

    #[test]
    fn a_record_behind_a_pointer_has_the_keys_and_bytes_of_the_record() {
        let value = json!({"device": "attic"});
        let bare = stored(&value);
        assert_eq!(stored(&Arc::new(value.clone())), bare);
        assert_eq!(stored(&Box::new(value.clone())), bare);
        assert_eq!(
            bare.to_record::<Arc<Value>>().unwrap(),
            Arc::new(value.clone())
        );
        assert_eq!(
            bare.into_record::<Box<Value>>().unwrap(),
            Box::new(value.clone())
        );
        let keyed =
            Keyed::new(PartitionKey::stored("k"), value).with_explicit_hash_key(HashKey::new(7));
        assert_eq!(stored(&Arc::new(keyed.clone())), stored(&keyed));
    }

    #[test]
    fn bytes_behind_a_pointer_are_shared_and_not_copied() {
        let data = Bytes::from(vec![b'a'; 9]);
        let stored = stored(&Arc::new(data.clone()));
        assert_eq!(stored.data.as_ptr(), data.as_ptr());
        let read = Arc::<Bytes>::decode_owned(stored).unwrap();
        assert_eq!(read.as_ptr(), data.as_ptr());
    }
}
