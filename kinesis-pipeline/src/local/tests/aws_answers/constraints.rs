//! Constraints of the model on members, and the words about them.

use super::*;

#[tokio::test(start_paused = true)]
async fn lists_of_metrics_have_one_to_seven() {
    let kinesis = start_with(1).await;
    for name in ["EnableEnhancedMonitoring", "DisableEnhancedMonitoring"] {
        for (metrics, words) in [
            (
                json!([]),
                "Value '[]' at 'shardLevelMetrics' failed to satisfy constraint: Member must have length greater than or equal to 1",
            ),
            (
                json!(["ALL", "ALL", "ALL", "ALL", "ALL", "ALL", "ALL", "ALL"]),
                "Value '[ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL]' at 'shardLevelMetrics' failed to satisfy constraint: Member must have length less than or equal to 7",
            ),
        ] {
            let request = json!({"StreamName": STREAM, "ShardLevelMetrics": metrics});
            let error = refusal(&kinesis, name, request).await;
            check(
                &error,
                "ValidationException",
                &format!("1 validation error detected: {words}"),
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_warm_throughput_is_not_negative_and_of_streams_on_demand() {
    let kinesis = start_with(1).await;
    answer(&kinesis, "CreateStream", json!({"StreamName": "demand"})).await;
    let on_demand = json!({"StreamMode": "ON_DEMAND"});
    let provisioned = json!({"StreamMode": "PROVISIONED"});
    let mode = |details: &Value, warm: i64| {
        json!({"StreamARN": STREAM_ARN, "StreamModeDetails": details,
            "WarmThroughputMiBps": warm})
    };
    for (name, request) in [
        (
            "CreateStream",
            json!({"StreamName": "new", "WarmThroughputMiBps": -1}),
        ),
        (
            "UpdateStreamWarmThroughput",
            json!({"StreamName": "demand", "WarmThroughputMiBps": -1}),
        ),
        ("UpdateStreamMode", mode(&on_demand, -1)),
        ("UpdateStreamMode", mode(&provisioned, 10)),
    ] {
        let error = refusal(&kinesis, name, request).await;
        assert_eq!(error.code, "ValidationException", "{name}");
    }
    answer(&kinesis, "UpdateStreamMode", mode(&on_demand, 10)).await;
    let described = json!({"StreamName": STREAM});
    let summary = answer(&kinesis, "DescribeStreamSummary", described).await;
    let warm = &summary["StreamDescriptionSummary"]["WarmThroughput"];
    assert_eq!(warm["TargetMiBps"], 10);
}

#[tokio::test(start_paused = true)]
async fn details_of_a_mode_have_a_mode() {
    let kinesis = start().await;
    let create = json!({"StreamName": "new", "ShardCount": 1, "StreamModeDetails": {}});
    let error = refusal(&kinesis, "CreateStream", create).await;
    check(
        &error,
        "ValidationException",
        "1 validation error detected: Value null at 'streamModeDetails.streamMode' failed to \
         satisfy constraint: Member must not be null",
    );
}

#[tokio::test(start_paused = true)]
async fn tags_that_are_too_long_are_told_with_all_of_them() {
    let kinesis = start_with(1).await;
    let bounds = |least: usize, most: usize| {
        format!(
            "must satisfy constraint: [Member must have length less than or equal to {most}, \
             Member must have length greater than or equal to {least}]"
        )
    };
    let (key, value) = ("k".repeat(129), "v".repeat(257));
    for (tags, words) in [
        (json!({}), "Value '{}' at 'tags' failed to satisfy constraint: Member must have length greater than or equal to 1".to_owned()),
        (json!({"a": "b", &key: "v"}), format!("Value '{{a=b, {key}=v}}' at 'tags' failed to satisfy constraint: Map keys {}", bounds(1, 128))),
        (json!({"k": value}), format!("Value '{{k={value}}}' at 'tags' failed to satisfy constraint: Map value {}", bounds(0, 256))),
    ] {
        let words = format!("1 validation error detected: {words}");
        let by_name = json!({"StreamName": STREAM, "Tags": tags});
        let error = refusal(&kinesis, "AddTagsToStream", by_name).await;
        check(&error, "ValidationException", &words);
        let by_arn = json!({"ResourceARN": STREAM_ARN, "Tags": tags});
        let error = refusal(&kinesis, "TagResource", by_arn).await;
        check(&error, "ValidationException", &words);
    }
    let words = format!(
        "1 validation error detected: Value '[a, {key}]' at 'tagKeys' failed to satisfy constraint: Member {}",
        bounds(1, 128)
    );
    let request = json!({"StreamName": STREAM, "TagKeys": ["a", key]});
    let error = refusal(&kinesis, "RemoveTagsFromStream", request).await;
    check(&error, "ValidationException", &words);
}

#[tokio::test(start_paused = true)]
async fn a_list_is_no_structure() {
    let kinesis = start_with(1).await;
    for (name, request) in [
        (
            "PutRecords",
            json!({"StreamName": STREAM, "Records": [["eA==", "k", null]]}),
        ),
        (
            "CreateStream",
            json!({"StreamName": "new", "StreamModeDetails": ["ON_DEMAND"]}),
        ),
        (
            "ListShards",
            json!({"StreamName": STREAM, "ShardFilter": ["AT_LATEST", null, null]}),
        ),
        (
            "UpdateAccountSettings",
            json!({"MinimumThroughputBillingCommitment": ["ENABLED"]}),
        ),
    ] {
        let error = refusal(&kinesis, name, request).await;
        assert_eq!(error.code, "SerializationException", "{name}");
        assert!(error.message.contains("expected struct"), "{error}");
    }
    let position = json!({"StartingPosition": ["LATEST", null, null]});
    let read: Result<subscribe_to_shard::Request, _> = serde_json::from_value(position);
    read.unwrap_err();
    assert!(texts(&kinesis, &SHARD.into()).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_not_there_is_told_before_the_characters_of_tags() {
    let kinesis = start().await;
    let by_name = |more: Value| with(more, "StreamName", STREAM);
    let by_arn = |more: Value| with(more, "ResourceARN", STREAM_ARN);
    for (name, request) in [
        ("AddTagsToStream", by_name(json!({"Tags": {"a;b": "c"}}))),
        ("RemoveTagsFromStream", by_name(json!({"TagKeys": ["a;b"]}))),
        ("TagResource", by_arn(json!({"Tags": {"a;b": "c"}}))),
        ("UntagResource", by_arn(json!({"TagKeys": ["a;b"]}))),
    ] {
        let error = refusal(&kinesis, name, request).await;
        assert_eq!(error.code, "ResourceNotFoundException", "{name}");
    }
}
