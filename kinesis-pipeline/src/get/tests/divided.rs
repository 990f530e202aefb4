//! Readers that have divided the shards between them, with checkpoints in one store.

use std::time::Duration;

use bytes::Bytes;

use super::{
    checkpoints::{Store, reader},
    is_silent, rest,
    service::TestKinesis,
    take,
};
use crate::{CheckpointStore as _, Reader, StartAt};

fn of(service: &TestKinesis, store: &Store, shards: &[usize]) -> Reader<Bytes> {
    let ids = shards.iter().map(|number| format!("shardId-{number:012}"));
    let ids: Vec<_> = ids.map(|id| crate::ShardId::from(id.as_str())).collect();
    reader(service, store).shards(ids)
}

async fn close(mut records: crate::Records<Bytes>) {
    records.stop();
    assert_eq!(rest(&mut records).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn one_reader_does_not_forget_what_the_other_has_finished() {
    let (service, store) = (TestKinesis::new(2), Store::default());
    let mut first = of(&service, &store, &[0]).open().await.unwrap();
    let mut second = of(&service, &store, &[1]).open().await.unwrap();
    service.put(0, "of 0");
    service.put(1, "of 1");
    let [left, _] = service.split(1);
    take(&mut first, 1).await;
    take(&mut second, 1).await;
    // The second reader ends between its shard and the children of that.
    assert!(is_silent(&mut second).await);
    close(second).await;
    close(first).await;
    let rows = store.load("app", "test").await.unwrap();
    let children = rows.iter().map(|row| row.shard_id.clone());
    let children = children.filter(|id| id.as_str() > "shardId-000000000001");
    let children: Vec<_> = children.collect();
    store.remove("app", "test", children).await.unwrap();
    service.put(left, "child");
    service.trim(1, true);
    let first = of(&service, &store, &[0]).open().await.unwrap();
    tokio::time::sleep(Duration::from_secs(20)).await;
    drop(first);
    let mut second = of(&service, &store, &[1]).open().await.unwrap();
    assert_eq!(take(&mut second, 1).await, ["child"]);
    let mut children = of(&service, &store, &[left]).start(StartAt::Latest);
    children = children.require_ack();
    drop(second);
    assert_eq!(
        take(&mut children.open().await.unwrap(), 1).await,
        ["child"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_shard_of_another_reader_that_expired_is_no_gap_of_this_one() {
    let (service, store) = (TestKinesis::new(2), Store::default());
    let mut second = of(&service, &store, &[1]).open().await.unwrap();
    service.put(1, "1");
    take(&mut second, 1).await;
    second.close().await.unwrap();
    service.put(1, "2");
    service.split(1);
    service.trim(1, true);
    service.put(0, "mine");
    let first = of(&service, &store, &[0]).start(StartAt::TrimHorizon);
    let mut first = first.open().await.unwrap();
    assert_eq!(take(&mut first, 1).await, ["mine"]);
    assert_eq!(first.stats().gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn the_child_of_a_merge_waits_for_the_parent_that_another_reader_reads() {
    for is_opened_after_the_merge in [false, true] {
        let (service, store) = (TestKinesis::new(2), Store::default());
        let first = || of(&service, &store, &[0]).start(StartAt::TrimHorizon);
        let mut second = of(&service, &store, &[1])
            .start(StartAt::TrimHorizon)
            .page_records_max(1)
            .open()
            .await
            .unwrap();
        for count in 0..5 {
            service.put(1, count.to_string());
        }
        let mut early = None;
        if !is_opened_after_the_merge {
            early = Some(first().open().await.unwrap());
        }
        assert_eq!(take(&mut second, 1).await, ["0"]);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let child = service.merge(0, 1);
        service.put(child, "child");
        let mut first = match early {
            Some(first) => first,
            None => first().open().await.unwrap(),
        };
        assert!(is_silent(&mut first).await);
        assert_eq!(take(&mut second, 4).await, ["1", "2", "3", "4"]);
        assert_eq!(rest(&mut second).await, Vec::<String>::new());
        assert_eq!(take(&mut first, 1).await, ["child"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_merged_shard_that_was_begun_goes_on_at_once() {
    let (service, store) = (TestKinesis::new(2), Store::default());
    let mut first = of(&service, &store, &[0]).open().await.unwrap();
    let child = service.merge(0, 1);
    service.put(child, "1");
    assert_eq!(take(&mut first, 1).await, ["1"]);
    first.close().await.unwrap();
    // A reader of the other parent begins late.
    let second = of(&service, &store, &[1]).start(StartAt::TrimHorizon);
    let second = second.require_ack().open().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    drop(second);
    service.put(child, "2");
    let mut first = of(&service, &store, &[0]).open().await.unwrap();
    assert_eq!(take(&mut first, 1).await, ["2"]);
}

#[tokio::test(start_paused = true)]
async fn the_child_of_a_merge_waits_for_a_parent_that_the_other_reader_has_not_come_to() {
    for is_opened_after_the_merge in [false, true] {
        let (service, store) = (TestKinesis::new(2), Store::default());
        let of = |shard| of(&service, &store, &[shard]).start(StartAt::TrimHorizon);
        let mut second = of(1).page_records_max(1).open().await.unwrap();
        for count in 0..5 {
            service.put(1, count.to_string());
        }
        let mut early = None;
        if !is_opened_after_the_merge {
            early = Some(of(0).open().await.unwrap());
        }
        assert_eq!(take(&mut second, 1).await, ["0"]);
        tokio::time::sleep(Duration::from_secs(10)).await;
        // The parent has no checkpoint, but the shard that it comes from has.
        let [left, _] = service.split(1);
        service.put(left, "left");
        let child = service.merge(0, left);
        service.put(child, "child");
        let mut first = match early {
            Some(first) => first,
            None => of(0).open().await.unwrap(),
        };
        assert!(is_silent(&mut first).await);
        assert_eq!(take(&mut second, 5).await, ["1", "2", "3", "4", "left"]);
        assert!(is_silent(&mut second).await);
        assert_eq!(take(&mut first, 1).await, ["child"]);
    }
}
