//! Streams, shards and consumers that are not there, or that a request names twice.

use super::*;

#[tokio::test(start_paused = true)]
async fn an_id_that_is_none_is_told_before_a_stream_that_is_not_there() {
    let kinesis = start().await;
    for id in ["2147483648", "shardId-002147483648", "ABKLFD8", "2.14E4"] {
        let words = format!("Could not find shard {id} {OF_STREAM}.");
        let place = json!({"ShardId": id, "ShardIteratorType": "LATEST"});
        let split = json!({"ShardToSplit": id, "NewStartingHashKey": "1000"});
        let first = json!({"ShardToMerge": id, "AdjacentShardToMerge": "shardId-0"});
        let second = json!({"ShardToMerge": "shardId-0", "AdjacentShardToMerge": id});
        for (name, request) in [
            ("GetShardIterator", place),
            ("SplitShard", split),
            ("MergeShards", first),
            ("MergeShards", second),
        ] {
            for (member, value) in [("StreamName", STREAM), ("StreamARN", STREAM_ARN)] {
                let mut request = request.clone();
                request[member] = json!(value);
                let error = refusal(&kinesis, name, request).await;
                check(&error, "ResourceNotFoundException", &words);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn reading_misses_the_shard_of_a_stream_that_is_not_there() {
    let kinesis = start().await;
    for (id, full) in [
        ("2147483647", "shardId-002147483647"),
        ("a-0000000007", "shardId-000000000007"),
    ] {
        let words = format!("Shard {full} {OF_STREAM} does not exist");
        for dry_run in [false, true] {
            let request = json!({"StreamName": STREAM, "ShardId": id,
                "ShardIteratorType": "LATEST", "DryRun": dry_run});
            let error = refusal(&kinesis, "GetShardIterator", request).await;
            check(&error, "ResourceNotFoundException", &words);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_iterator_misses_its_shard_when_the_stream_is_gone_or_made_again() {
    let kinesis = start_with(1).await;
    let place = iterator(&kinesis).await;
    let words = format!("Shard {SHARD} {OF_STREAM} does not exist");
    answer(&kinesis, "DeleteStream", json!({"StreamName": STREAM})).await;
    for is_made_again in [false, true] {
        if is_made_again {
            kinesis.core.ensure_stream(STREAM, 1).unwrap();
        }
        for request in [
            json!({"ShardIterator": place}),
            json!({"ShardIterator": place, "StreamARN": STREAM_ARN, "DryRun": true}),
        ] {
            let error = refusal(&kinesis, "GetRecords", request).await;
            check(&error, "ResourceNotFoundException", &words);
        }
    }
    let elsewhere = json!({"ShardIterator": place,
        "StreamARN": "arn:aws:kinesis:us-east-1:000000000000:stream/other"});
    let error = refusal(&kinesis, "GetRecords", elsewhere).await;
    assert_eq!(error.code, "InvalidArgumentException");
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_named_twice_must_be_the_same() {
    let kinesis = start_with(1).await;
    kinesis.core.ensure_stream("other", 1).unwrap();
    let arn = register(&kinesis).await;
    let other = "arn:aws:kinesis:us-east-1:000000000000:stream/other";
    for more in [
        json!({"ConsumerName": "c2"}),
        json!({"StreamARN": other}),
        json!({"StreamARN": other, "ConsumerName": "c1"}),
    ] {
        let mut request = more;
        request["ConsumerARN"] = arn.clone();
        for name in ["DescribeStreamConsumer", "DeregisterStreamConsumer"] {
            let error = refusal(&kinesis, name, request.clone()).await;
            assert_eq!(error.code, "InvalidArgumentException", "{name} {request}");
        }
    }
    let all = json!({"ConsumerARN": arn, "StreamARN": STREAM_ARN, "ConsumerName": "c1"});
    answer(&kinesis, "DescribeStreamConsumer", all.clone()).await;
    answer(&kinesis, "DeregisterStreamConsumer", all).await;
}

#[tokio::test(start_paused = true)]
async fn tokens_stand_for_the_listing_that_gave_them() {
    let kinesis = start_with(1).await;
    kinesis.core.ensure_stream("other", 1).unwrap();
    let page = answer(&kinesis, "ListStreams", json!({"Limit": 1})).await;
    assert_eq!(page["StreamNames"], json!(["other"]));
    let next = json!({"NextToken": page["NextToken"]});
    let rest = answer(&kinesis, "ListStreams", next.clone()).await;
    assert_eq!(rest["StreamNames"], json!([STREAM]));
    let error = refusal(&kinesis, "ListStreams", json!({"NextToken": "other"})).await;
    assert_eq!(error.code, "InvalidArgumentException");
    advance(Duration::from_secs(301)).await;
    let error = refusal(&kinesis, "ListStreams", next).await;
    assert_eq!(error.code, "ExpiredNextTokenException");

    for name in ["c1", "c2"] {
        let request = json!({"StreamARN": STREAM_ARN, "ConsumerName": name});
        answer(&kinesis, "RegisterStreamConsumer", request).await;
    }
    let page = json!({"StreamARN": STREAM_ARN, "MaxResults": 1});
    let token = answer(&kinesis, "ListStreamConsumers", page).await["NextToken"].clone();
    let both = json!({"StreamARN": STREAM_ARN, "NextToken": token,
        "StreamCreationTimestamp": 1_795_000_000});
    let error = refusal(&kinesis, "ListStreamConsumers", both).await;
    assert_eq!(error.code, "InvalidArgumentException");
}

#[tokio::test(start_paused = true)]
async fn channels_and_queues_are_resources_that_are_not_there() {
    let kinesis = start_with(1).await;
    for kind in ["channel", "queue"] {
        let arn = format!("arn:aws:kinesis:us-east-1:000000000000:{kind}/{STREAM}");
        for (name, more) in [
            ("ListTagsForResource", json!({})),
            ("TagResource", json!({"Tags": {"k": "v"}})),
            ("UntagResource", json!({"TagKeys": ["k"]})),
            ("GetResourcePolicy", json!({})),
            ("PutResourcePolicy", json!({"Policy": "{}"})),
            ("DeleteResourcePolicy", json!({})),
        ] {
            let request = with(more, "ResourceARN", &arn);
            let error = refusal(&kinesis, name, request).await;
            assert_eq!(error.code, "ResourceNotFoundException", "{name} {kind}");
        }
        let as_stream = json!({"StreamARN": arn});
        let error = refusal(&kinesis, "DescribeStreamSummary", as_stream).await;
        assert_eq!(error.code, "ValidationException", "{kind}");
    }
}
