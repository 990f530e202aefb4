//! Restarts: the next Kinesis has all that the one before did.

use serde_json::json;

use super::*;
use crate::{
    local::operations::{
        add_tags_to_stream::AddTagsToStream, create_stream::CreateStream,
        delete_stream::DeleteStream, deregister_stream_consumer::DeregisterStreamConsumer,
        enable_enhanced_monitoring::EnableEnhancedMonitoring, get_records::GetRecords,
        get_shard_iterator::GetShardIterator,
        increase_stream_retention_period::IncreaseStreamRetentionPeriod, list_streams::ListStreams,
        merge_shards::MergeShards, put_record::PutRecord, put_records::PutRecords,
        put_resource_policy::PutResourcePolicy, register_stream_consumer::RegisterStreamConsumer,
        split_shard::SplitShard, start_stream_encryption::StartStreamEncryption,
        tag_resource::TagResource, update_account_settings::UpdateAccountSettings,
        update_max_record_size::UpdateMaxRecordSize, update_shard_count::UpdateShardCount,
        update_stream_mode::UpdateStreamMode,
        update_stream_record_distribution_strategy::UpdateStreamRecordDistributionStrategy,
        update_stream_warm_throughput::UpdateStreamWarmThroughput,
    },
    shard::SequenceNumber,
};

/// Carries out an operation, waits until its change is done, and compares with the same after a restart.
struct Run {
    scratch: Scratch,
    clock: Clock,
    kinesis: Option<LocalKinesis>,
}

impl Run {
    async fn start() -> Self {
        let (scratch, clock) = (Scratch::new(), clock());
        let kinesis = Some(start(&scratch.0, &clock).await.unwrap());
        Self {
            scratch,
            clock,
            kinesis,
        }
    }

    fn kinesis(&self) -> &LocalKinesis {
        self.kinesis.as_ref().unwrap()
    }

    async fn restart(&mut self) {
        let before = everything(self.kinesis());
        self.kinesis = None;
        self.kinesis = Some(start(&self.scratch.0, &self.clock).await.unwrap());
        assert_eq!(everything(self.kinesis()), before);
    }

    async fn step<O: Operation>(&mut self, request: Value) -> Value {
        let answer = call::<O>(self.kinesis(), request).await;
        let answer = answer.unwrap_or_else(|error| panic!("{}: {error}", O::NAME));
        self.restart().await;
        tokio::time::advance(Duration::from_millis(20)).await;
        self.restart().await;
        answer
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_put_and_resharded_is_there_after_a_restart_before_and_after_it_is_due() {
    let mut run = Run::start().await;
    run.step::<CreateStream>(
        json!({ "StreamName": STREAM, "ShardCount": 2, "Tags": { "a": "b" } }),
    )
    .await;
    run.step::<AddTagsToStream>(json!({ "StreamName": STREAM, "Tags": { "c": "d" } }))
        .await;
    run.step::<PutRecord>(json!({ "StreamName": STREAM, "PartitionKey": "k", "Data": "aGk=" }))
        .await;
    let entry = |key: u32| json!({ "PartitionKey": key.to_string(), "Data": "aGk=" });
    let entries: Vec<_> = (0..50).map(entry).collect();
    run.step::<PutRecords>(json!({ "StreamName": STREAM, "Records": entries }))
        .await;
    run.step::<SplitShard>(
        json!({ "StreamName": STREAM, "ShardToSplit": "shardId-000000000000",
        "NewStartingHashKey": "1000" }),
    )
    .await;
    run.step::<MergeShards>(
        json!({ "StreamName": STREAM, "ShardToMerge": "shardId-000000000002",
        "AdjacentShardToMerge": "shardId-000000000003" }),
    )
    .await;
    run.step::<UpdateShardCount>(json!({ "StreamName": STREAM, "TargetShardCount": 3,
        "ScalingType": "UNIFORM_SCALING" }))
        .await;
    run.step::<PutRecords>(json!({ "StreamName": STREAM, "Records": entries }))
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_every_operation_set_is_there_after_a_restart_before_and_after_it_is_due() {
    let mut run = Run::start().await;
    let arn = json!(STREAM_ARN);
    let consumer = "ConsumerARN";
    run.step::<CreateStream>(json!({ "StreamName": STREAM, "ShardCount": 2 }))
        .await;
    run.step::<IncreaseStreamRetentionPeriod>(
        json!({ "StreamName": STREAM, "RetentionPeriodHours": 48 }),
    )
    .await;
    run.step::<StartStreamEncryption>(
        json!({ "StreamName": STREAM, "EncryptionType": "KMS", "KeyId": "alias/aws/kinesis" }),
    )
    .await;
    run.step::<EnableEnhancedMonitoring>(
        json!({ "StreamName": STREAM, "ShardLevelMetrics": ["IncomingBytes"] }),
    )
    .await;
    run.step::<UpdateMaxRecordSize>(json!({ "StreamARN": arn, "MaxRecordSizeInKiB": 2048 }))
        .await;
    run.step::<UpdateStreamMode>(
        json!({ "StreamARN": arn, "StreamModeDetails": { "StreamMode": "ON_DEMAND" } }),
    )
    .await;
    run.step::<UpdateStreamWarmThroughput>(
        json!({ "StreamName": STREAM, "WarmThroughputMiBps": 10 }),
    )
    .await;
    run.step::<UpdateStreamRecordDistributionStrategy>(
        json!({ "StreamARN": arn, "RecordDistributionStrategy": "AUTO" }),
    )
    .await;
    run.step::<PutResourcePolicy>(json!({ "ResourceARN": arn, "Policy": "{}" }))
        .await;
    let registered = run
        .step::<RegisterStreamConsumer>(json!({ "StreamARN": arn, "ConsumerName": "c" }))
        .await;
    let consumer_arn = &registered["Consumer"][consumer];
    run.step::<TagResource>(json!({ "ResourceARN": consumer_arn, "Tags": { "e": "f" } }))
        .await;
    run.step::<DeregisterStreamConsumer>(json!({ consumer: consumer_arn }))
        .await;
    run.step::<UpdateAccountSettings>(
        json!({ "MinimumThroughputBillingCommitment": { "Status": "ENABLED" } }),
    )
    .await;
    run.step::<DeleteStream>(json!({ "StreamName": STREAM, "EnforceConsumerDeletion": true }))
        .await;
    let listed = run.step::<ListStreams>(json!({})).await;
    assert_eq!(listed["StreamNames"], json!([]));
}

async fn put(kinesis: &LocalKinesis) -> SequenceNumber {
    let request = json!({ "StreamName": STREAM, "PartitionKey": "k", "Data": "aGk=" });
    let answer = call::<PutRecord>(kinesis, request).await.unwrap();
    answer["SequenceNumber"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn sequence_numbers_go_on_increasing_although_all_records_have_expired() {
    let mut run = Run::start().await;
    run.step::<CreateStream>(json!({ "StreamName": STREAM, "ShardCount": 1 }))
        .await;
    let mut last = put(run.kinesis()).await;
    for _ in 0..3 {
        tokio::time::advance(Duration::from_hours(25)).await;
        run.restart().await;
        run.restart().await;
        let next = put(run.kinesis()).await;
        assert!(next > last);
        last = next;
    }
}

#[tokio::test(start_paused = true)]
async fn an_iterator_goes_on_after_a_restart_but_not_into_another_stream_of_the_name() {
    let mut run = Run::start().await;
    let create = json!({ "StreamName": STREAM, "ShardCount": 1 });
    run.step::<CreateStream>(create.clone()).await;
    put(run.kinesis()).await;
    let request = json!({ "StreamName": STREAM, "ShardId": "shardId-000000000000",
        "ShardIteratorType": "TRIM_HORIZON" });
    let iterator = call::<GetShardIterator>(run.kinesis(), request)
        .await
        .unwrap();
    run.restart().await;
    let page = run.step::<GetRecords>(iterator.clone()).await;
    assert_eq!(page["Records"].as_array().map(Vec::len), Some(1));
    run.step::<DeleteStream>(json!({ "StreamName": STREAM }))
        .await;
    run.step::<CreateStream>(create).await;
    let refused = call::<GetRecords>(run.kinesis(), iterator).await;
    assert!(refused.unwrap_err().contains("ResourceNotFoundException"));
}

#[tokio::test(start_paused = true)]
async fn a_stream_made_again_after_a_restart_has_later_numbers_than_before() {
    let mut run = Run::start().await;
    let mut before = None;
    for _ in 0..3 {
        let create = json!({ "StreamName": STREAM, "ShardCount": 1 });
        run.step::<CreateStream>(create).await;
        let number = Some(put(run.kinesis()).await);
        assert!(number > before);
        before = number;
        run.step::<DeleteStream>(json!({ "StreamName": STREAM }))
            .await;
    }
}
