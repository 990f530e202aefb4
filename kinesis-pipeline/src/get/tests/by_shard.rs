//! A reader by shard.

use std::time::Duration;

use bytes::Bytes;

use super::{service::TestKinesis, take, text};
use crate::{ShardRecords, StartAt, Until};

/// Reads a shard to its end and says what came.
async fn read_shard(mut shard: ShardRecords<Bytes>) -> (String, Vec<String>) {
    let mut texts = Vec::new();
    while let Some(item) = shard.next().await {
        texts.push(text(Some(item)));
    }
    (shard.shard_id().to_string(), texts)
}

#[tokio::test(start_paused = true)]
async fn by_shard_gives_each_shard_once_and_children_after_their_parents_were_read() {
    let service = TestKinesis::new(2);
    for count in 0..100 {
        service.put(count % 2, count.to_string());
    }
    let [left, _] = service.split(0);
    service.put(left, "child");
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip);
    let mut shards = reader.page_records_max(10).open().await.unwrap().by_shard();
    let (first, second) = (shards.next().await.unwrap(), shards.next().await.unwrap());
    assert!(
        tokio::time::timeout(Duration::from_mins(1), shards.next())
            .await
            .is_err()
    );
    let mut tasks = vec![
        tokio::spawn(read_shard(first.unwrap())),
        tokio::spawn(read_shard(second.unwrap())),
    ];
    while let Some(shard) = shards.next().await {
        tasks.push(tokio::spawn(read_shard(shard.unwrap())));
    }
    let mut lengths = Vec::new();
    for task in tasks {
        let (shard, texts) = task.await.unwrap();
        assert!(
            texts.is_sorted_by_key(|text| text.parse::<u32>().unwrap_or(u32::MAX)),
            "{shard}"
        );
        lengths.push(texts.len());
    }
    assert_eq!(lengths, [50, 50, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_shard_whose_stream_is_dropped_is_left_and_holds_nothing_back() {
    let service = TestKinesis::new(2);
    for count in 0..100 {
        service.put(count % 2, count.to_string());
    }
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .page_records_max(10);
    let mut shards = reader.open().await.unwrap().by_shard();
    let dropped = shards.next().await.unwrap().unwrap();
    let other = shards.next().await.unwrap().unwrap();
    drop(dropped);
    let task = tokio::spawn(read_shard(other));
    let stop = shards.stop_handle();
    let stopper = async {
        tokio::time::sleep(Duration::from_mins(1)).await;
        stop.stop();
    };
    let (next, ()) = tokio::join!(shards.next(), stopper);
    assert!(next.is_none());
    assert_eq!(task.await.unwrap().1.len(), 50);
    assert!(service.calls_of("GetRecords", 0).len() <= 4);
}

#[tokio::test(start_paused = true)]
async fn by_shard_goes_on_with_a_page_that_was_begun() {
    let service = TestKinesis::new(1);
    for count in 0..25 {
        service.put(0, count.to_string());
    }
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .page_records_max(10);
    let mut records = reader.until(Until::Tip).open().await.unwrap();
    take(&mut records, 3).await;
    let mut shards = records.by_shard();
    let task = tokio::spawn(read_shard(shards.next().await.unwrap().unwrap()));
    assert!(shards.next().await.is_none());
    assert_eq!(task.await.unwrap().1.len(), 22);
}
