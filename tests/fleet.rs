//! Tests of readers with checkpoints in DynamoDB, over a real socket.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{error::Error, process::Command, time::Duration};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use kinesis_pipeline::{
    CheckpointPlace, CheckpointStore, DynamoDbCheckpoints, GetError, KinesisRecord, KinesisStream,
    LeaseError, LocalKinesis, Reader, StartAt, Until, local::LocalDynamoDb, service::SplitShard,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    count: u32,
}

fn readings(counts: std::ops::Range<u32>) -> impl Iterator<Item = Reading> {
    counts.map(|count| Reading {
        device: format!("device-{}", count % 5),
        count,
    })
}

async fn start(shards: u32) -> (KinesisStream<Reading>, LocalDynamoDb) {
    let local = LocalKinesis::start().await.unwrap();
    let stream = local.stream("readings", shards).await.unwrap();
    (stream, local.serve_dynamodb("127.0.0.1:0").await.unwrap())
}

/// Returns a store as another process has it: only the table is shared.
fn store(database: &LocalDynamoDb) -> DynamoDbCheckpoints {
    DynamoDbCheckpoints::with_client(Client::new(&database.sdk_config()))
}

fn reader(stream: &KinesisStream<Reading>, database: &LocalDynamoDb) -> Reader<Reading> {
    let reader = stream.reader().checkpoints(store(database), "app");
    reader.start(StartAt::TrimHorizon).until(Until::Tip)
}

/// Takes up to this many records, then closes the reader.
async fn take(reader: Reader<Reading>, count: usize) -> Vec<u32> {
    let mut records = reader.open().await.unwrap();
    let mut counts = Vec::new();
    while counts.len() < count
        && let Some(record) = records.next().await
    {
        counts.push(record.unwrap().data.count);
    }
    records.close().await.unwrap();
    counts
}

#[tokio::test]
async fn a_reader_that_is_stopped_inside_aggregates_goes_on_without_gap_or_repeat() {
    let (stream, database) = start(1).await;
    let producer = stream.producer().aggregate(true).build().unwrap();
    for counts in [0..40, 40..80, 80..100] {
        for reading in readings(counts) {
            let _pending = producer.put(&reading).await.unwrap();
        }
        producer.flush().await.unwrap();
    }
    let (mut counts, mut inside) = (Vec::new(), 0);
    while counts.len() < 100 {
        counts.extend(take(reader(&stream, &database), 7).await);
        let rows = store(&database).load("app", "readings").await.unwrap();
        let is_inside = matches!(
            rows[0].place,
            CheckpointPlace::After {
                sub_sequence_number: Some(_),
                ..
            }
        );
        inside += usize::from(is_inside);
    }
    assert_eq!(counts, (0..100).collect::<Vec<_>>());
    assert!(inside > 5, "{inside} stops were inside an aggregate");
    producer.close().await.unwrap();
}

#[tokio::test]
async fn a_reader_goes_on_over_a_split_without_gap_or_repeat() {
    let (stream, database) = start(2).await;
    for reading in readings(0..50) {
        stream.put(&reading).await.unwrap();
    }
    let shard = stream.shards().await.unwrap().remove(0);
    let middle = shard.hash_key_range.middle();
    let split = SplitShard::new(stream.id().clone(), shard.id, middle);
    stream.service().split_shard(split).await.unwrap();
    for reading in readings(50..100) {
        stream.put(&reading).await.unwrap();
    }
    let mut counts = Vec::new();
    loop {
        let taken = take(reader(&stream, &database), 13).await;
        if taken.is_empty() {
            break;
        }
        counts.extend(taken);
    }
    counts.sort_unstable();
    assert_eq!(counts, (0..100).collect::<Vec<_>>());
    let rows = store(&database).load("app", "readings").await.unwrap();
    let ended = rows
        .iter()
        .filter(|row| row.place == CheckpointPlace::ShardEnd);
    assert_eq!((rows.len(), ended.count()), (4, 1));
}

#[tokio::test]
async fn a_reader_beside_a_living_worker_ends_with_its_name() {
    let (stream, database) = start(1).await;
    for reading in readings(0..10) {
        stream.put(&reading).await.unwrap();
    }
    assert_eq!(take(reader(&stream, &database), 3).await, [0, 1, 2]);
    let leases = Client::new(&database.sdk_config());
    let renew = async || {
        leases
            .update_item()
            .table_name("app")
            .key("leaseKey", AttributeValue::S("shardId-000000000000".into()))
            .update_expression("SET leaseOwner = :me ADD leaseCounter :one")
            .expression_attribute_values(":me", AttributeValue::S("worker-1".into()))
            .expression_attribute_values(":one", AttributeValue::N("1".into()))
            .send()
            .await
            .unwrap()
    };
    renew().await;
    let store = store(&database).owner_expiry(Duration::from_millis(200));
    let beside = stream.reader().checkpoints(store, "app");
    let mut records = beside.open().await.unwrap();
    renew().await;
    let error = loop {
        match records.next().await.expect("an error ends the reader") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(!error.is_retryable());
    let GetError::Checkpoint { source, .. } = &error else {
        panic!("{error:?}");
    };
    let lease: &LeaseError = source.source().unwrap().downcast_ref().unwrap();
    assert!(
        matches!(lease, LeaseError::Held { owner, .. } if owner == "worker-1"),
        "{lease}"
    );
}

/// The environment variable of the process that [`connect_takes_the_endpoint_of_dynamodb_from_the_environment`] starts.
const CHILD: &str = "KINESIS_PIPELINE_TEST_CHILD";

#[tokio::test]
async fn connect_takes_the_endpoint_of_dynamodb_from_the_environment() {
    if std::env::var_os(CHILD).is_some() {
        let store = DynamoDbCheckpoints::connect().await.unwrap();
        let rows = store.load("app", "readings").await.unwrap();
        assert_eq!(rows.len(), 1);
        return;
    }
    let (stream, database) = start(1).await;
    stream.put_all(readings(0..3)).await.ok().unwrap();
    take(reader(&stream, &database), 1).await;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args([
            "--exact",
            "connect_takes_the_endpoint_of_dynamodb_from_the_environment",
        ])
        .env(CHILD, "1")
        .env("AWS_ENDPOINT_URL_DYNAMODB", database.endpoint_url())
        .env("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test");
    let output = tokio::task::spawn_blocking(move || child.output());
    let output = output.await.unwrap().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}
