//! A reader of one shard.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Good, service::TestKinesis, text};
use crate::{
    GetError, KinesisStream, ShardId, ShardReader, ShardReaderBuilder,
    service::{ChildShard, IteratorStart},
};

fn id(number: usize) -> ShardId {
    format!("shardId-{number:012}").into()
}

fn reader(service: &TestKinesis, shard: usize) -> ShardReaderBuilder<Bytes> {
    let stream: KinesisStream<Bytes> = service.stream();
    stream.shard_reader(id(shard)).page_records_max(3)
}

async fn take(reader: &mut ShardReader<Bytes>, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(text(reader.next().await));
    }
    texts
}

fn texts(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| number.to_string()).collect()
}

fn put(service: &TestKinesis, numbers: std::ops::Range<u32>) {
    for number in numbers {
        service.put(0, number.to_string());
    }
}

async fn is_silent(reader: &mut ShardReader<Bytes>) -> bool {
    let quiet = tokio::time::timeout(Duration::from_mins(10), reader.next());
    quiet.await.is_err()
}

#[tokio::test(start_paused = true)]
async fn a_shard_is_read_to_its_end_and_its_children_are_told_and_not_read() {
    let service = TestKinesis::new(2);
    put(&service, 0..10);
    let children = service.split(0);
    for child in children {
        service.put(child, "of a child");
    }
    let mut reader = reader(&service, 0).open().await.unwrap();
    assert_eq!(take(&mut reader, 10).await, texts(0..10));
    assert_eq!(reader.children(), None);
    assert!(reader.next().await.is_none());
    let told: Vec<_> = reader.children().unwrap().to_vec();
    let ids: Vec<_> = told
        .iter()
        .map(|child: &ChildShard| &child.shard_id)
        .collect();
    assert_eq!(ids, [&id(children[0]), &id(children[1])]);
    assert!(told.iter().all(|child| child.parents == [id(0)]));
    assert!(reader.next().await.is_none(), "it stays ended");
    assert!(service.calls_of("GetShardIterator", children[0]).is_empty());
    assert_eq!(reader.stats().user_records, 10);
}

#[tokio::test(start_paused = true)]
async fn a_child_of_a_merge_is_told_by_each_of_its_parents() {
    let service = TestKinesis::new(2);
    let child = service.merge(0, 1);
    for parent in [0, 1] {
        let mut reader = reader(&service, parent).open().await.unwrap();
        assert!(reader.next().await.is_none());
        let [told] = reader.children().unwrap() else {
            panic!("{:?}", reader.children());
        };
        assert_eq!((&told.shard_id, told.parents.len()), (&id(child), 2));
    }
}

#[tokio::test(start_paused = true)]
async fn children_that_the_server_leaves_out_are_an_empty_list() {
    let service = TestKinesis::new(1);
    service.state().hides_children = true;
    service.split(0);
    let mut reader = reader(&service, 0).open().await.unwrap();
    assert!(reader.next().await.is_none());
    assert_eq!(reader.children(), Some(&[][..]));
}

#[tokio::test(start_paused = true)]
async fn the_position_is_fixed_when_open_returns() {
    let service = TestKinesis::new(1);
    put(&service, 0..5);
    let at = |start| reader(&service, 0).start(start).open();
    let mut latest = at(IteratorStart::Latest).await.unwrap();
    let number = service.put(0, "5");
    put(&service, 6..8);
    assert_eq!(take(&mut latest, 3).await, texts(5..8));
    assert!(is_silent(&mut latest).await);
    let mut from = at(IteratorStart::AtSequenceNumber(number.clone()))
        .await
        .unwrap();
    assert_eq!(take(&mut from, 3).await, texts(5..8));
    let mut after = at(IteratorStart::AfterSequenceNumber(number))
        .await
        .unwrap();
    assert_eq!(take(&mut after, 2).await, texts(6..8));
    let mut all = at(IteratorStart::TrimHorizon).await.unwrap();
    assert_eq!(take(&mut all, 8).await, texts(0..8));
}

#[tokio::test(start_paused = true)]
async fn latest_is_kept_when_its_iterator_expires_before_a_record_comes() {
    let service = TestKinesis::new(1);
    service.put(0, "before");
    tokio::time::sleep(Duration::from_mins(2)).await;
    let mut reader = reader(&service, 0)
        .start(IteratorStart::Latest)
        .open()
        .await
        .unwrap();
    service.fail("GetRecords", 0, "ExpiredIteratorException", 1);
    service.put(0, "after");
    assert_eq!(take(&mut reader, 1).await, ["after"]);
    assert!(is_silent(&mut reader).await);
}

#[tokio::test(start_paused = true)]
async fn reading_goes_on_within_an_aggregate() {
    let service = TestKinesis::new(1);
    let number = service.put_aggregate(0, &texts(0..4));
    put(&service, 4..6);
    let reader = reader(&service, 0).resume_after(number, 1);
    let mut reader = reader.open().await.unwrap();
    assert_eq!(take(&mut reader, 4).await, texts(2..6));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_of_next_loses_no_record() {
    let service = TestKinesis::new(1);
    let mut reader = reader(&service, 0).open().await.unwrap();
    for number in 0..20 {
        let before = tokio::time::timeout(Duration::from_millis(number), reader.next());
        assert!(before.await.is_err());
        service.put(0, number.to_string());
        assert_eq!(take(&mut reader, 1).await, [number.to_string()]);
    }
}

#[tokio::test(start_paused = true)]
async fn faults_that_may_pass_are_retried_and_others_end_the_reader_with_their_error() {
    let service = TestKinesis::new(1);
    put(&service, 0..3);
    service.fail("GetRecords", 0, "ProvisionedThroughputExceededException", 4);
    let mut reader = reader(&service, 0).open().await.unwrap();
    assert_eq!(take(&mut reader, 3).await, texts(0..3));
    assert_eq!(reader.stats().throttled_calls, 4);
    service.fail("GetRecords", 0, "AccessDeniedException", 1);
    let error = reader.next().await.unwrap().unwrap_err();
    assert!(matches!(error, GetError::Service { .. }), "{error:?}");
    assert!(reader.next().await.is_none());
    assert_eq!(reader.children(), None, "it did not end");
}

#[tokio::test(start_paused = true)]
async fn a_shard_or_position_that_is_not_there_fails_to_open() {
    let service = TestKinesis::new(1);
    let error = reader(&service, 7).open().await.unwrap_err();
    assert!(
        error.to_string().contains("shardId-000000000007"),
        "{error}"
    );
    let start = IteratorStart::AtSequenceNumber(99.into());
    let error = reader(&service, 0).start(start).open().await.unwrap_err();
    assert!(
        matches!(error, GetError::UnknownPosition { .. }),
        "{error:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_that_cannot_be_decoded_is_one_error_item() {
    let service = TestKinesis::new(1);
    for text in ["a", "bad", "b"] {
        service.put(0, text);
    }
    let stream: KinesisStream<Good> = service.stream();
    let mut reader = stream.shard_reader(id(0)).open().await.unwrap();
    assert_eq!(reader.next().await.unwrap().unwrap().data, Good("a".into()));
    let error = reader.next().await.unwrap().unwrap_err();
    assert!(matches!(error, GetError::Decode { .. }), "{error:?}");
    assert_eq!(reader.next().await.unwrap().unwrap().data, Good("b".into()));
    drop(reader);
}

#[tokio::test(start_paused = true)]
async fn a_slow_owner_holds_two_pages_back_and_a_dropped_reader_calls_no_more() {
    let service = TestKinesis::new(1);
    put(&service, 0..100);
    let mut reader = reader(&service, 0).open().await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(reader.stats().records, 6);
    assert_eq!(take(&mut reader, 100).await, texts(0..100));
    drop(reader);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let calls = service.calls_of("GetRecords", 0).len();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(service.calls_of("GetRecords", 0).len(), calls);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_not_known_yet_is_asked_for_again_and_one_that_is_not_there_is_an_error() {
    let service = TestKinesis::new(1);
    let [left, _] = service.split(0);
    service.put(left, "left");
    service.fail("GetShardIterator", left, "ResourceNotFoundException", 3);
    let mut child = reader(&service, left).open().await.unwrap();
    assert_eq!(take(&mut child, 1).await, ["left"]);
    let begun = service.clock().instant();
    let error = reader(&service, 9).open().await.unwrap_err();
    assert!(matches!(error, GetError::Service { .. }), "{error:?}");
    assert!(service.clock().instant() - begun < Duration::from_secs(5));
}

#[cfg(feature = "local")]
#[tokio::test(start_paused = true)]
async fn a_shard_is_read_by_a_consumer_to_its_end() {
    use crate::service::{DescribeStreamSummary, RegisterStreamConsumer, SplitShard};

    let stream = super::local::stream(1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (name, service) = (stream.id().clone(), Arc::clone(stream.service()));
    let call = DescribeStreamSummary::new(name.clone());
    let arn = service.describe_stream_summary(call).await.unwrap().arn;
    let call = RegisterStreamConsumer::new(&arn, "one");
    let consumer = service.register_stream_consumer(call).await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let shard = stream.shards().await.unwrap().remove(0);
    let reader = stream.shard_reader(&shard.id).consumer_arn(consumer.arn);
    let mut reader = reader.open().await.unwrap();
    super::local::put_round(&stream, 5, 0).await;
    assert_eq!(take(&mut reader, 5).await, ["0"; 5]);
    let split = SplitShard::new(name, shard.id, shard.hash_key_range.middle());
    service.split_shard(split).await.unwrap();
    assert!(reader.next().await.is_none());
    assert_eq!(reader.children().unwrap().len(), 2);
}
