//! The service's rates, where they are asked for.

use serde_json::json;

use super::*;

async fn limited() -> LocalKinesis {
    let kinesis = builder().enforce_limits(true).start().await.unwrap();
    kinesis.core.ensure_stream(STREAM, 1).unwrap();
    kinesis
}

async fn stored_of(kinesis: &LocalKinesis, records: Vec<EncodedRecord>) -> usize {
    let answer = kinesis
        .put_records(PutRecords::new(stream(), records))
        .await
        .unwrap();
    for failure in answer
        .results
        .iter()
        .filter_map(|result| result.as_ref().err())
    {
        assert_eq!(failure.code, "ProvisionedThroughputExceededException");
        assert_eq!(
            failure.message,
            "Rate exceeded for shard shardId-000000000000 in stream readings under account 000000000000."
        );
    }
    answer
        .results
        .iter()
        .filter(|result| result.is_ok())
        .count()
}

#[tokio::test(start_paused = true)]
async fn a_shard_takes_a_thousand_records_a_second_entry_by_entry() {
    let kinesis = limited().await;
    let batch = || vec![record("k", "x"); 400];
    assert_eq!(stored_of(&kinesis, batch()).await, 400);
    assert_eq!(stored_of(&kinesis, batch()).await, 400);
    assert_eq!(stored_of(&kinesis, batch()).await, 200);
    advance(Duration::from_millis(100)).await;
    assert_eq!(stored_of(&kinesis, batch()).await, 100);
}

#[tokio::test(start_paused = true)]
async fn a_shard_takes_a_mebibyte_a_second() {
    let kinesis = limited().await;
    let batch = || vec![record("k", vec![0; 256 * 1024 - 1]); 6];
    assert_eq!(stored_of(&kinesis, batch()).await, 4);
    advance(Duration::from_millis(250)).await;
    assert_eq!(stored_of(&kinesis, batch()).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_shard_gives_five_pages_a_second() {
    let kinesis = limited().await;
    let shard = shards(&kinesis).await.remove(0).id;
    let call = GetShardIterator::new(stream(), shard, IteratorStart::TrimHorizon);
    let iterator = kinesis.get_shard_iterator(call).await.unwrap();
    for _ in 0..5 {
        kinesis
            .get_records(GetRecords::new(stream(), iterator.clone()))
            .await
            .unwrap();
    }
    let error = kinesis
        .get_records(GetRecords::new(stream(), iterator.clone()))
        .await
        .unwrap_err();
    assert_eq!(
        error.code.as_deref(),
        Some("ProvisionedThroughputExceededException")
    );
    advance(Duration::from_millis(200)).await;
    kinesis
        .get_records(GetRecords::new(stream(), iterator))
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_page_of_ten_mebibytes_is_followed_by_seconds_of_nothing() {
    let kinesis = limited().await;
    let shard = shards(&kinesis).await.remove(0).id;
    for _ in 0..11 {
        stored_of(&kinesis, vec![record("k", vec![0; 1024 * 1024 - 1])]).await;
        advance(Duration::from_secs(1)).await;
    }
    let call = GetShardIterator::new(stream(), shard, IteratorStart::TrimHorizon);
    let iterator = kinesis.get_shard_iterator(call).await.unwrap();
    let read = GetRecords::new(stream(), iterator);
    assert_eq!(
        kinesis
            .get_records(read.clone())
            .await
            .unwrap()
            .records
            .len(),
        10
    );
    advance(Duration::from_millis(3_900)).await;
    assert!(kinesis.get_records(read.clone()).await.is_err());
    advance(Duration::from_millis(200)).await;
    kinesis.get_records(read).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn control_calls_have_their_rates() {
    let kinesis = limited().await;
    let mut answers = Vec::new();
    for _ in 0..11 {
        answers.push(
            by_name(
                &kinesis.core,
                "DescribeStream",
                json!({"StreamName": STREAM}),
            )
            .await,
        );
    }
    assert_eq!(
        error_of(answers.pop().unwrap()).code,
        "LimitExceededException"
    );
    assert!(answers.iter().all(Result::is_ok));
}
