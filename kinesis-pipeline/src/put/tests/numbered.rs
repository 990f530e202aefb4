//! Records whose data is their number.

use std::collections::{HashMap, HashSet};

use bytes::BytesMut;

use crate::{
    DecodeError, EncodeError, EncodedRecord, HashKey, KeyError, KinesisRecord, PartitionKey,
    PendingReceipt, Producer, PutError, Receipt, record::EncodeContext,
};

/// A record that is encoded by a copy, as those of most users are, so that its bytes go into an arena.
pub(super) struct Copied(pub(super) EncodedRecord);

impl KinesisRecord for Copied {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        Ok(self.0.partition_key.clone())
    }

    fn explicit_hash_key(&self) -> Result<Option<HashKey>, KeyError> {
        Ok(self.0.explicit_hash_key)
    }

    fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.extend_from_slice(&self.0.data);
        Ok(())
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        Ok(Self(stored.clone()))
    }
}

/// Puts a record; if its number is even, by a copy.
pub(super) async fn put_either(
    producer: &Producer<EncodedRecord>,
    record: EncodedRecord,
    number: usize,
) -> Result<PendingReceipt, PutError> {
    if number.is_multiple_of(2) {
        let producer = producer.with_record_type::<Copied>();
        return producer.put(&Copied(record)).await;
    }
    producer.put(&record).await
}

/// A record whose data is its number.
pub(super) fn numbered(key: usize, number: usize) -> EncodedRecord {
    let key = PartitionKey::new(format!("key-{key}")).unwrap();
    EncodedRecord::new(key, number.to_string().into())
}

pub(super) async fn receipts(pending: Vec<PendingReceipt>) -> Vec<Receipt> {
    let mut receipts = Vec::new();
    for pending in pending {
        receipts.push(pending.await.expect("stored"));
    }
    receipts
}

/// Puts `count` numbered records under `keys` keys, and returns their receipts.
pub(super) async fn put_numbered(
    producer: &Producer<EncodedRecord>,
    keys: usize,
    count: usize,
) -> Vec<Receipt> {
    let mut pending = Vec::new();
    for number in 0..count {
        let record = numbered(number % keys, number);
        pending.push(put_either(producer, record, number).await.unwrap());
    }
    receipts(pending).await
}

/// The first copies of the records of each key are stored in their order.
pub(super) fn assert_order<'a>(users: impl IntoIterator<Item = &'a EncodedRecord>, seed: u64) {
    let mut met = HashSet::new();
    let mut last: HashMap<&str, usize> = HashMap::new();
    for user in users {
        let number: usize = std::str::from_utf8(&user.data).unwrap().parse().unwrap();
        if met.insert(number)
            && let Some(before) = last.insert(user.partition_key.as_str(), number)
        {
            assert!(before < number, "seed {seed}: {number} after {before}");
        }
    }
}
