//! Any history, restarted anywhere, is the history of a Kinesis that never stopped.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::local::operations::{
    create_stream::CreateStream, delete_stream::DeleteStream,
    deregister_stream_consumer::DeregisterStreamConsumer, merge_shards::MergeShards,
    put_records::PutRecords, register_stream_consumer::RegisterStreamConsumer,
    remove_tags_from_stream::RemoveTagsFromStream, split_shard::SplitShard,
    tag_resource::TagResource, update_shard_count::UpdateShardCount,
};

#[derive(Clone, Debug)]
enum Step {
    Create(u8),
    Delete,
    Put(Vec<(u128, usize)>),
    Split(u8, u128),
    Merge(u8, u8),
    Spread(u8),
    Tag(u8),
    Untag(u8),
    Register(u8),
    Deregister(u8),
    Advance(u64),
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let record = (any::<u128>(), 0_usize..6_000);
    prop_oneof![
        1 => (1_u8..4).prop_map(Step::Create),
        1 => Just(Step::Delete),
        8 => prop::collection::vec(record, 1..20).prop_map(Step::Put),
        2 => (0_u8..6, any::<u128>()).prop_map(|(shard, key)| Step::Split(shard, key)),
        1 => (0_u8..6, 0_u8..6).prop_map(|(one, other)| Step::Merge(one, other)),
        1 => (1_u8..6).prop_map(Step::Spread),
        1 => any::<u8>().prop_map(Step::Tag),
        1 => any::<u8>().prop_map(Step::Untag),
        1 => (0_u8..3).prop_map(Step::Register),
        1 => (0_u8..3).prop_map(Step::Deregister),
        4 => prop_oneof![Just(1_u64), Just(20), 0_u64..100_000, Just(3_600_000 * 13)].prop_map(Step::Advance),
        3 => Just(Step::Restart),
    ]
}

fn shard(index: u8) -> String {
    format!("shardId-{index:012}")
}

/// Carries out a step; what is refused is part of the history.
async fn take(kinesis: &LocalKinesis, step: &Step) -> Result<Value, String> {
    let name = json!(STREAM);
    match step {
        Step::Create(shards) => {
            call::<CreateStream>(
                kinesis,
                json!({ "StreamName": name, "ShardCount": u32::from(*shards) }),
            )
            .await
        }
        Step::Delete => {
            let request = json!({ "StreamName": name, "EnforceConsumerDeletion": true });
            call::<DeleteStream>(kinesis, request).await
        }
        Step::Put(records) => {
            let entry = |(key, size): &(u128, usize)| json!({ "PartitionKey": "k", "ExplicitHashKey": key.to_string(), "Data": "aaaa".repeat(size / 4) });
            let records: Vec<_> = records.iter().map(entry).collect();
            call::<PutRecords>(kinesis, json!({ "StreamName": name, "Records": records })).await
        }
        Step::Split(index, key) => {
            let request = json!({ "StreamName": name, "ShardToSplit": shard(*index), "NewStartingHashKey": key.to_string() });
            call::<SplitShard>(kinesis, request).await
        }
        Step::Merge(one, other) => {
            let request = json!({ "StreamName": name, "ShardToMerge": shard(*one), "AdjacentShardToMerge": shard(*other) });
            call::<MergeShards>(kinesis, request).await
        }
        Step::Spread(count) => {
            let request = json!({ "StreamName": name, "TargetShardCount": u32::from(*count), "ScalingType": "UNIFORM_SCALING" });
            call::<UpdateShardCount>(kinesis, request).await
        }
        Step::Tag(tag) => {
            let tags = json!({ format!("t{}", tag % 4): tag.to_string() });
            call::<TagResource>(kinesis, json!({ "ResourceARN": STREAM_ARN, "Tags": tags })).await
        }
        Step::Untag(tag) => {
            let request = json!({ "StreamName": name, "TagKeys": [format!("t{}", tag % 4)] });
            call::<RemoveTagsFromStream>(kinesis, request).await
        }
        Step::Register(consumer) => {
            let request =
                json!({ "StreamARN": STREAM_ARN, "ConsumerName": format!("c{consumer}") });
            call::<RegisterStreamConsumer>(kinesis, request).await
        }
        Step::Deregister(consumer) => {
            let request =
                json!({ "StreamARN": STREAM_ARN, "ConsumerName": format!("c{consumer}") });
            call::<DeregisterStreamConsumer>(kinesis, request).await
        }
        Step::Advance(millis) => {
            tokio::time::advance(Duration::from_millis(*millis)).await;
            Ok(json!({}))
        }
        Step::Restart => Ok(json!({})),
    }
}

async fn compare(steps: Vec<Step>) {
    let (scratch, clock) = (Scratch::new(), clock());
    let lasting = builder(&clock).start().await.unwrap();
    let mut durable = start(&scratch.0, &clock).await.unwrap();
    for step in &steps {
        match step {
            Step::Restart => {
                drop(durable);
                durable = start(&scratch.0, &clock).await.unwrap();
                assert_eq!(everything(&durable), everything(&lasting));
            }
            Step::Advance(_) => drop(take(&durable, step).await),
            _ => assert_eq!(take(&durable, step).await, take(&lasting, step).await),
        }
    }
    drop(durable);
    let durable = start(&scratch.0, &clock).await.unwrap();
    assert_eq!(everything(&durable), everything(&lasting));
}

proptest! {
    #![proptest_config(crate::trials::cases(24))]
    #[test]
    fn any_history_restarted_anywhere_leads_to_the_same_state(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_time().start_paused(true);
        let steps = [vec![Step::Create(2), Step::Advance(20)], steps].concat();
        runtime.build().unwrap().block_on(compare(steps));
    }
}
