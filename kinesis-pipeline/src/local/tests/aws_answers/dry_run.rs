//! Calls that ask for their checks alone.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_dry_run_checks_and_does_nothing() {
    let kinesis = start_with(1).await;
    let place = iterator(&kinesis).await;
    let record = json!({"Data": "eA==", "PartitionKey": "k"});
    let calls = [
        (
            "PutRecord",
            json!({"StreamName": STREAM, "Data": "eA==", "PartitionKey": "k"}),
            json!({"PartitionKey": ""}),
        ),
        (
            "PutRecords",
            json!({"StreamName": STREAM, "Records": [record]}),
            json!({"Records": []}),
        ),
        (
            "GetRecords",
            json!({"ShardIterator": place}),
            json!({"Limit": 0}),
        ),
        (
            "GetShardIterator",
            json!({"StreamName": STREAM, "ShardId": SHARD, "ShardIteratorType": "LATEST"}),
            json!({"ShardIteratorType": "SOMEWHERE"}),
        ),
    ];
    for (name, mut request, wrong) in calls {
        request["DryRun"] = json!(true);
        let error = refusal(&kinesis, name, request.clone()).await;
        assert_eq!(error.code, "DryRunOperationException", "{name}");
        for (member, value) in wrong.as_object().unwrap() {
            request[member] = value.clone();
        }
        let error = refusal(&kinesis, name, request.clone()).await;
        assert_eq!(error.code, "ValidationException", "{name}");
    }
    assert!(texts(&kinesis, &SHARD.into()).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_of_a_missing_stream_is_refused_as_the_call_would_be() {
    let kinesis = start().await;
    for (name, request) in [
        ("PutRecord", json!({"Data": "", "PartitionKey": "k"})),
        (
            "PutRecords",
            json!({"Records": [{"Data": "", "PartitionKey": "k"}]}),
        ),
        (
            "GetShardIterator",
            json!({"ShardId": SHARD, "ShardIteratorType": "LATEST"}),
        ),
    ] {
        let mut request = request;
        request["StreamName"] = json!("missing");
        request["DryRun"] = json!(true);
        let error = refusal(&kinesis, name, request).await;
        assert_eq!(error.code, "ResourceNotFoundException", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_of_a_subscription_leaves_the_consumer_free() {
    let kinesis = start_with(1).await;
    let arn = register(&kinesis).await;
    let dry = subscribe(&kinesis, &arn, &json!({"DryRun": true})).await;
    assert_eq!(error_of(dry).code, "DryRunOperationException");
    subscribe(&kinesis, &arn, &json!({})).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_takes_nothing_of_a_rate() {
    let kinesis = builder().enforce_limits(true).start().await.unwrap();
    kinesis.core.ensure_stream(STREAM, 1).unwrap();
    for _ in 0..20 {
        let request = json!({"StreamName": STREAM, "ShardId": SHARD,
            "ShardIteratorType": "LATEST", "DryRun": true});
        let error = refusal(&kinesis, "GetShardIterator", request).await;
        assert_eq!(error.code, "DryRunOperationException");
    }
}

#[tokio::test(start_paused = true)]
async fn dry_run_false_is_a_call_as_any_other() {
    let kinesis = start_with(1).await;
    let request = json!({"StreamName": STREAM, "Data": "eA==", "PartitionKey": "k",
        "DryRun": false});
    answer(&kinesis, "PutRecord", request).await;
    assert_eq!(texts(&kinesis, &SHARD.into()).await, ["x"]);
}
