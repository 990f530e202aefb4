//! Starting points of iterators, contents of pages, and expiry.

use serde_json::json;

use super::*;
use crate::{
    local::operations::get_shard_iterator::GetShardIterator as GetIterator, service::ShardIterator,
    shard::SequenceNumber,
};

async fn only_shard(kinesis: &LocalKinesis) -> ShardId {
    shards(kinesis).await.remove(0).id
}

async fn iterator_error(kinesis: &LocalKinesis, members: serde_json::Value) -> ApiError {
    let mut request = json!({"StreamName": STREAM, "ShardId": "shardId-000000000000"});
    request
        .as_object_mut()
        .unwrap()
        .extend(members.as_object().unwrap().clone());
    json::<GetIterator>(&kinesis.core, request)
        .await
        .unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn the_five_kinds_of_iterator_begin_where_they_say() {
    let kinesis = start_with(1).await;
    let shard = only_shard(&kinesis).await;
    put(&kinesis, "k", "one").await;
    advance(Duration::from_millis(7)).await;
    let time = now(&kinesis);
    let two = put(&kinesis, "k", "two").await.sequence_number;
    advance(Duration::from_millis(1)).await;
    put(&kinesis, "k", "three").await;
    for (start, expected) in [
        (IteratorStart::TrimHorizon, &["one", "two", "three"][..]),
        (IteratorStart::Latest, &[]),
        (
            IteratorStart::AtSequenceNumber(two.clone()),
            &["two", "three"],
        ),
        (IteratorStart::AfterSequenceNumber(two), &["three"]),
        (IteratorStart::AtTimestamp(time), &["two", "three"]),
        (
            IteratorStart::AtTimestamp(time + Duration::from_millis(1)),
            &["three"],
        ),
    ] {
        let page = page(&kinesis, &shard, start.clone()).await;
        assert_eq!(texts_of(&page), expected, "{start:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn latest_is_fixed_when_the_iterator_is_handed_out() {
    let kinesis = start_with(1).await;
    let shard = only_shard(&kinesis).await;
    put(&kinesis, "k", "before").await;
    let call = GetShardIterator::new(stream(), shard, IteratorStart::Latest);
    let iterator = kinesis.get_shard_iterator(call).await.unwrap();
    put(&kinesis, "k", "after").await;
    let page = kinesis
        .get_records(GetRecords::new(stream(), iterator))
        .await
        .unwrap();
    assert_eq!(texts_of(&page), ["after"]);
}

#[tokio::test(start_paused = true)]
async fn pages_follow_each_other_and_say_how_far_behind_they_are() {
    let kinesis = start_with(1).await;
    let shard = only_shard(&kinesis).await;
    for text in ["a", "b", "c"] {
        put(&kinesis, "k", text).await;
        advance(Duration::from_secs(1)).await;
    }
    let call = GetShardIterator::new(stream(), shard, IteratorStart::TrimHorizon);
    let iterator = kinesis.get_shard_iterator(call).await.unwrap();
    let first = kinesis
        .get_records(GetRecords::new(stream(), iterator).limit(2))
        .await
        .unwrap();
    assert_eq!(texts_of(&first), ["a", "b"]);
    assert_eq!(first.behind_latest, Some(Duration::from_secs(2)));
    let next = GetRecords::new(stream(), first.next_iterator.unwrap()).limit(2);
    let second = kinesis.get_records(next).await.unwrap();
    assert_eq!(texts_of(&second), ["c"]);
    assert_eq!(second.behind_latest, Some(Duration::ZERO));
    assert!(second.next_iterator.is_some(), "an open shard has no end");
}

#[tokio::test(start_paused = true)]
async fn a_page_has_at_most_10_mebibytes() {
    let kinesis = start_with(1).await;
    let shard = only_shard(&kinesis).await;
    for _ in 0..11 {
        let call = PutRecords::new(stream(), vec![record("k", vec![0; 1024 * 1024 - 1])]);
        kinesis.put_records(call).await.unwrap();
    }
    let first = page(&kinesis, &shard, IteratorStart::TrimHorizon).await;
    assert_eq!(first.records.len(), 10);
    assert!(
        first.behind_latest.unwrap() > Duration::ZERO,
        "a record is left"
    );
}

#[tokio::test(start_paused = true)]
async fn an_iterator_expires_after_five_minutes() {
    let kinesis = start_with(1).await;
    let shard = only_shard(&kinesis).await;
    let call = GetShardIterator::new(stream(), shard, IteratorStart::Latest);
    let iterator = kinesis.get_shard_iterator(call).await.unwrap();
    advance(Duration::from_mins(5)).await;
    kinesis
        .get_records(GetRecords::new(stream(), iterator.clone()))
        .await
        .unwrap();
    advance(Duration::from_millis(1)).await;
    let error = kinesis
        .get_records(GetRecords::new(stream(), iterator))
        .await
        .unwrap_err();
    assert_eq!(error.code.as_deref(), Some("ExpiredIteratorException"));
    let garbage = ShardIterator::from("AAAAAAAAAAE=".to_owned());
    let error = kinesis
        .get_records(GetRecords::new(stream(), garbage))
        .await
        .unwrap_err();
    assert_eq!(error.code.as_deref(), Some("InvalidArgumentException"));
}

#[tokio::test(start_paused = true)]
async fn expired_records_are_gone_and_their_numbers_mean_the_horizon() {
    let kinesis = start_with(1).await;
    let shard = only_shard(&kinesis).await;
    let old = put(&kinesis, "k", "old").await.sequence_number;
    advance(Duration::from_hours(24)).await;
    put(&kinesis, "k", "new").await;
    assert_eq!(texts(&kinesis, &shard).await, ["old", "new"]);
    advance(Duration::from_millis(1)).await;
    assert_eq!(texts(&kinesis, &shard).await, ["new"]);
    let at = page(&kinesis, &shard, IteratorStart::AtSequenceNumber(old)).await;
    assert_eq!(texts_of(&at), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn the_numbers_of_a_shards_start_and_end_are_places_to_begin() {
    let kinesis = start_with(1).await;
    let parent = shards(&kinesis).await.remove(0);
    put(&kinesis, "k", "x").await;
    split_in_half(&kinesis, &parent).await;
    let parent = shards(&kinesis).await.remove(0);
    let start = IteratorStart::AtSequenceNumber(parent.starting_sequence_number);
    assert_eq!(texts_of(&page(&kinesis, &parent.id, start).await), ["x"]);
    let end = IteratorStart::AfterSequenceNumber(parent.ending_sequence_number.unwrap());
    let last = page(&kinesis, &parent.id, end).await;
    assert!(last.records.is_empty() && last.next_iterator.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_position_that_does_not_fit_its_kind_is_refused() {
    let kinesis = start_with(2).await;
    let other = shards(&kinesis).await[1]
        .starting_sequence_number
        .to_string();
    let future = json!({"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 1_795_000_001.0});
    for (members, words) in [
        (
            json!({"ShardIteratorType": "AT_SEQUENCE_NUMBER"}),
            "and no StartingSequenceNumber.",
        ),
        (
            json!({"ShardIteratorType": "LATEST", "StartingSequenceNumber": "1"}),
            "and also a StartingSequenceNumber.",
        ),
        (
            json!({"ShardIteratorType": "AT_TIMESTAMP"}),
            "Must specify timestampInMillis",
        ),
        (
            future,
            "cannot be greater than the currentTimestampInMillis",
        ),
        (
            json!({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": "7"}),
            "is invalid.",
        ),
        (
            json!({"ShardIteratorType": "AT_SEQUENCE_NUMBER", "StartingSequenceNumber": other}),
            "It encodes shardId-000000000001, while it was used in a call to a shard with shardId-000000000000",
        ),
    ] {
        let error = iterator_error(&kinesis, members).await;
        assert_eq!(error.code, "InvalidArgumentException");
        assert!(error.message.contains(words), "{}", error.message);
    }
    let unknown = iterator_error(&kinesis, json!({"ShardIteratorType": "SOMEWHERE"})).await;
    assert_eq!(unknown.code, "ValidationException");
}

#[tokio::test(start_paused = true)]
async fn a_number_of_an_earlier_stream_did_not_come_from_this_one() {
    let kinesis = start_with(1).await;
    let number = put(&kinesis, "k", "x").await.sequence_number;
    let delete = crate::service::DeleteStream::new(stream());
    kinesis.delete_stream(delete).await.unwrap();
    advance(Duration::from_secs(1)).await;
    kinesis.core.ensure_stream(STREAM, 1).unwrap();
    let error = iterator_error(
        &kinesis,
        json!({
            "ShardIteratorType": "AFTER_SEQUENCE_NUMBER",
            "StartingSequenceNumber": SequenceNumber::to_string(&number),
        }),
    )
    .await;
    assert!(
        error
            .message
            .ends_with("is invalid because it did not come from this stream.")
    );
}
