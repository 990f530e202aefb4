//! Tests of injected faults, as a client at the other end of the socket sees them.

use aws_sdk_kinesis::{
    Client, config::retry::RetryConfig, error::SdkError, primitives::Blob, types::ShardIteratorType,
};
use kinesis_pipeline::local::{Fault, LocalKinesis, LocalServer};

use crate::sdk::{STREAM, iterator, page, texts};

const SHARD: &str = "shardId-000000000000";

/// Returns a Kinesis with one stream and this fault, and a client without retries.
async fn served(fault: Fault) -> (LocalServer, Client) {
    let local = LocalKinesis::start().await.unwrap();
    local.stream::<bytes::Bytes>(STREAM, 1).await.unwrap();
    local.faults().add(fault).unwrap();
    let server = local.serve("127.0.0.1:0").await.unwrap();
    let config = server
        .kinesis_config()
        .retry_config(RetryConfig::disabled());
    (server, Client::from_conf(config.build()))
}

#[tokio::test]
async fn a_lost_answer_is_a_closed_connection_and_the_record_is_stored() {
    let (_server, client) = served(Fault::lose_response().on("PutRecord")).await;
    let call = client
        .put_record()
        .stream_name(STREAM)
        .partition_key("key")
        .data(Blob::new("one"));
    let error = call.send().await.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    let place = iterator(&client, SHARD, ShardIteratorType::TrimHorizon, None).await;
    assert_eq!(texts(&page(&client, place).await), ["one"]);
}

#[tokio::test]
async fn an_expired_iterator_is_the_typed_error_of_the_sdk() {
    let (_server, client) = served(Fault::expire_iterator()).await;
    let place = iterator(&client, SHARD, ShardIteratorType::TrimHorizon, None).await;
    let error = client
        .get_records()
        .shard_iterator(place)
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_expired_iterator_exception());
}

#[tokio::test]
async fn a_failure_of_the_service_has_status_500() {
    let (_server, client) = served(Fault::fail().on("ListStreams")).await;
    let error = client.list_streams().send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 500);
}
