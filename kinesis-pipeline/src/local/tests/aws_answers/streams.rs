//! Streams: what they begin with, how they are resharded, tagged and deleted, and how often they are asked.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_stream_of_a_name_alone_is_on_demand_with_four_shards() {
    let kinesis = start().await;
    answer(&kinesis, "CreateStream", json!({"StreamName": STREAM})).await;
    let summary = answer(
        &kinesis,
        "DescribeStreamSummary",
        json!({"StreamName": STREAM}),
    )
    .await;
    let summary = &summary["StreamDescriptionSummary"];
    assert_eq!(summary["OpenShardCount"], 4);
    assert_eq!(summary["StreamModeDetails"]["StreamMode"], "ON_DEMAND");
    let provisioned = json!({"StreamName": "other",
        "StreamModeDetails": {"StreamMode": "PROVISIONED"}});
    let error = refusal(&kinesis, "CreateStream", provisioned).await;
    assert_eq!(error.code, "ValidationException");
}

#[tokio::test(start_paused = true)]
async fn control_characters_and_other_marks_make_no_tags() {
    let kinesis = start_with(1).await;
    for text in ["a\tb", "a\nb", "a;b", "a,b", "a%b"] {
        for tags in [json!({text: "v"}), json!({"k": text})] {
            let request = json!({"StreamName": STREAM, "Tags": tags});
            let error = refusal(&kinesis, "AddTagsToStream", request).await;
            assert_eq!(error.code, "InvalidArgumentException", "{text:?}");
            let request = json!({"ResourceARN": STREAM_ARN, "Tags": tags});
            let error = refusal(&kinesis, "TagResource", request).await;
            assert_eq!(error.code, "InvalidArgumentException", "{text:?}");
        }
        let request = json!({"StreamName": STREAM, "TagKeys": [text]});
        let error = refusal(&kinesis, "RemoveTagsFromStream", request).await;
        assert_eq!(error.code, "InvalidArgumentException", "{text:?}");
        let request = json!({"ResourceARN": STREAM_ARN, "TagKeys": [text]});
        let error = refusal(&kinesis, "UntagResource", request).await;
        assert_eq!(error.code, "InvalidArgumentException", "{text:?}");
    }
    let fine = json!({"StreamName": STREAM, "Tags": {"Größe 1_.:/=+-@": "\u{a0}ü"}});
    answer(&kinesis, "AddTagsToStream", fine).await;
}

#[tokio::test(start_paused = true)]
async fn a_call_takes_200_tags_and_a_stream_has_50() {
    let kinesis = start_with(1).await;
    for (count, code) in [
        (51, "InvalidArgumentException"),
        (200, "InvalidArgumentException"),
        (201, "ValidationException"),
    ] {
        let tags = (0..count).map(|index| (format!("k{index}"), json!("v")));
        let tags: serde_json::Map<_, _> = tags.collect();
        let request = json!({"StreamName": STREAM, "Tags": tags});
        let error = refusal(&kinesis, "AddTagsToStream", request).await;
        assert_eq!(error.code, code, "{count}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_is_not_resharded_again() {
    let kinesis = start_with(2).await;
    let all = shards(&kinesis).await;
    split_in_half(&kinesis, &all[0]).await;
    let words = format!(
        "Shard {SHARD} {OF_STREAM} has already been merged or split, and thus is not eligible for \
         merging or splitting."
    );
    let split = json!({"StreamName": STREAM, "ShardToSplit": SHARD,
        "NewStartingHashKey": "1000"});
    let merge = json!({"StreamName": STREAM, "ShardToMerge": SHARD,
        "AdjacentShardToMerge": "shardId-000000000001"});
    for (name, request) in [("SplitShard", split), ("MergeShards", merge)] {
        let error = refusal(&kinesis, name, request).await;
        check(&error, "InvalidArgumentException", &words);
    }
}

#[tokio::test(start_paused = true)]
async fn errors_write_the_ids_of_shards_in_full() {
    let kinesis = start_with(1).await;
    let at = json!({"StreamName": STREAM, "ShardId": "shardId-5", "ShardIteratorType": "LATEST"});
    let error = refusal(&kinesis, "GetShardIterator", at).await;
    let words = format!("Shard shardId-000000000005 {OF_STREAM} does not exist");
    check(&error, "ResourceNotFoundException", &words);
    let split = json!({"StreamName": STREAM, "ShardToSplit": "shardId-5",
        "NewStartingHashKey": "1000"});
    let merge = json!({"StreamName": STREAM, "ShardToMerge": "shardId-5",
        "AdjacentShardToMerge": "shardId-0"});
    for (name, request) in [("SplitShard", split), ("MergeShards", merge)] {
        let error = refusal(&kinesis, name, request).await;
        let words = format!("Could not find shard shardId-000000000005 {OF_STREAM}.");
        check(&error, "ResourceNotFoundException", &words);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_on_demand_is_not_resharded_by_hand() {
    let kinesis = start().await;
    answer(&kinesis, "CreateStream", json!({"StreamName": STREAM})).await;
    let words =
        "Request is invalid. Stream readings under account 000000000000 is in On-Demand mode.";
    let split = json!({"StreamName": STREAM, "ShardToSplit": SHARD, "NewStartingHashKey": "9"});
    let merge = json!({"StreamName": STREAM, "ShardToMerge": SHARD,
        "AdjacentShardToMerge": "shardId-000000000001"});
    let scale = |target: u32| {
        json!({"StreamName": STREAM, "TargetShardCount": target,
            "ScalingType": "UNIFORM_SCALING"})
    };
    for (name, request) in [
        ("UpdateShardCount", scale(8)),
        ("UpdateShardCount", scale(80)),
        ("SplitShard", split),
        ("MergeShards", merge),
    ] {
        let error = refusal(&kinesis, name, request).await;
        check(&error, "ValidationException", words);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_told_for_the_stream_or_for_the_account() {
    let kinesis = builder().enforce_limits(true).start().await.unwrap();
    kinesis.core.ensure_stream(STREAM, 1).unwrap();
    kinesis.core.ensure_stream("other", 1).unwrap();
    let of_stream = "Rate exceeded for stream readings under account 000000000000.";
    let of_account = "Rate exceeded for account 000000000000.";
    for (name, rate, request, words) in [
        (
            "ListStreamConsumers",
            5,
            json!({"StreamARN": STREAM_ARN}),
            of_stream,
        ),
        (
            "ListShards",
            1_000,
            json!({"StreamName": STREAM}),
            of_stream,
        ),
        (
            "DescribeStream",
            10,
            json!({"StreamName": STREAM}),
            of_account,
        ),
        ("ListStreams", 5, json!({}), of_account),
        (
            "RegisterStreamConsumer",
            5,
            json!({"StreamARN": STREAM_ARN}),
            of_account,
        ),
        (
            "UpdateShardCount",
            10,
            json!({"StreamName": STREAM}),
            of_account,
        ),
    ] {
        for _ in 0..rate {
            // What the call says otherwise is no matter here.
            let _ = by_name(&kinesis.core, name, request.clone()).await;
        }
        let error = refusal(&kinesis, name, request).await;
        check(&error, "LimitExceededException", words);
    }
    // Another stream has a rate of its own.
    answer(&kinesis, "ListShards", json!({"StreamName": "other"})).await;
}

#[tokio::test(start_paused = true)]
async fn four_shards_become_three_by_two_splits_and_three_merges_from_the_lowest_up() {
    let kinesis = start_with(4).await;
    let request = json!({"StreamName": STREAM, "TargetShardCount": 3,
        "ScalingType": "UNIFORM_SCALING"});
    answer(&kinesis, "UpdateShardCount", request).await;
    let all = shards(&kinesis).await;
    assert_eq!(all.len(), 11);
    let open = all.iter().filter(|shard| shard.is_open());
    let open: Vec<_> = open.map(|shard| shard.id.as_str()).collect();
    assert_eq!(
        open,
        [
            "shardId-000000000006",
            "shardId-000000000009",
            "shardId-000000000010"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_deleted_before_it_was_active_lists_no_shards() {
    let kinesis = builder()
        .transition(Duration::from_secs(1))
        .start()
        .await
        .unwrap();
    let create = json!({"StreamName": STREAM, "ShardCount": 3});
    answer(&kinesis, "CreateStream", create).await;
    answer(&kinesis, "DeleteStream", json!({"StreamName": STREAM})).await;
    let described = answer(&kinesis, "DescribeStream", json!({"StreamName": STREAM})).await;
    let described = &described["StreamDescription"];
    assert_eq!(described["StreamStatus"], "DELETING");
    assert_eq!(described["Shards"], json!([]));
    let listed = answer(&kinesis, "ListShards", json!({"StreamName": STREAM})).await;
    assert_eq!(listed["Shards"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_stream_deleted_while_active_lists_its_shards_until_it_is_gone() {
    let kinesis = slow(3).await;
    answer(&kinesis, "DeleteStream", json!({"StreamName": STREAM})).await;
    let described = answer(&kinesis, "DescribeStream", json!({"StreamName": STREAM})).await;
    let shards = described["StreamDescription"]["Shards"].as_array().unwrap();
    assert_eq!(shards.len(), 3);
}
