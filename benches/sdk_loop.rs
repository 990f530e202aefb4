//! The peer of the producer: loops around the official SDK, as users write them.

use aws_sdk_kinesis::{Client, primitives::Blob, types::PutRecordsRequestEntry};
use bytes::Bytes;
use kinesis_pipeline::{EncodedRecord, PartitionKey};
use tokio::task::JoinSet;

use crate::{
    prost_aggregate,
    readings::{RECORDS_A_REQUEST, Reading, chunk},
};

/// The largest aggregate of KPL, in bytes.
const AGGREGATE_BYTES: usize = 51_200;

/// Puts records as users do today: chunks of 500, with some requests in flight.
///
/// # Panics
/// Panics if a call fails.
pub async fn put(client: &Client, records: &[Reading], count: usize, in_flight: usize) {
    let mut requests = JoinSet::new();
    for request in 0..count / RECORDS_A_REQUEST {
        if requests.len() == in_flight {
            requests.join_next().await;
        }
        let entries: Vec<_> = chunk(records, request)
            .iter()
            .map(|record| entry(record.device.clone(), record.data.clone()))
            .collect();
        requests.spawn(send(client.clone(), entries));
    }
    while requests.join_next().await.is_some() {}
}

/// Puts aggregates of 50 KiB, grouped by shard as in KPL, 100 to a request.
///
/// # Panics
/// Panics if a call fails, or if there are not 256 shards.
pub async fn put_aggregates(
    client: &Client,
    records: &[Reading],
    count: usize,
    (shards, in_flight): (usize, usize),
) {
    let mut requests = JoinSet::new();
    let mut shards = vec![(Vec::new(), 0); shards];
    let mut entries = Vec::new();
    for record in records.iter().cycle().take(count) {
        let record = EncodedRecord::new(
            PartitionKey::new(record.device.clone()).expect("a key"),
            Bytes::from(record.data.clone()),
        );
        let shard = usize::try_from(record.hash_key().value() >> 120).expect("eight bits");
        let (group, bytes) = &mut shards[shard];
        *bytes += record.size_bytes() + 8;
        group.push(record);
        if *bytes >= AGGREGATE_BYTES {
            entries.push(entry("a".to_owned(), prost_aggregate::encode(group)));
            group.clear();
            *bytes = 0;
        }
        if entries.len() == 100 {
            if requests.len() == in_flight {
                requests.join_next().await;
            }
            requests.spawn(send(client.clone(), std::mem::take(&mut entries)));
        }
    }
    requests.spawn(send(client.clone(), entries));
    while requests.join_next().await.is_some() {}
}

/// Makes an entry of a request.
///
/// # Panics
/// Never: key and data are set.
#[must_use]
pub fn entry(key: String, data: Vec<u8>) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder()
        .partition_key(key)
        .data(Blob::new(data))
        .build()
        .expect("key and data are set")
}

/// Sends a request, if it has entries.
///
/// # Panics
/// Panics if a call fails.
pub async fn send(client: Client, entries: Vec<PutRecordsRequestEntry>) {
    if entries.is_empty() {
        return;
    }
    let answer = client
        .put_records()
        .stream_name("bench")
        .set_records(Some(entries))
        .send()
        .await;
    assert_eq!(answer.expect("an answer").failed_record_count(), Some(0));
}
