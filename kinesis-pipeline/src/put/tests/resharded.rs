//! Aggregates on the embedded Kinesis while its shards change: each receipt is for a record that readers keep.

use std::{collections::HashMap, time::Duration};

use super::{
    local::{kinesis, reshard, stored},
    numbered::numbered,
};
use crate::{
    EncodedRecord, KinesisStream, PendingReceipt, Producer, Receipt,
    local::{Fault, LocalKinesis},
    service::{DeleteStream, ListShards},
};

pub(super) const MS: Duration = Duration::from_millis(1);

async fn aggregating(
    kinesis: &LocalKinesis,
    shards: u32,
) -> (KinesisStream<EncodedRecord>, Producer<EncodedRecord>) {
    let stream = kinesis.stream("readings", shards).await.unwrap();
    let producer = stream.producer().aggregate(true).linger(20 * MS);
    let producer = producer.build().unwrap();
    (stream, producer)
}

/// Puts the records with these numbers, each under its own key.
pub(super) async fn put(
    producer: &Producer<EncodedRecord>,
    numbers: std::ops::Range<usize>,
) -> Vec<(usize, PendingReceipt)> {
    let mut pending = Vec::new();
    for number in numbers {
        let put = producer.put(&numbered(number, number)).await;
        pending.push((number, put.unwrap()));
    }
    pending
}

pub(super) async fn receipts(pending: Vec<(usize, PendingReceipt)>) -> Vec<(usize, Receipt)> {
    let mut receipts = Vec::new();
    for (number, pending) in pending {
        receipts.push((number, pending.await.expect("stored")));
    }
    receipts
}

/// Checks that each receipt points at its record, in a shard that takes its hash key. Returns how many copies are stored
/// beside those of the receipts.
pub(super) async fn check(
    stream: &KinesisStream<EncodedRecord>,
    receipts: &[(usize, Receipt)],
) -> usize {
    check_of(stream, receipts, |number| numbered(number, number)).await
}

async fn check_of(
    stream: &KinesisStream<EncodedRecord>,
    receipts: &[(usize, Receipt)],
    record_of: impl Fn(usize) -> EncodedRecord,
) -> usize {
    let listed = ListShards::new(stream.id().clone());
    let shards = stream.service().list_shards(listed).await.unwrap().shards;
    let ranges: HashMap<_, _> = shards
        .into_iter()
        .map(|shard| (shard.id, shard.hash_key_range))
        .collect();
    let stored = stored(stream).await;
    let at: HashMap<_, _> = stored.iter().cloned().collect();
    for (number, receipt) in receipts {
        let record = record_of(*number);
        // A record that goes alone is stored without its explicit hash key.
        assert_eq!(at[&receipt.position()].data, record.data);
        let range = ranges[&receipt.shard_id];
        assert!(range.contains(record.hash_key()), "{number}: {receipt:?}");
    }
    stored.len() - receipts.len()
}

/// A stream of one shard, which is split after 100 of 300 records, while these faults strike.
async fn split_under(faults: Vec<Fault>, splits_children: bool, first_is_merge: bool) {
    let kinesis = kinesis(3).await;
    let (stream, producer) = aggregating(&kinesis, if first_is_merge { 2 } else { 1 }).await;
    let mut pending = put(&producer, 0..100).await;
    producer.flush().await.unwrap();
    for fault in faults {
        kinesis.faults().add(fault).unwrap();
    }

    reshard(&stream, 0, !first_is_merge).await;
    pending.extend(put(&producer, 100..200).await);
    tokio::time::sleep(200 * MS).await;
    if splits_children {
        reshard(&stream, 0, true).await;
        if !first_is_merge {
            tokio::time::sleep(20 * MS).await;
            reshard(&stream, 2, true).await;
        }
    }
    pending.extend(put(&producer, 200..300).await);
    let receipts = receipts(pending).await;
    kinesis.faults().clear();
    check(&stream, &receipts).await;
    producer.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_is_throttled_five_times_after_a_split_loses_no_record() {
    // One call of the test itself.
    let throttled = || vec![Fault::throttle().on("ListShards").after(1).times(5)];
    split_under(throttled(), false, false).await;
    split_under(throttled(), false, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_takes_two_seconds_while_the_children_are_split_loses_no_record() {
    let slow = || vec![Fault::delay(2_000 * MS).on("ListShards").after(1).times(1)];
    split_under(slow(), true, false).await;
    split_under(slow(), true, true).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_made_again_with_fewer_shards_loses_no_record_at_its_next_split() {
    let kinesis = kinesis(3).await;
    let (stream, producer) = aggregating(&kinesis, 4).await;
    receipts(put(&producer, 0..100).await).await;
    let delete = DeleteStream::new(stream.id().clone());
    stream.service().delete_stream(delete).await.unwrap();
    tokio::time::sleep(100 * MS).await;
    let stream: KinesisStream<EncodedRecord> = kinesis.stream("readings", 2).await.unwrap();
    let mut pending = put(&producer, 100..400).await;
    tokio::time::sleep(500 * MS).await;
    reshard(&stream, 0, true).await;
    pending.extend(put(&producer, 400..800).await);
    let receipts = receipts(pending).await;
    check(&stream, &receipts).await;
}

#[tokio::test(start_paused = true)]
async fn a_split_stores_only_those_records_twice_that_were_outside_of_their_shard() {
    let kinesis = kinesis(3).await;
    let (stream, producer) = aggregating(&kinesis, 2).await;
    let mut pending = put(&producer, 0..1_000).await;
    reshard(&stream, 0, true).await;
    pending.extend(put(&producer, 1_000..3_000).await);
    let receipts = receipts(pending).await;
    let duplicates = check(&stream, &receipts).await;
    let again = producer.stats().records_put_again;
    assert_eq!(duplicates as u64, again);
    let resent = receipts.iter().filter(|(_, receipt)| receipt.attempts > 1);
    assert_eq!(
        resent.count(),
        duplicates,
        "the others have their first copy"
    );
    assert!(duplicates > 0, "the split left some outside");
}

/// Lists the shards until that succeeds, and splits or merges one of the open ones.
async fn change(stream: &KinesisStream<EncodedRecord>, index: usize, is_split: bool) {
    let listed = ListShards::new(stream.id().clone());
    while stream.service().list_shards(listed.clone()).await.is_err() {
        tokio::time::sleep(MS).await;
    }
    reshard(stream, index, is_split).await;
    tokio::time::sleep(20 * MS).await;
}

#[tokio::test(start_paused = true)]
async fn histories_of_merges_and_splits_lose_no_record_with_a_hash_key_of_its_own() {
    /// Splits or merges of open shards, by their index.
    type Changes = &'static [(usize, bool)];
    const HISTORIES: [(u32, Changes); 3] = [
        (3, &[(1, false), (1, true), (0, false)]),
        (4, &[(3, true), (2, false), (0, false), (1, true)]),
        (1, &[(0, true), (0, false), (0, true)]),
    ];
    let hashed = |number: usize| {
        let mut record = numbered(number, number);
        let step = u128::MAX / 997;
        record.explicit_hash_key = Some((number as u128 * 131 % 997 * step).into());
        record
    };
    for (shards, changes) in HISTORIES {
        for fault in [
            Fault::throttle().times(5),
            Fault::delay(2_000 * MS).times(2),
            Fault::deny().times(1),
        ] {
            let kinesis = kinesis(3).await;
            let (stream, producer) = aggregating(&kinesis, shards).await;
            let mut pending = Vec::new();
            for (index, is_split) in changes {
                for number in pending.len()..pending.len() + 150 {
                    let put = producer.put(&hashed(number)).await;
                    pending.push((number, put.unwrap()));
                }
                change(&stream, *index, *is_split).await;
                let fault = fault.clone().on("ListShards");
                kinesis.faults().add(fault).unwrap();
            }
            let receipts = receipts(pending).await;
            kinesis.faults().clear();
            check_of(&stream, &receipts, hashed).await;
        }
    }
}
