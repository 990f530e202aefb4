//! Answers that others recorded on AWS, call by call: which code, in which words, and what is left as it was.

mod constraints;
mod dry_run;
mod fan_out;
mod keyless;
mod missing;
mod states;
mod streams;

use serde_json::{Value, json};

use super::*;
use crate::local::operations::subscribe_to_shard;

const SHARD: &str = "shardId-000000000000";
const OF_STREAM: &str = "in stream readings under account 000000000000";

async fn answer(kinesis: &LocalKinesis, name: &str, request: Value) -> Value {
    by_name(&kinesis.core, name, request).await.unwrap()
}

async fn refusal(kinesis: &LocalKinesis, name: &str, request: Value) -> ApiError {
    error_of(by_name(&kinesis.core, name, request).await)
}

/// Returns the request with one more member.
fn with(mut request: Value, member: &str, value: &str) -> Value {
    request[member] = json!(value);
    request
}

/// Checks an error's code and all of its words.
#[track_caller]
fn check(error: &ApiError, code: &str, message: &str) {
    assert_eq!((error.code, &*error.message), (code, message));
}

async fn slow(shard_count: u32) -> LocalKinesis {
    let builder = builder().transition(Duration::from_secs(1));
    let kinesis = builder.start().await.unwrap();
    kinesis.core.ensure_stream(STREAM, shard_count).unwrap();
    kinesis
}

async fn iterator(kinesis: &LocalKinesis) -> String {
    let request =
        json!({"StreamName": STREAM, "ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"});
    let answer = answer(kinesis, "GetShardIterator", request).await;
    answer["ShardIterator"].as_str().unwrap().to_owned()
}

async fn subscribe(
    kinesis: &LocalKinesis,
    consumer_arn: &Value,
    more: &Value,
) -> Result<subscribe_to_shard::Subscription, CallFailure> {
    let mut request = json!({"ConsumerARN": consumer_arn, "ShardId": SHARD,
        "StartingPosition": {"Type": "TRIM_HORIZON"}});
    let members = request.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    let request = serde_json::from_value(request).unwrap();
    subscribe_to_shard::open(&kinesis.core, request).await
}

async fn register(kinesis: &LocalKinesis) -> Value {
    let request = json!({"StreamARN": STREAM_ARN, "ConsumerName": "c1"});
    let answer = answer(kinesis, "RegisterStreamConsumer", request).await;
    answer["Consumer"]["ConsumerARN"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_token_of_shards_stands_for_the_stream_however_it_was_named() {
    let kinesis = start_with(3).await;
    let page = json!({"StreamARN": STREAM_ARN, "MaxResults": 1});
    let token = answer(&kinesis, "ListShards", page).await["NextToken"].clone();
    let both = json!({"NextToken": token, "StreamARN": STREAM_ARN});
    let error = refusal(&kinesis, "ListShards", both).await;
    assert_eq!(error.code, "InvalidArgumentException");
    let page = answer(&kinesis, "ListShards", json!({"NextToken": token})).await;
    assert_eq!(page["Shards"].as_array().unwrap().len(), 2);
    let neither = refusal(&kinesis, "ListShards", json!({})).await;
    check(
        &neither,
        "InvalidArgumentException",
        "Either NextToken or StreamName should be provided.",
    );
}

#[tokio::test(start_paused = true)]
async fn an_iterator_in_double_quotes_works() {
    let kinesis = start_with(1).await;
    put(&kinesis, "k", "x").await;
    let place = iterator(&kinesis).await;
    let quoted = json!({"ShardIterator": format!("\"{place}\"")});
    let page = answer(&kinesis, "GetRecords", quoted).await;
    assert_eq!(page["Records"].as_array().unwrap().len(), 1);
    let half = json!({"ShardIterator": format!("\"{place}")});
    let error = refusal(&kinesis, "GetRecords", half).await;
    assert_eq!(error.code, "InvalidArgumentException");
}

#[tokio::test(start_paused = true)]
async fn an_expired_iterator_is_told_with_times_of_the_calendar() {
    let kinesis = start_with(1).await;
    let place = iterator(&kinesis).await;
    advance(Duration::from_secs(301)).await;
    let error = refusal(&kinesis, "GetRecords", json!({"ShardIterator": place})).await;
    check(
        &error,
        "ExpiredIteratorException",
        "Iterator expired. The iterator was created at time Wed Nov 18 11:06:40 UTC 2026 while right \
         now it is Wed Nov 18 11:11:41 UTC 2026 which is further in the future than the tolerated \
         delay of 300000 milliseconds.",
    );
}

fn ordered(number: &str) -> Value {
    json!({"StreamName": STREAM, "Data": "", "PartitionKey": "k",
        "SequenceNumberForOrdering": number})
}

#[tokio::test(start_paused = true)]
async fn a_number_of_the_future_orders_nothing() {
    let kinesis = start_with(1).await;
    let now = 1_795_000_000;
    let number = |created, arrived| {
        crate::local::state::sequence::Number::of_record(created, 0, 1, arrived).text()
    };
    for future in [
        number(now + 1_000_000, now),
        number(now, now + 1_000_000),
        number(now + 1_000_000, now + 1_000_000),
    ] {
        let error = refusal(&kinesis, "PutRecord", ordered(&future)).await;
        let words = format!(
            "ExclusiveMinimumSequenceNumber {future} used in PutRecord on stream readings under \
             account 000000000000 is invalid."
        );
        check(&error, "InvalidArgumentException", &words);
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_of_a_shard_just_made_or_of_the_first_version_orders() {
    let kinesis = start_with(1).await;
    let parent = shards(&kinesis).await.remove(0);
    // The child stands in its numbers with a second later than its parent's: one that is still to come.
    split_in_half(&kinesis, &parent).await;
    let stored = put(&kinesis, "k", "x").await;
    let request = ordered(stored.sequence_number.as_str());
    answer(&kinesis, "PutRecord", request).await;
    // 2, the second 1,700,000,000, zeros, and 1 in the last four bits.
    let high = 2_u128 << 56 | 1_700_000_000 << 20;
    let first_version = big_decimal(high, 1);
    answer(&kinesis, "PutRecord", ordered(&first_version)).await;
    let future = big_decimal(2_u128 << 56 | 1_900_000_000 << 20, 1);
    let error = refusal(&kinesis, "PutRecord", ordered(&future)).await;
    assert_eq!(error.code, "InvalidArgumentException");
}

/// The decimal text of `high * 2^128 + low`.
fn big_decimal(high: u128, low: u128) -> String {
    let mut digits = vec![0_u8; 60];
    for bit in (0..64).rev().map(|bit| high >> bit & 1) {
        double(&mut digits, bit);
    }
    for bit in (0..128).rev().map(|bit| low >> bit & 1) {
        double(&mut digits, bit);
    }
    let text: String = digits
        .iter()
        .map(|digit| char::from(b'0' + digit))
        .collect();
    text.trim_start_matches('0').to_owned()
}

fn double(digits: &mut [u8], bit: u128) {
    let mut carry = u8::from(bit == 1);
    for digit in digits.iter_mut().rev() {
        let sum = *digit * 2 + carry;
        (*digit, carry) = (sum % 10, sum / 10);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_operation_has_no_words_and_one_that_is_left_out_is_named() {
    let kinesis = start().await;
    let error = refusal(&kinesis, "MakeCoffee", json!({})).await;
    check(&error, "UnknownOperationException", "");
    for name in [
        "CreateChannel",
        "CreateQueue",
        "DescribeQueue",
        "ListQueues",
        "UpdateQueue",
        "DeleteQueue",
        "ReceiveQueueRecords",
        "AcknowledgeQueueRecords",
        "UpdateQueueRecordsVisibility",
        "ReceiveDeadLetterQueueRecords",
        "AcknowledgeDeadLetterQueueRecords",
        "UpdateDeadLetterQueueRecordsVisibility",
        "RestoreDeadLetterQueueRecords",
    ] {
        let error = refusal(&kinesis, name, json!({})).await;
        assert_eq!(error.code, "UnknownOperationException");
        assert!(error.message.contains(name), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_id_is_taken_and_ignored_and_the_summary_has_one() {
    let kinesis = start_with(1).await;
    let id = json!("abcdefghij0123456789-abc");
    let request = json!({"StreamName": STREAM, "StreamId": id});
    for name in [
        "DescribeStream",
        "ListShards",
        "ListTagsForStream",
        "DescribeStreamSummary",
    ] {
        answer(&kinesis, name, request.clone()).await;
    }
    let by_arn = json!({"StreamARN": STREAM_ARN, "StreamId": id});
    answer(&kinesis, "ListStreamConsumers", by_arn).await;
    let page = json!({"ShardIterator": iterator(&kinesis).await, "StreamId": id});
    answer(&kinesis, "GetRecords", page).await;
    let record = json!({"StreamName": STREAM, "StreamId": id, "Data": "", "PartitionKey": "k"});
    answer(&kinesis, "PutRecord", record).await;
    let arn = register(&kinesis).await;
    subscribe(&kinesis, &arn, &json!({"StreamId": id}))
        .await
        .unwrap();

    let summary = answer(&kinesis, "DescribeStreamSummary", request).await;
    let summary = &summary["StreamDescriptionSummary"];
    assert_eq!(summary["ChannelCount"], 0);
    assert_eq!(summary["QueueCount"], 0);
    let id = summary["StreamId"].as_str().unwrap();
    let (first, second) = id.split_once('-').unwrap();
    assert_eq!((first.len(), second.len()), (20, 3));
}
