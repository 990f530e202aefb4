//! Registered consumers and their subscriptions.

use futures_util::StreamExt;
use serde_json::{Value, json};

use super::*;
use crate::{
    local::operations::subscribe_to_shard::{self, Event, Subscription},
    shard::SequenceNumber,
};

async fn register(kinesis: &LocalKinesis, name: &str) -> String {
    let request = json!({"StreamARN": STREAM_ARN, "ConsumerName": name});
    let answer = by_name(&kinesis.core, "RegisterStreamConsumer", request)
        .await
        .unwrap();
    answer["Consumer"]["ConsumerARN"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn try_subscribe(
    kinesis: &LocalKinesis,
    arn: &str,
    shard: &str,
    start: Value,
) -> Result<Subscription, CallFailure> {
    let request = json!({"ConsumerARN": arn, "ShardId": shard, "StartingPosition": start});
    let request = serde_json::from_value(request).unwrap();
    subscribe_to_shard::open(&kinesis.core, request).await
}

async fn subscribe(kinesis: &LocalKinesis, arn: &str, kind: &str) -> Subscription {
    let start = json!({"Type": kind});
    try_subscribe(kinesis, arn, "shardId-000000000000", start)
        .await
        .unwrap()
}

async fn next(subscription: &mut Subscription) -> Event {
    subscription.next().await.unwrap().unwrap()
}

fn data(event: &Event) -> Vec<&[u8]> {
    event.records.iter().map(|record| &*record.data.0).collect()
}

#[tokio::test(start_paused = true)]
async fn a_subscription_begins_with_an_event_and_pushes_what_comes() {
    let kinesis = start_with(1).await;
    let arn = register(&kinesis, "c").await;
    put(&kinesis, "k", "before").await;
    let mut subscription = subscribe(&kinesis, &arn, "LATEST").await;
    let first = next(&mut subscription).await;
    assert!(first.records.is_empty() && first.continuation_sequence_number.is_some());
    let putter = kinesis.clone();
    let waiting = tokio::spawn(async move {
        let event = next(&mut subscription).await;
        (event, subscription)
    });
    tokio::task::yield_now().await;
    let stored = put(&putter, "k", "after").await;
    let (event, mut subscription) = waiting.await.unwrap();
    assert_eq!(data(&event), [b"after"]);
    let continuation = event.continuation_sequence_number.unwrap();
    let continuation: SequenceNumber = continuation.parse().unwrap();
    assert!(continuation > stored.sequence_number);
    assert_eq!(event.millis_behind_latest, 0);
    let before = kinesis.core.clock.now();
    assert!(
        next(&mut subscription).await.records.is_empty(),
        "a heartbeat"
    );
    let waited = kinesis.core.clock.now().duration_since(before).unwrap();
    assert_eq!(waited, Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_after_five_minutes() {
    let kinesis = start_with(1).await;
    let arn = register(&kinesis, "c").await;
    let before = kinesis.core.clock.now();
    let subscription = subscribe(&kinesis, &arn, "TRIM_HORIZON").await;
    let events: Vec<_> = subscription.collect().await;
    assert!(events.iter().all(Result::is_ok));
    let lived = kinesis.core.clock.now().duration_since(before).unwrap();
    assert_eq!(lived, Duration::from_mins(5));
    assert!((50..=61).contains(&events.len()), "{}", events.len());
}

#[tokio::test(start_paused = true)]
async fn the_continuation_of_an_empty_event_is_a_place_to_go_on() {
    let kinesis = start_with(1).await;
    let arn = register(&kinesis, "c").await;
    put(&kinesis, "k", "one").await;
    let mut subscription = subscribe(&kinesis, &arn, "LATEST").await;
    let number = next(&mut subscription)
        .await
        .continuation_sequence_number
        .unwrap();
    drop(subscription);
    put(&kinesis, "k", "two").await;
    advance(Duration::from_secs(5)).await;
    let start = json!({"Type": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": &*number});
    let shard = "shardId-000000000000";
    let mut subscription = try_subscribe(&kinesis, &arn, shard, start).await.unwrap();
    assert_eq!(data(&next(&mut subscription).await), [b"two"]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_shard_names_the_children_and_ends_the_subscription() {
    let builder = builder().transition(Duration::from_secs(1));
    let kinesis = builder.start().await.unwrap();
    kinesis.core.ensure_stream(STREAM, 1).unwrap();
    let arn = register(&kinesis, "c").await;
    advance(Duration::from_secs(1)).await;
    let mut subscription = subscribe(&kinesis, &arn, "TRIM_HORIZON").await;
    next(&mut subscription).await;
    let parent = shards(&kinesis).await.remove(0);
    split_in_half(&kinesis, &parent).await;
    // Nobody calls: the subscription itself finds out when the split is due.
    let last = next(&mut subscription).await;
    assert_eq!(last.continuation_sequence_number, None);
    let children: Vec<_> = last
        .child_shards
        .unwrap()
        .into_iter()
        .map(|c| c.shard_id)
        .collect();
    assert_eq!(children, ["shardId-000000000001", "shardId-000000000002"]);
    assert!(subscription.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_newer_subscription_takes_over_after_five_seconds() {
    let kinesis = start_with(1).await;
    let arn = register(&kinesis, "c").await;
    let mut first = subscribe(&kinesis, &arn, "LATEST").await;
    next(&mut first).await;
    let shard = "shardId-000000000000";
    let again = || try_subscribe(&kinesis, &arn, shard, json!({"Type": "LATEST"}));
    assert_eq!(error_of(again().await).code, "ResourceInUseException");
    advance(Duration::from_secs(5)).await;
    let mut second = again().await.unwrap();
    let over = first.next().await.unwrap().unwrap_err();
    assert_eq!(over.code, "ResourceInUseException");
    assert!(first.next().await.is_none());
    next(&mut second).await;
}

#[tokio::test(start_paused = true)]
async fn a_subscription_ends_when_its_consumer_or_stream_goes() {
    let kinesis = start_with(1).await;
    for (name, operation, request) in [
        (
            "a",
            "DeregisterStreamConsumer",
            json!({"StreamARN": STREAM_ARN, "ConsumerName": "a"}),
        ),
        (
            "b",
            "DeleteStream",
            json!({"StreamName": STREAM, "EnforceConsumerDeletion": true}),
        ),
    ] {
        let arn = register(&kinesis, name).await;
        let mut subscription = subscribe(&kinesis, &arn, "LATEST").await;
        next(&mut subscription).await;
        by_name(&kinesis.core, operation, request).await.unwrap();
        let over = subscription.next().await.unwrap().unwrap_err();
        assert_eq!(over.code, "ResourceNotFoundException");
    }
}

#[tokio::test(start_paused = true)]
async fn consumers_are_registered_described_listed_and_removed() {
    let builder = builder().transition(Duration::from_millis(500));
    let kinesis = builder.start().await.unwrap();
    kinesis.core.ensure_stream(STREAM, 1).unwrap();
    let arn = register(&kinesis, "c1").await;
    let core = &kinesis.core;
    let error = error_of(try_subscribe(&kinesis, &arn, "0", json!({"Type": "LATEST"})).await);
    assert_eq!(error.code, "ResourceInUseException");
    for name in ["c2", "c3", "c4", "c5"] {
        register(&kinesis, name).await;
    }
    let sixth = json!({"StreamARN": STREAM_ARN, "ConsumerName": "c6"});
    let error = error_of(by_name(core, "RegisterStreamConsumer", sixth).await);
    assert_eq!(error.code, "LimitExceededException");
    advance(Duration::from_millis(500)).await;
    let described = by_name(core, "DescribeStreamConsumer", json!({"ConsumerARN": arn}))
        .await
        .unwrap();
    assert_eq!(described["ConsumerDescription"]["ConsumerStatus"], "ACTIVE");
    assert_eq!(described["ConsumerDescription"]["StreamARN"], STREAM_ARN);
    let first = json!({"StreamARN": STREAM_ARN, "MaxResults": 3});
    let first = by_name(core, "ListStreamConsumers", first).await.unwrap();
    assert_eq!(first["Consumers"].as_array().unwrap().len(), 3);
    let rest = json!({"StreamARN": STREAM_ARN, "NextToken": first["NextToken"]});
    let rest = by_name(core, "ListStreamConsumers", rest).await.unwrap();
    assert_eq!(rest["Consumers"][0]["ConsumerName"], "c4");
    assert!(rest.get("NextToken").is_none());
    let delete = by_name(core, "DeleteStream", json!({"StreamName": STREAM})).await;
    assert_eq!(error_of(delete).code, "ResourceInUseException");
    by_name(
        core,
        "DeregisterStreamConsumer",
        json!({"ConsumerARN": arn}),
    )
    .await
    .unwrap();
    advance(Duration::from_millis(500)).await;
    let gone = by_name(core, "DescribeStreamConsumer", json!({"ConsumerARN": arn})).await;
    assert_eq!(error_of(gone).code, "ResourceNotFoundException");
}
