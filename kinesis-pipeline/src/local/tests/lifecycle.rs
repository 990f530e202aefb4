//! Streams come, change and go.

use serde_json::json;

use super::*;
use crate::{
    local::operations::{
        create_stream::CreateStream, delete_stream::DeleteStream, describe_stream::DescribeStream,
        describe_stream_summary::DescribeStreamSummary, list_streams::ListStreams,
        put_record::PutRecord,
    },
    service::{DescribeStreamSummary as Describe, StreamStatus},
};

async fn slow() -> LocalKinesis {
    let builder = builder().transition(Duration::from_millis(500));
    builder.start().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_usable_once_its_creation_is_over() {
    let kinesis = slow().await;
    let core = &kinesis.core;
    json::<CreateStream>(core, json!({"StreamName": STREAM, "ShardCount": 1}))
        .await
        .unwrap();
    let record = json!({"StreamName": STREAM, "PartitionKey": "k", "Data": "aGk="});
    let error = json::<PutRecord>(core, record.clone()).await.unwrap_err();
    assert_eq!(error.code, "ResourceNotFoundException");
    assert_eq!(
        error.message,
        "Stream readings under account 000000000000 not found."
    );
    advance(Duration::from_millis(500)).await;
    json::<PutRecord>(core, record).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deleted_stream_goes_and_its_name_is_free_again() {
    let kinesis = slow().await;
    kinesis.core.ensure_stream(STREAM, 1).unwrap();
    let core = &kinesis.core;
    json::<DeleteStream>(core, json!({"StreamName": STREAM}))
        .await
        .unwrap();
    let describe = kinesis
        .describe_stream_summary(Describe::new(stream()))
        .await;
    assert_eq!(describe.unwrap().status, StreamStatus::Deleting);
    let create = json!({"StreamName": STREAM, "ShardCount": 1});
    let error = json::<CreateStream>(core, create.clone())
        .await
        .unwrap_err();
    assert_eq!(error.code, "ResourceInUseException");
    advance(Duration::from_millis(500)).await;
    let error = json::<DescribeStream>(core, json!({"StreamName": STREAM}))
        .await
        .unwrap_err();
    assert_eq!(error.code, "ResourceNotFoundException");
    json::<CreateStream>(core, create).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_iterator_of_a_deleted_stream_is_not_found_in_its_successor() {
    let kinesis = start_with(1).await;
    let shard = shards(&kinesis).await.remove(0);
    let call = GetShardIterator::new(stream(), shard.id, IteratorStart::TrimHorizon);
    let iterator = kinesis.get_shard_iterator(call).await.unwrap();
    let delete = json!({"StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/readings"});
    json::<DeleteStream>(&kinesis.core, delete).await.unwrap();
    kinesis.core.ensure_stream(STREAM, 1).unwrap();
    let error = kinesis
        .get_records(GetRecords::new(stream(), iterator))
        .await
        .unwrap_err();
    assert_eq!(error.code.as_deref(), Some("ResourceNotFoundException"));
}

#[tokio::test(start_paused = true)]
async fn descriptions_have_the_services_members() {
    let kinesis = start_with(2).await;
    let name = json!({"StreamName": STREAM});
    let summary = json::<DescribeStreamSummary>(&kinesis.core, name.clone())
        .await
        .unwrap();
    let summary = &summary["StreamDescriptionSummary"];
    assert_eq!(summary["StreamStatus"], "ACTIVE");
    assert_eq!(summary["OpenShardCount"], 2);
    assert_eq!(summary["RetentionPeriodHours"], 24);
    assert_eq!(summary["StreamCreationTimestamp"], 1_795_000_000.0);
    assert_eq!(summary["StreamModeDetails"]["StreamMode"], "PROVISIONED");
    let description = json::<DescribeStream>(&kinesis.core, name).await.unwrap();
    let shard = &description["StreamDescription"]["Shards"][1];
    assert_eq!(shard["ShardId"], "shardId-000000000001");
    assert_eq!(
        shard["HashKeyRange"]["StartingHashKey"],
        "170141183460469231731687303715884105728"
    );
}

#[tokio::test(start_paused = true)]
async fn streams_are_listed_by_name_in_pages() {
    let kinesis = start().await;
    for name in ["c", "a", "b"] {
        kinesis.core.ensure_stream(name, 1).unwrap();
    }
    let first = json::<ListStreams>(&kinesis.core, json!({"Limit": 2}))
        .await
        .unwrap();
    assert_eq!(first["StreamNames"], json!(["a", "b"]));
    assert_eq!(first["HasMoreStreams"], true);
    let start = json!({"ExclusiveStartStreamName": "b"});
    let rest = json::<ListStreams>(&kinesis.core, start).await.unwrap();
    assert_eq!(rest["StreamNames"], json!(["c"]));
    assert_eq!(rest["HasMoreStreams"], false);
    let next = json!({"NextToken": first["NextToken"]});
    let rest = json::<ListStreams>(&kinesis.core, next).await.unwrap();
    assert_eq!(rest["StreamSummaries"][0]["StreamName"], "c");
}

#[tokio::test(start_paused = true)]
async fn the_shard_limit_of_the_account_holds() {
    let kinesis = builder().shard_limit(3).start().await.unwrap();
    let core = &kinesis.core;
    let create = |count: u32| json!({"StreamName": format!("s{count}"), "ShardCount": count});
    json::<CreateStream>(core, create(2)).await.unwrap();
    let error = json::<CreateStream>(core, create(4)).await.unwrap_err();
    assert_eq!(error.code, "LimitExceededException");
    json::<CreateStream>(core, create(1)).await.unwrap();
    let error = json::<CreateStream>(core, create(1)).await.unwrap_err();
    assert_eq!(error.code, "ResourceInUseException");
}

#[tokio::test(start_paused = true)]
async fn an_arn_of_elsewhere_and_no_name_at_all_are_refused() {
    let kinesis = start_with(1).await;
    for (arn, code) in [
        (
            "arn:aws:kinesis:us-east-1:000000000000:stream/readings",
            None,
        ),
        (
            "arn:aws:kinesis:eu-west-1:000000000000:stream/readings",
            Some("ResourceNotFoundException"),
        ),
        (
            "arn:aws:kinesis:us-east-1:111111111111:stream/readings",
            Some("ResourceNotFoundException"),
        ),
        ("readings", Some("ValidationException")),
    ] {
        let described = json::<DescribeStream>(&kinesis.core, json!({"StreamARN": arn})).await;
        assert_eq!(described.err().map(|error| error.code), code, "{arn}");
    }
    let error = json::<DescribeStream>(&kinesis.core, json!({}))
        .await
        .unwrap_err();
    assert_eq!(error.code, "InvalidArgumentException");
}

#[tokio::test(start_paused = true)]
async fn a_handle_waits_until_its_stream_is_usable() {
    let kinesis = slow().await;
    let create = json!({"StreamName": STREAM, "ShardCount": 2});
    json::<CreateStream>(&kinesis.core, create).await.unwrap();
    let before = now(&kinesis);
    kinesis.stream::<bytes::Bytes>(STREAM, 1).await.unwrap();
    let waited = now(&kinesis).duration_since(before).unwrap();
    assert_eq!(waited, Duration::from_millis(500));
    assert_eq!(shards(&kinesis).await.len(), 2, "the stream that was there");
}

#[tokio::test(start_paused = true)]
async fn no_record_shows_when_the_kinesis_is_printed() {
    let kinesis = start_with(1).await;
    put(&kinesis, "secret-key", "secret-data").await;
    let shown = format!("{kinesis:?} {:?} {:?}", kinesis.faults(), kinesis.core);
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_made_again_within_a_second_has_later_numbers_than_before() {
    let kinesis = start_with(2).await;
    for _ in 0..3 {
        let before = put(&kinesis, "a", "1").await.sequence_number;
        let delete = json!({"StreamName": STREAM});
        json::<DeleteStream>(&kinesis.core, delete).await.unwrap();
        // Another stream's creation does not let it be forgotten.
        kinesis.core.ensure_stream("other", 1).unwrap();
        kinesis.core.ensure_stream(STREAM, 2).unwrap();
        for shard in shards(&kinesis).await {
            assert!(shard.starting_sequence_number > before);
        }
    }
}
