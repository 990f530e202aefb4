//! Subscriptions of registered consumers.

use futures_util::StreamExt;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_consumer_that_is_being_created_is_told_with_its_time() {
    let kinesis = slow(1).await;
    let arn = register(&kinesis).await;
    let error = error_of(subscribe(&kinesis, &arn, &json!({})).await);
    check(
        &error,
        "ResourceInUseException",
        "Consumer c1 with creation timestamp 1795000000 under stream: readings , \
         account 000000000000 is not in ACTIVE status.",
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_subscription_is_told_account_stream_shard_and_consumer() {
    let kinesis = start_with(1).await;
    let arn = register(&kinesis).await;
    let _first = subscribe(&kinesis, &arn, &json!({})).await.unwrap();
    let error = error_of(subscribe(&kinesis, &arn, &json!({})).await);
    check(
        &error,
        "ResourceInUseException",
        "Another active subscription exists for this consumer: \
         000000000000:readings:shardId-000000000000:c1",
    );
}

#[tokio::test(start_paused = true)]
async fn a_continuation_is_no_records_number_and_skips_and_repeats_nothing() {
    let kinesis = start_with(1).await;
    let arn = register(&kinesis).await;
    let stored = put(&kinesis, "k", "one").await;
    let mut subscription = subscribe(&kinesis, &arn, &json!({})).await.unwrap();
    let event = subscription.next().await.unwrap().unwrap();
    let number = event.continuation_sequence_number.unwrap();
    assert_ne!(&*number, stored.sequence_number.as_str());
    put(&kinesis, "k", "two").await;
    for kind in ["AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"] {
        let request = json!({"StreamName": STREAM, "ShardId": SHARD,
            "ShardIteratorType": kind, "StartingSequenceNumber": &*number});
        let place = answer(&kinesis, "GetShardIterator", request).await;
        let page = json!({"ShardIterator": place["ShardIterator"]});
        let page = answer(&kinesis, "GetRecords", page).await;
        assert_eq!(page["Records"][0]["Data"], "dHdv", "{kind}");
    }
}
