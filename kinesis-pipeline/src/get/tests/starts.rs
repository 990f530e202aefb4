//! The start position of a reader.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;

use super::{is_silent, rest, service::TestKinesis, take};
use crate::{GetError, StartAt, Until};

#[tokio::test(start_paused = true)]
async fn latest_is_fixed_when_opening_returns() {
    let service = TestKinesis::new(3);
    for shard in 0..3 {
        service.put(shard, "before");
    }
    let mut records = service.stream::<Bytes>().iter_from_latest().await.unwrap();
    for shard in 0..3 {
        service.put(shard, format!("after {shard}"));
    }
    let mut texts = take(&mut records, 3).await;
    texts.sort();
    assert_eq!(texts, ["after 0", "after 1", "after 2"]);
    assert!(is_silent(&mut records).await);
}

#[tokio::test(start_paused = true)]
async fn all_gives_every_retained_record_once_and_in_order() {
    let service = TestKinesis::new(2);
    for count in 0..25_000 {
        service.put(count % 2, count.to_string());
    }
    let mut records = service.stream::<Bytes>().iter_from_all().await.unwrap();
    let mut last = HashMap::new();
    for _ in 0..25_000 {
        let record = records.next().await.unwrap().unwrap();
        let number = record.position().sequence_number.clone();
        let before = last.insert(record.position().shard_id.clone(), number.clone());
        assert!(before.is_none_or(|before| before < number));
    }
    assert!(is_silent(&mut records).await);
}

#[tokio::test(start_paused = true)]
async fn a_sequence_number_is_where_reading_begins_at_or_after_in_that_shard_only() {
    let service = TestKinesis::new(2);
    let numbers: Vec<_> = (0..4)
        .map(|count| service.put(0, count.to_string()))
        .collect();
    service.put(1, "elsewhere");
    let stream = service.stream::<Bytes>();
    let mut after = stream
        .iter_from_sequence_number(0, numbers[1].clone())
        .await
        .unwrap();
    assert_eq!(take(&mut after, 2).await, ["2", "3"]);
    assert!(is_silent(&mut after).await);

    let at = StartAt::AtSequenceNumber("shardId-000000000000".into(), numbers[1].clone());
    let mut at = stream
        .reader()
        .start(at)
        .until(Until::Tip)
        .open()
        .await
        .unwrap();
    assert_eq!(rest(&mut at).await, ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_timestamp_reads_what_arrived_at_that_time_or_later() {
    let service = TestKinesis::new(2);
    service.put(0, "old");
    tokio::time::advance(Duration::from_mins(1)).await;
    let since = service.clock().now();
    service.put(1, "at");
    tokio::time::advance(Duration::from_mins(1)).await;
    service.put(0, "later");
    let mut records = service
        .stream::<Bytes>()
        .iter_from_timestamp(since)
        .await
        .unwrap();
    let mut texts = take(&mut records, 2).await;
    texts.sort();
    assert_eq!(texts, ["at", "later"]);
    assert!(is_silent(&mut records).await);
}

#[tokio::test(start_paused = true)]
async fn a_set_of_shards_is_read_by_number_or_id_and_a_number_out_of_range_names_the_count() {
    let service = TestKinesis::new(4);
    for shard in 0..4 {
        service.put(shard, shard.to_string());
    }
    let stream = service.stream::<Bytes>();
    let reader = || {
        stream
            .reader()
            .start(StartAt::TrimHorizon)
            .until(Until::Tip)
    };
    let mut by_number = reader().shards([1, 3]).open().await.unwrap();
    let mut texts = rest(&mut by_number).await;
    texts.sort();
    assert_eq!(texts, ["1", "3"]);
    let mut by_id = reader()
        .shards(["shardId-000000000002"])
        .open()
        .await
        .unwrap();
    assert_eq!(rest(&mut by_id).await, ["2"]);

    let error = reader().shards([99]).open().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "stream test has no shard number 99: it has 4 shards, numbers 0 to 3"
    );
    assert!(matches!(error, GetError::ShardNotFound { count: 4, .. }));
}

#[tokio::test(start_paused = true)]
async fn shards_beyond_one_page_of_the_listing_are_read() {
    let service = TestKinesis::new(7);
    service.state().list_page_max = Some(3);
    assert_eq!(service.stream::<Bytes>().shards().await.unwrap().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_listing_whose_token_repeats_ends() {
    let service = TestKinesis::new(7);
    service.state().list_page_max = Some(3);
    service.state().repeats_list_token = true;
    assert_eq!(service.stream::<Bytes>().shards().await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn shards_may_begin_at_places_of_their_own() {
    let service = TestKinesis::new(3);
    let numbers: Vec<_> = (0..9)
        .map(|count| service.put(count % 3, count.to_string()))
        .collect();
    let stream = service.stream::<Bytes>();
    let reader = stream.reader().start(StartAt::Latest).until(Until::Tip);
    let reader = reader
        .start_at(0, numbers[3].clone())
        .start_after(1, numbers[4].clone());
    let mut texts = rest(&mut reader.open().await.unwrap()).await;
    texts.sort();
    assert_eq!(texts, ["3", "6", "7"]);
}
