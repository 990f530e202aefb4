//! Records whose data is their number.

use std::collections::{HashMap, HashSet};

use crate::{EncodedRecord, PartitionKey, PendingReceipt, Producer, Receipt};

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
        pending.push(
            producer
                .put(&numbered(number % keys, number))
                .await
                .unwrap(),
        );
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
