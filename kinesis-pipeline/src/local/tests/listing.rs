//! The shards that a listing names: filters and pages.

use serde_json::{Value, json};

use super::*;
use crate::local::operations::list_shards::ListShards as List;

async fn ids(kinesis: &LocalKinesis, request: Value) -> Vec<u64> {
    indices(&json::<List>(&kinesis.core, request).await.unwrap())
}

fn indices(page: &Value) -> Vec<u64> {
    let shards = page["Shards"].as_array().unwrap();
    let index = |shard: &Value| shard["ShardId"].as_str().unwrap()[8..].parse().unwrap();
    shards.iter().map(index).collect()
}

async fn filtered(kinesis: &LocalKinesis, filter: Value) -> Vec<u64> {
    ids(
        kinesis,
        json!({"StreamName": STREAM, "ShardFilter": filter}),
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn each_filter_names_the_shards_of_its_time() {
    let kinesis = start_with(2).await;
    let all = shards(&kinesis).await;
    advance(Duration::from_hours(1)).await;
    split_in_half(&kinesis, &all[0]).await;
    advance(Duration::from_hours(1)).await;
    split_in_half(&kinesis, &all[1]).await;
    let at = |hours: u32| 1_795_000_000.0 + f64::from(hours) * 3600.0;
    for (filter, expected) in [
        (json!({"Type": "AT_LATEST"}), &[2, 3, 4, 5][..]),
        (json!({"Type": "AT_TRIM_HORIZON"}), &[0, 1]),
        (json!({"Type": "FROM_TRIM_HORIZON"}), &[0, 1, 2, 3, 4, 5]),
        (
            json!({"Type": "AT_TIMESTAMP", "Timestamp": at(0) + 1.0}),
            &[0, 1],
        ),
        (
            json!({"Type": "AT_TIMESTAMP", "Timestamp": at(1) + 1.0}),
            &[1, 2, 3],
        ),
        (
            json!({"Type": "AT_TIMESTAMP", "Timestamp": at(1)}),
            &[0, 1, 2, 3],
        ),
        (json!({"Type": "AT_TIMESTAMP", "Timestamp": 5}), &[0, 1]),
        (
            json!({"Type": "FROM_TIMESTAMP", "Timestamp": at(1) + 1.0}),
            &[1, 2, 3, 4, 5],
        ),
        (
            json!({"Type": "AFTER_SHARD_ID", "ShardId": "shardId-000000000003"}),
            &[4, 5],
        ),
    ] {
        assert_eq!(
            filtered(&kinesis, filter.clone()).await,
            expected,
            "{filter}"
        );
    }
    advance(Duration::from_hours(23) + Duration::from_millis(1)).await;
    assert_eq!(
        filtered(&kinesis, json!({"Type": "AT_TRIM_HORIZON"})).await,
        [1, 2, 3]
    );
    assert_eq!(
        ids(&kinesis, json!({"StreamName": STREAM})).await,
        [1, 2, 3, 4, 5]
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_carries_the_stream_the_filter_and_the_place() {
    let kinesis = start_with(5).await;
    let first =
        json!({"StreamName": STREAM, "MaxResults": 2, "ShardFilter": {"Type": "AT_LATEST"}});
    let mut page = json::<List>(&kinesis.core, first).await.unwrap();
    let mut seen = indices(&page);
    while let Some(token) = page.get("NextToken") {
        let next = json!({"NextToken": token, "MaxResults": 2});
        page = json::<List>(&kinesis.core, next).await.unwrap();
        seen.extend(indices(&page));
    }
    assert_eq!(seen, [0, 1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_token_excludes_what_it_stands_for_and_expires() {
    let kinesis = start_with(3).await;
    let first = json!({"StreamName": STREAM, "MaxResults": 1});
    let page = json::<List>(&kinesis.core, first).await.unwrap();
    let token = &page["NextToken"];
    for (request, code) in [
        (
            json!({"NextToken": token, "StreamName": STREAM}),
            "InvalidArgumentException",
        ),
        (
            json!({"NextToken": token, "ExclusiveStartShardId": "shardId-0"}),
            "InvalidArgumentException",
        ),
        (json!({"NextToken": "nonsense"}), "InvalidArgumentException"),
    ] {
        let error = json::<List>(&kinesis.core, request).await.unwrap_err();
        assert_eq!(error.code, code);
    }
    advance(Duration::from_secs(301)).await;
    let error = json::<List>(&kinesis.core, json!({"NextToken": token}))
        .await
        .unwrap_err();
    assert_eq!(error.code, "ExpiredNextTokenException");
}

#[tokio::test(start_paused = true)]
async fn a_listing_begins_after_the_shard_it_is_told() {
    let kinesis = start_with(3).await;
    let start = json!({"StreamName": STREAM, "ExclusiveStartShardId": "shardId-000000000000"});
    assert_eq!(ids(&kinesis, start).await, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_filter_has_the_members_of_its_type() {
    let kinesis = start_with(1).await;
    for (filter, code) in [
        (json!({"Type": "AT_TIMESTAMP"}), "InvalidArgumentException"),
        (
            json!({"Type": "AT_LATEST", "Timestamp": 5}),
            "InvalidArgumentException",
        ),
        (
            json!({"Type": "AFTER_SHARD_ID"}),
            "InvalidArgumentException",
        ),
        (
            json!({"Type": "AT_TIMESTAMP", "Timestamp": 1_995_000_000}),
            "InvalidArgumentException",
        ),
        (json!({"Type": "SOME"}), "ValidationException"),
        (json!({}), "ValidationException"),
    ] {
        let request = json!({"StreamName": STREAM, "ShardFilter": filter});
        let error = json::<List>(&kinesis.core, request).await.unwrap_err();
        assert_eq!(error.code, code, "{}", error.message);
    }
}
