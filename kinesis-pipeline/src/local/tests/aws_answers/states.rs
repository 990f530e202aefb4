//! Streams and consumers that are not active, and limits that are told after what is wrong with the request.

use super::*;

const NOT_ACTIVE: &str =
    "Stream readings under account 000000000000 not ACTIVE, instead in state CREATING";

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_being_created_takes_no_consumers_tags_or_policies() {
    let kinesis = builder()
        .transition(Duration::from_secs(1))
        .start()
        .await
        .unwrap();
    let create = json!({"StreamName": STREAM, "ShardCount": 1, "Tags": {"a": "b"}});
    answer(&kinesis, "CreateStream", create).await;
    let by_name = |more: Value| with(more, "StreamName", STREAM);
    let by_arn = |more: Value| with(more, "ResourceARN", STREAM_ARN);
    let calls = [
        (
            "RegisterStreamConsumer",
            json!({"StreamARN": STREAM_ARN, "ConsumerName": "c1"}),
        ),
        ("AddTagsToStream", by_name(json!({"Tags": {"k": "v"}}))),
        ("RemoveTagsFromStream", by_name(json!({"TagKeys": ["k"]}))),
        ("TagResource", by_arn(json!({"Tags": {"k": "v"}}))),
        ("UntagResource", by_arn(json!({"TagKeys": ["k"]}))),
        ("PutResourcePolicy", by_arn(json!({"Policy": "{}"}))),
        ("DeleteResourcePolicy", by_arn(json!({}))),
    ];
    for (name, request) in calls.clone() {
        let error = refusal(&kinesis, name, request).await;
        check(&error, "ResourceInUseException", NOT_ACTIVE);
    }
    let tags = answer(&kinesis, "ListTagsForStream", by_name(json!({}))).await;
    assert_eq!(tags["Tags"], json!([{"Key": "a", "Value": "b"}]));
    advance(Duration::from_secs(1)).await;
    for (name, request) in calls {
        answer(&kinesis, name, request).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_being_created_takes_no_policy() {
    let kinesis = slow(1).await;
    let arn = register(&kinesis).await;
    let policy = json!({"ResourceARN": arn, "Policy": "{}"});
    let error = refusal(&kinesis, "PutResourcePolicy", policy.clone()).await;
    check(
        &error,
        "ResourceInUseException",
        "Consumer c1 with creation timestamp 1795000000 under stream readings and account \
         000000000000 is not in ACTIVE status.",
    );
    advance(Duration::from_secs(1)).await;
    answer(&kinesis, "PutResourcePolicy", policy).await;
}

#[tokio::test(start_paused = true)]
async fn where_limits_hold_five_streams_are_created_at_once() {
    for (limited, fine) in [(true, 5), (false, 9)] {
        let builder = builder().transition(Duration::from_mins(1));
        let kinesis = builder.enforce_limits(limited).start().await.unwrap();
        let mut created = 0;
        for index in 0..9 {
            advance(Duration::from_secs(1)).await;
            let request = json!({"StreamName": format!("s{index}"), "ShardCount": 1});
            match by_name(&kinesis.core, "CreateStream", request).await {
                Ok(_) => created += 1,
                refused => assert_eq!(error_of(refused).code, "LimitExceededException"),
            }
        }
        assert_eq!(created, fine, "{limited}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_split_is_told_before_the_limit_of_shards() {
    let kinesis = builder().shard_limit(2).start().await.unwrap();
    kinesis.core.ensure_stream(STREAM, 2).unwrap();
    let create = json!({"StreamName": "demand"});
    answer(&kinesis, "CreateStream", create).await;
    for (stream, id, key, code) in [
        (STREAM, "shardId-5", "1000", "ResourceNotFoundException"),
        ("demand", SHARD, "1000", "ValidationException"),
        (STREAM, SHARD, "1", "LimitExceededException"),
        (STREAM, SHARD, "1000", "LimitExceededException"),
    ] {
        let request = json!({"StreamName": stream, "ShardToSplit": id, "NewStartingHashKey": key});
        let error = refusal(&kinesis, "SplitShard", request).await;
        assert_eq!(error.code, code, "{stream} {id} {key}");
    }
}
