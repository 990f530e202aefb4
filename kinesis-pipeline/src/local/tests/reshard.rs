//! Shards split and merge, and their records stay readable.

use serde_json::json;

use super::*;
use crate::{
    local::operations::{merge_shards::MergeShards as Merge, split_shard::SplitShard as Split},
    service::MergeShards,
};

async fn split_error(kinesis: &LocalKinesis, shard: &str, key: &str) -> ApiError {
    let request = json!({"StreamName": STREAM, "ShardToSplit": shard, "NewStartingHashKey": key});
    json::<Split>(&kinesis.core, request).await.unwrap_err()
}

async fn merge_error(kinesis: &LocalKinesis, one: &str, other: &str) -> ApiError {
    let request = json!({"StreamName": STREAM, "ShardToMerge": one, "AdjacentShardToMerge": other});
    json::<Merge>(&kinesis.core, request).await.unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_split_closes_the_parent_and_names_its_children_on_the_last_page() {
    let kinesis = start_with(1).await;
    let parent = shards(&kinesis).await.remove(0);
    put(&kinesis, "k", "before").await;
    split_in_half(&kinesis, &parent).await;
    let listed = shards(&kinesis).await;
    let [parent, one, other] = &listed[..] else {
        panic!("{listed:?}")
    };
    assert!(!parent.is_open() && one.is_open() && other.is_open());
    assert_eq!(one.parent_id.as_ref(), Some(&parent.id));
    assert!(parent.ending_sequence_number.as_ref() < Some(&one.starting_sequence_number));
    let stored = put(&kinesis, "k", "after").await;
    assert_ne!(stored.shard_id, parent.id);
    let last = page(&kinesis, &parent.id, IteratorStart::TrimHorizon).await;
    assert_eq!(texts_of(&last), ["before"]);
    assert!(last.next_iterator.is_none());
    let children: Vec<_> = last
        .child_shards
        .iter()
        .map(|child| &child.shard_id)
        .collect();
    assert_eq!(children, [&one.id, &other.id]);
    assert_eq!(
        last.child_shards[0].parents,
        std::slice::from_ref(&parent.id)
    );
}

#[tokio::test(start_paused = true)]
async fn a_merged_shard_has_two_parents() {
    let kinesis = start_with(2).await;
    let listed = shards(&kinesis).await;
    let call = MergeShards::new(stream(), listed[0].id.clone(), listed[1].id.clone());
    kinesis.merge_shards(call).await.unwrap();
    let child = shards(&kinesis).await.remove(2);
    let parents: Vec<_> = child.parents().collect();
    assert_eq!(parents, [&listed[0].id, &listed[1].id]);
    assert_eq!(child.hash_key_range, crate::shard::HashKeyRange::ALL);
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_is_readable_until_retention_ends() {
    let kinesis = start_with(1).await;
    let parent = shards(&kinesis).await.remove(0);
    put(&kinesis, "k", "x").await;
    split_in_half(&kinesis, &parent).await;
    advance(Duration::from_hours(24)).await;
    assert_eq!(texts(&kinesis, &parent.id).await, ["x"]);
    advance(Duration::from_millis(1)).await;
    assert_eq!(shards(&kinesis).await.len(), 2);
    let call = GetShardIterator::new(stream(), parent.id, IteratorStart::TrimHorizon);
    let error = kinesis.get_shard_iterator(call).await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("ResourceNotFoundException"));
}

#[tokio::test(start_paused = true)]
async fn a_parent_takes_records_until_the_split_is_due() {
    let builder = builder().transition(Duration::from_millis(500));
    let kinesis = builder.start().await.unwrap();
    kinesis.core.ensure_stream(STREAM, 1).unwrap();
    let parent = shards(&kinesis).await.remove(0);
    split_in_half(&kinesis, &parent).await;
    assert_eq!(put(&kinesis, "k", "x").await.shard_id, parent.id);
    let error = split_error(&kinesis, parent.id.as_str(), "7").await;
    assert_eq!(error.code, "ResourceInUseException");
    advance(Duration::from_millis(500)).await;
    assert_ne!(put(&kinesis, "k", "y").await.shard_id, parent.id);
    assert_eq!(texts(&kinesis, &parent.id).await, ["x"]);
}

#[tokio::test(start_paused = true)]
async fn splits_and_merges_that_make_no_sense_are_refused() {
    let kinesis = start_with(3).await;
    let first = "shardId-000000000000";
    let end = shards(&kinesis).await[0].hash_key_range.end.to_string();
    for (shard, key, code) in [
        (first, "1", "InvalidArgumentException"),
        (first, &*end, "InvalidArgumentException"),
        (
            first,
            "340282366920938463463374607431768211456",
            "InvalidArgumentException",
        ),
        (first, "x", "ValidationException"),
        ("shardId-000000000009", "7", "ResourceNotFoundException"),
        ("nonsense", "7", "ResourceNotFoundException"),
    ] {
        assert_eq!(
            split_error(&kinesis, shard, key).await.code,
            code,
            "{shard} {key}"
        );
    }
    let [second, third] = ["shardId-000000000001", "shardId-000000000002"];
    for (one, other) in [(first, third), (second, first), (first, first)] {
        let error = merge_error(&kinesis, one, other).await;
        assert_eq!(error.code, "InvalidArgumentException");
        let words = "are not an adjacent pair of shards eligible for merging";
        assert!(error.message.contains(words), "{one} {other}");
    }
    let parent = shards(&kinesis).await.remove(0);
    split_in_half(&kinesis, &parent).await;
    assert_eq!(
        split_error(&kinesis, first, "7").await.code,
        "InvalidArgumentException"
    );
}
