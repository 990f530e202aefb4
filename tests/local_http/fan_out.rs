//! Tests of subscriptions of the official SDK, over HTTP/1.1 without TLS, frame by frame.

use std::time::Duration;

use aws_sdk_kinesis::{
    Client,
    error::ProvideErrorMetadata,
    operation::subscribe_to_shard::SubscribeToShardOutput,
    types::{
        ShardIteratorType, StartingPosition, SubscribeToShardEvent, SubscribeToShardEventStream,
    },
};
use aws_smithy_cbor::protocol::RpcV2CborProtocol;
use futures_util::StreamExt;
use kinesis_pipeline::service::{
    DeregisterStreamConsumer, DescribeStreamSummary, ErrorClass, IteratorStart,
    RegisterStreamConsumer, SubscribeToShard,
};

use crate::sdk::{STREAM, put, served};

const SHARD: &str = "shardId-000000000000";
/// The longest wait of these tests for an event.
const EVENT_WAIT_MAX: Duration = Duration::from_secs(20);

async fn consumer(client: &Client) -> String {
    let summary = client
        .describe_stream_summary()
        .stream_name(STREAM)
        .send()
        .await
        .unwrap();
    let stream = summary.stream_description_summary.unwrap().stream_arn;
    let call = client
        .register_stream_consumer()
        .stream_arn(stream)
        .consumer_name("check");
    call.send().await.unwrap().consumer.unwrap().consumer_arn
}

async fn subscribe(client: &Client, consumer: &str) -> SubscribeToShardOutput {
    let start = StartingPosition::builder()
        .r#type(ShardIteratorType::TrimHorizon)
        .build()
        .unwrap();
    let call = client
        .subscribe_to_shard()
        .consumer_arn(consumer)
        .shard_id(SHARD);
    call.starting_position(start).send().await.unwrap()
}

/// Returns the next event; `None` at the end of the subscription.
async fn next(subscription: &mut SubscribeToShardOutput) -> Option<SubscribeToShardEvent> {
    let event = tokio::time::timeout(EVENT_WAIT_MAX, subscription.event_stream.recv());
    match event.await.unwrap().unwrap()? {
        SubscribeToShardEventStream::SubscribeToShardEvent(event) => Some(event),
        other => panic!("another event: {other:?}"),
    }
}

/// Returns the data of the next `count` records.
async fn records(subscription: &mut SubscribeToShardOutput, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let event = next(subscription).await.expect("the subscription goes on");
        assert!(!event.continuation_sequence_number.is_empty());
        let data = event
            .records
            .into_iter()
            .map(|record| record.data.into_inner());
        texts.extend(data.map(|bytes| String::from_utf8(bytes).unwrap()));
    }
    texts
}

#[tokio::test]
async fn a_subscription_gives_what_is_stored_and_then_what_is_put() {
    let (_server, client) = served(1).await;
    put(&client, "key", "one").await;
    let consumer = consumer(&client).await;
    let mut subscription = subscribe(&client, &consumer).await;
    assert_eq!(records(&mut subscription, 1).await, ["one"]);
    put(&client, "key", "two").await;
    assert_eq!(records(&mut subscription, 1).await, ["two"]);
}

#[tokio::test]
async fn a_subscription_speaks_the_protocol_of_its_request() {
    let (server, client) = served(1).await;
    put(&client, "key", "one").await;
    let consumer = consumer(&client).await;
    let config = server.kinesis_config().protocol(RpcV2CborProtocol::new());
    let cbor = Client::from_conf(config.build());
    let mut subscription = subscribe(&cbor, &consumer).await;
    assert_eq!(records(&mut subscription, 1).await, ["one"]);
}

#[tokio::test]
async fn a_subscription_to_a_shard_that_was_split_ends_with_its_children() {
    let (_server, client) = served(1).await;
    put(&client, "key", "one").await;
    let consumer = consumer(&client).await;
    let mut subscription = subscribe(&client, &consumer).await;
    assert_eq!(records(&mut subscription, 1).await, ["one"]);
    let split = client
        .split_shard()
        .stream_name(STREAM)
        .shard_to_split(SHARD);
    let half = (u128::MAX / 2 + 1).to_string();
    split.new_starting_hash_key(half).send().await.unwrap();
    let mut last = None;
    while let Some(event) = next(&mut subscription).await {
        last = Some(event);
    }
    let children = last.unwrap().child_shards.unwrap();
    assert_eq!(children.len(), 2);
}

#[tokio::test]
async fn a_stopping_server_ends_its_subscriptions() {
    let (server, client) = served(1).await;
    put(&client, "key", "one").await;
    let consumer = consumer(&client).await;
    let mut subscription = subscribe(&client, &consumer).await;
    assert_eq!(records(&mut subscription, 1).await, ["one"]);
    let stop = tokio::spawn(server.stop());
    while next(&mut subscription).await.is_some() {}
    drop(client);
    tokio::time::timeout(EVENT_WAIT_MAX, stop)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn an_unknown_consumer_cannot_subscribe() {
    let (_server, client) = served(1).await;
    let arn = consumer(&client).await.replace("/check:", "/nobody:");
    let start = StartingPosition::builder()
        .r#type(ShardIteratorType::Latest)
        .build()
        .unwrap();
    let call = client
        .subscribe_to_shard()
        .consumer_arn(arn)
        .shard_id(SHARD);
    let error = call
        .starting_position(start)
        .send()
        .await
        .unwrap_err()
        .into_service_error();
    assert_eq!(error.code(), Some("ResourceNotFoundException"), "{error:?}");
}

#[tokio::test]
async fn an_exception_among_the_events_is_an_error_with_the_code_of_the_service() {
    let (_server, client) = served(1).await;
    let stream = kinesis_pipeline::KinesisStream::<bytes::Bytes>::with_client(client, STREAM);
    let service = stream.service();
    let summary = DescribeStreamSummary::new(stream.id().clone());
    let arn = service.describe_stream_summary(summary).await.unwrap().arn;
    let register = RegisterStreamConsumer::new(&arn, "check");
    let consumer = service.register_stream_consumer(register).await.unwrap();
    let start = IteratorStart::Latest;
    let call = SubscribeToShard::new(consumer.arn, SHARD.into(), start);
    let mut subscription = service.subscribe_to_shard(call).await.unwrap();
    assert!(subscription.next().await.unwrap().is_ok());
    let deregister = DeregisterStreamConsumer::new(&arn, "check");
    service
        .deregister_stream_consumer(deregister)
        .await
        .unwrap();
    let error = tokio::time::timeout(EVENT_WAIT_MAX, async {
        loop {
            if let Err(error) = subscription.next().await.expect("an error before the end") {
                return error;
            }
        }
    });
    let error = error.await.unwrap();
    assert_eq!(error.class, ErrorClass::NotFound, "{error:?}");
    assert!(
        error.to_string().contains("ResourceNotFoundException"),
        "{error}"
    );
    assert!(subscription.next().await.is_none());
}
