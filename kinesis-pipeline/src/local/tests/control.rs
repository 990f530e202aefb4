//! The settings of streams, and resharding to a count.

use serde_json::{Value, json};

use super::*;

async fn answer(kinesis: &LocalKinesis, name: &str, request: Value) -> Value {
    by_name(&kinesis.core, name, request).await.unwrap()
}

async fn code(kinesis: &LocalKinesis, name: &str, request: Value) -> &'static str {
    error_of(by_name(&kinesis.core, name, request).await).code
}

async fn summary(kinesis: &LocalKinesis) -> Value {
    let answer = answer(
        kinesis,
        "DescribeStreamSummary",
        json!({"StreamName": STREAM}),
    )
    .await;
    answer["StreamDescriptionSummary"].clone()
}

fn scale(target: u32) -> Value {
    json!({"StreamName": STREAM, "TargetShardCount": target, "ScalingType": "UNIFORM_SCALING"})
}

#[tokio::test(start_paused = true)]
async fn scaling_splits_and_merges_so_that_every_child_has_its_parents() {
    let kinesis = start_with(2).await;
    let scaled = answer(&kinesis, "UpdateShardCount", scale(3)).await;
    assert_eq!(scaled["CurrentShardCount"], 2);
    assert_eq!(scaled["TargetShardCount"], 3);
    let all = shards(&kinesis).await;
    let open: Vec<_> = all.iter().filter(|shard| shard.is_open()).collect();
    assert_eq!(open.len(), 3);
    assert!(open.iter().all(|shard| shard.parents().count() > 0));
    let third = u128::MAX / 3;
    assert!(open.iter().all(|shard| {
        let range = shard.hash_key_range;
        (range.end.value() - range.start.value()).abs_diff(third) <= 3
    }));
    assert_eq!(summary(&kinesis).await["OpenShardCount"], 3);
}

#[tokio::test(start_paused = true)]
async fn scaling_goes_to_double_and_to_half_and_no_further() {
    let kinesis = start_with(3).await;
    for (target, refused) in [(7, true), (1, true), (6, false), (3, false), (2, false)] {
        let scaled = by_name(&kinesis.core, "UpdateShardCount", scale(target)).await;
        assert_eq!(scaled.is_err(), refused, "{target}");
    }
    assert_eq!(
        code(&kinesis, "UpdateShardCount", scale(9)).await,
        "InvalidArgumentException"
    );
}

#[tokio::test(start_paused = true)]
async fn retention_moves_within_its_bounds_and_in_its_direction() {
    let kinesis = start_with(1).await;
    let hours = |hours: u32| json!({"StreamName": STREAM, "RetentionPeriodHours": hours});
    let (longer, shorter) = (
        "IncreaseStreamRetentionPeriod",
        "DecreaseStreamRetentionPeriod",
    );
    answer(&kinesis, longer, hours(48)).await;
    for (name, value) in [(longer, 47), (longer, 8761), (shorter, 49), (shorter, 23)] {
        assert_eq!(
            code(&kinesis, name, hours(value)).await,
            "InvalidArgumentException"
        );
    }
    let shard = shards(&kinesis).await.remove(0).id;
    put(&kinesis, "k", "x").await;
    advance(Duration::from_hours(47)).await;
    assert_eq!(texts(&kinesis, &shard).await, ["x"]);
    answer(&kinesis, shorter, hours(24)).await;
    assert!(texts(&kinesis, &shard).await.is_empty());
    assert_eq!(summary(&kinesis).await["RetentionPeriodHours"], 24);
}

#[tokio::test(start_paused = true)]
async fn encryption_and_metrics_are_reported() {
    let kinesis = start_with(1).await;
    let key = json!({"StreamName": STREAM, "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis"});
    answer(&kinesis, "StartStreamEncryption", key.clone()).await;
    assert_eq!(summary(&kinesis).await["EncryptionType"], "KMS");
    assert_eq!(summary(&kinesis).await["KeyId"], "alias/aws/kinesis");
    let record = json!({"StreamName": STREAM, "Data": "", "PartitionKey": "k"});
    assert_eq!(
        answer(&kinesis, "PutRecord", record).await["EncryptionType"],
        "KMS"
    );
    answer(&kinesis, "StopStreamEncryption", key).await;
    assert_eq!(summary(&kinesis).await["EncryptionType"], "NONE");

    let all = json!({"StreamName": STREAM, "ShardLevelMetrics": ["ALL"]});
    let on = answer(&kinesis, "EnableEnhancedMonitoring", all).await;
    assert_eq!(on["DesiredShardLevelMetrics"].as_array().unwrap().len(), 7);
    let one = json!({"StreamName": STREAM, "ShardLevelMetrics": ["IncomingBytes"]});
    answer(&kinesis, "DisableEnhancedMonitoring", one).await;
    let metrics = &summary(&kinesis).await["EnhancedMonitoring"][0]["ShardLevelMetrics"];
    assert_eq!(metrics.as_array().unwrap().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn streams_and_consumers_have_tags_and_policies() {
    let kinesis = start_with(1).await;
    let register = json!({"StreamARN": STREAM_ARN, "ConsumerName": "c"});
    let consumer = answer(&kinesis, "RegisterStreamConsumer", register).await;
    for arn in [
        STREAM_ARN,
        consumer["Consumer"]["ConsumerARN"].as_str().unwrap(),
    ] {
        let tags = json!({"ResourceARN": arn, "Tags": {"team": "a", "stage": "test"}});
        answer(&kinesis, "TagResource", tags).await;
        let keys = json!({"ResourceARN": arn, "TagKeys": ["stage"]});
        answer(&kinesis, "UntagResource", keys).await;
        let resource = json!({"ResourceARN": arn});
        let tags = answer(&kinesis, "ListTagsForResource", resource.clone()).await;
        assert_eq!(tags["Tags"], json!([{"Key": "team", "Value": "a"}]));
        let policy = json!({"ResourceARN": arn, "Policy": "{\"Version\":\"2012-10-17\"}"});
        answer(&kinesis, "PutResourcePolicy", policy).await;
        let policy = answer(&kinesis, "GetResourcePolicy", resource.clone()).await;
        assert_eq!(policy["Policy"], "{\"Version\":\"2012-10-17\"}");
        answer(&kinesis, "DeleteResourcePolicy", resource.clone()).await;
        let missing = code(&kinesis, "DeleteResourcePolicy", resource).await;
        assert_eq!(missing, "ResourceNotFoundException");
    }
    let many = (0..50).map(|index| (format!("k{index}"), json!("v")));
    let many: serde_json::Map<_, _> = many.collect();
    let tags = json!({"StreamName": STREAM, "Tags": many});
    assert_eq!(
        code(&kinesis, "AddTagsToStream", tags).await,
        "InvalidArgumentException"
    );
    let page = json!({"StreamName": STREAM, "Limit": 1});
    let page = answer(&kinesis, "ListTagsForStream", page).await;
    assert_eq!(page["HasMoreTags"], false);
}

#[tokio::test(start_paused = true)]
async fn a_stream_on_demand_begins_with_four_shards_and_is_not_resharded_by_hand() {
    let kinesis = start().await;
    let mode = json!({"StreamMode": "ON_DEMAND"});
    let create = json!({"StreamName": STREAM, "StreamModeDetails": mode});
    answer(&kinesis, "CreateStream", create).await;
    assert_eq!(summary(&kinesis).await["OpenShardCount"], 4);
    assert_eq!(
        code(&kinesis, "UpdateShardCount", scale(8)).await,
        "ValidationException"
    );
    let back = json!({"StreamARN": STREAM_ARN, "StreamModeDetails": {"StreamMode": "PROVISIONED"}});
    answer(&kinesis, "UpdateStreamMode", back).await;
    answer(&kinesis, "UpdateShardCount", scale(8)).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_places_records_itself_ignores_their_keys() {
    let kinesis = start().await;
    let create = json!({"StreamName": STREAM, "StreamModeDetails": {"StreamMode": "ON_DEMAND"},
        "RecordDistributionStrategy": "AUTO"});
    answer(&kinesis, "CreateStream", create).await;
    assert_eq!(
        summary(&kinesis).await["RecordDistributionStrategy"],
        "AUTO"
    );
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..4 {
        seen.insert(put(&kinesis, "same", "x").await.shard_id);
    }
    assert_eq!(seen.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn records_of_up_to_10_mebibytes_are_taken_once_the_stream_says_so() {
    let kinesis = start_with(1).await;
    let big = || PutRecords::new(stream(), vec![record("k", vec![0; 2 * 1024 * 1024])]);
    assert!(kinesis.put_records(big()).await.is_err());
    let raise = json!({"StreamARN": STREAM_ARN, "MaxRecordSizeInKiB": 10_240});
    answer(&kinesis, "UpdateMaxRecordSize", raise).await;
    kinesis.put_records(big()).await.unwrap();
    assert_eq!(summary(&kinesis).await["MaxRecordSizeInKiB"], 10_240);
}

#[tokio::test(start_paused = true)]
async fn the_account_tells_its_limits_and_settings() {
    let kinesis = start_with(3).await;
    let limits = answer(&kinesis, "DescribeLimits", json!({})).await;
    assert_eq!(limits["OpenShardCount"], 3);
    assert_eq!(limits["ShardLimit"], 20_000);
    let on = json!({"MinimumThroughputBillingCommitment": {"Status": "ENABLED"}});
    answer(&kinesis, "UpdateAccountSettings", on).await;
    let settings = answer(&kinesis, "DescribeAccountSettings", json!({})).await;
    assert_eq!(
        settings["MinimumThroughputBillingCommitment"]["Status"],
        "ENABLED"
    );
}
