//! Puts that are taken and puts that are refused.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::*;
use crate::local::operations::{put_record::PutRecord, put_records::PutRecords as PutMany};

async fn put_error(kinesis: &LocalKinesis, records: Vec<EncodedRecord>) -> String {
    let call = PutRecords::new(stream(), records);
    let error = kinesis.put_records(call).await.unwrap_err();
    error.code.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_record_goes_to_the_shard_that_its_key_names() {
    let kinesis = start_with(4).await;
    for key in ["a", "b", "c", "d", "e"] {
        let hash_key = HashKey::of_partition_key(key);
        let stored = put(&kinesis, key, key).await;
        let shards = shards(&kinesis).await;
        let owner = shards
            .iter()
            .find(|shard| shard.hash_key_range.contains(hash_key));
        assert_eq!(owner.unwrap().id, stored.shard_id);
    }
}

#[tokio::test(start_paused = true)]
async fn an_explicit_hash_key_replaces_the_keys_hash() {
    let kinesis = start_with(4).await;
    let mut records = vec![record("same", "x"), record("same", "y")];
    records[0].explicit_hash_key = Some(HashKey::MIN);
    records[1].explicit_hash_key = Some(HashKey::MAX);
    let answer = kinesis
        .put_records(PutRecords::new(stream(), records))
        .await
        .unwrap();
    let ids: Vec<_> = answer
        .results
        .into_iter()
        .map(|result| result.unwrap().shard_id)
        .collect();
    assert_eq!(
        ids,
        [
            ShardId::from("shardId-000000000000"),
            "shardId-000000000003".into()
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_has_1_to_500_records_and_10_mebibytes() {
    let kinesis = start_with(1).await;
    assert_eq!(put_error(&kinesis, Vec::new()).await, "ValidationException");
    let many = vec![record("k", "x"); 501];
    assert_eq!(put_error(&kinesis, many).await, "ValidationException");
    let half = vec![0_u8; 1024 * 1024 - 1];
    let mut big = vec![record("k", half); 10];
    kinesis
        .put_records(PutRecords::new(stream(), big.clone()))
        .await
        .unwrap();
    big.push(record("k", ""));
    assert_eq!(put_error(&kinesis, big).await, "InvalidArgumentException");
}

#[tokio::test(start_paused = true)]
async fn a_record_has_1_mebibyte_with_its_key() {
    let kinesis = start_with(1).await;
    let fits = record("key", vec![0; 1024 * 1024 - 3]);
    kinesis
        .put_records(PutRecords::new(stream(), vec![fits]))
        .await
        .unwrap();
    let over = record("key", vec![0; 1024 * 1024 - 2]);
    assert_eq!(put_error(&kinesis, vec![over]).await, "ValidationException");
}

#[tokio::test(start_paused = true)]
async fn keys_outside_their_bounds_are_refused_in_the_services_words() {
    let kinesis = start_with(1).await;
    let long = "ä".repeat(257);
    for (members, words) in [
        (
            json!({"PartitionKey": ""}),
            "'partitionKey' failed to satisfy constraint: Member must have length greater than or equal to 1",
        ),
        (
            json!({"PartitionKey": long}),
            "Member must have length less than or equal to 256",
        ),
        (
            json!({"PartitionKey": "k", "ExplicitHashKey": "-1"}),
            "regular expression pattern: 0|([1-9]\\d{0,38})",
        ),
        (
            json!({"PartitionKey": "k", "ExplicitHashKey": "01"}),
            "regular expression pattern",
        ),
        (
            json!({}),
            "Value null at 'partitionKey' failed to satisfy constraint: Member must not be null",
        ),
    ] {
        let mut request = json!({"StreamName": STREAM, "Data": ""});
        request
            .as_object_mut()
            .unwrap()
            .extend(members.as_object().unwrap().clone());
        let error = json::<PutRecord>(&kinesis.core, request).await.unwrap_err();
        assert_eq!(error.code, "ValidationException");
        assert!(error.message.contains(words), "{}", error.message);
    }
    let fits = json!({"StreamName": STREAM, "Data": "", "PartitionKey": "ä".repeat(256)});
    json::<PutRecord>(&kinesis.core, fits).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hash_key_of_129_bits_is_out_of_range() {
    let kinesis = start_with(1).await;
    let request = json!({"StreamName": STREAM, "Records": [{"Data": "", "PartitionKey": "k",
        "ExplicitHashKey": "340282366920938463463374607431768211456"}]});
    let error = json::<PutMany>(&kinesis.core, request).await.unwrap_err();
    assert_eq!(error.code, "InvalidArgumentException");
    assert!(error.message.starts_with("Invalid ExplicitHashKey."));
}

#[tokio::test(start_paused = true)]
async fn an_entry_of_the_answer_has_a_place_or_an_error() {
    let kinesis = start_with(1).await;
    let request = json!({"StreamName": STREAM, "Records": [{"Data": "aGk=", "PartitionKey": "k"}]});
    let answer = json::<PutMany>(&kinesis.core, request).await.unwrap();
    assert_eq!(answer["FailedRecordCount"], 0);
    let entry = answer["Records"][0].as_object().unwrap();
    let mut members = String::new();
    for member in entry.keys() {
        write!(members, "{member} ").unwrap();
    }
    assert_eq!(members, "SequenceNumber ShardId ");
    let Value::String(number) = &entry["SequenceNumber"] else {
        panic!("a number is text")
    };
    assert_eq!(number.len(), 56);
}

#[tokio::test(start_paused = true)]
async fn a_number_to_order_by_is_one_of_the_past() {
    let kinesis = start_with(1).await;
    let number = put(&kinesis, "k", "x").await.sequence_number.to_string();
    let ordered = |number: &str| json!({"StreamName": STREAM, "Data": "", "PartitionKey": "k", "SequenceNumberForOrdering": number});
    json::<PutRecord>(&kinesis.core, ordered(&number))
        .await
        .unwrap();
    let error = json::<PutRecord>(&kinesis.core, ordered("7"))
        .await
        .unwrap_err();
    assert_eq!(error.code, "InvalidArgumentException");
}
