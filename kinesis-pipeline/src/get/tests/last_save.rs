//! The save that a reader ends with, and the room that it gives back before.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::time::timeout;

use super::{rest, service::TestKinesis, take, text};
use crate::{
    Checkpoint, CheckpointFuture, CheckpointPlace, CheckpointStore, MemoryCheckpoints, ShardId,
    ShardRecords, StartAt,
};

const MOMENT: Duration = Duration::from_secs(1);

/// A store whose next save hangs, on request.
#[derive(Debug, Default)]
struct Hanging {
    store: MemoryCheckpoints,
    hangs: AtomicBool,
}

impl CheckpointStore for Hanging {
    fn load<'a>(&'a self, app: &'a str, stream: &'a str) -> CheckpointFuture<'a, Vec<Checkpoint>> {
        self.store.load(app, stream)
    }

    fn save<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        checkpoints: Vec<Checkpoint>,
    ) -> CheckpointFuture<'a, ()> {
        if self.hangs.swap(false, Ordering::Relaxed) {
            return Box::pin(std::future::pending());
        }
        self.store.save(app, stream, checkpoints)
    }

    fn remove<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        shards: Vec<ShardId>,
    ) -> CheckpointFuture<'a, ()> {
        self.store.remove(app, stream, shards)
    }
}

async fn place(store: &impl CheckpointStore) -> CheckpointPlace {
    store.load("app", "test").await.unwrap().remove(0).place
}

fn after(number: u128) -> CheckpointPlace {
    CheckpointPlace::After {
        sequence_number: number.into(),
        sub_sequence_number: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_save_that_hangs_when_the_reader_ends_is_made_again_by_the_last() {
    let (service, store) = (TestKinesis::new(1), Arc::new(Hanging::default()));
    service.put(0, "1");
    let reader = service.stream::<Bytes>().reader();
    let reader = reader.checkpoints(store.clone(), "app");
    let reader = reader.start(StartAt::TrimHorizon);
    let mut records = reader.open().await.unwrap();
    take(&mut records, 1).await;
    assert_eq!(place(&*store).await, CheckpointPlace::TrimHorizon);
    store.hangs.store(true, Ordering::Relaxed);
    assert!(
        timeout(Duration::from_secs(10), records.next())
            .await
            .is_err()
    );
    assert!(!store.hangs.load(Ordering::Relaxed), "a save hangs");
    records.stop();
    assert_eq!(rest(&mut records).await, Vec::<String>::new());
    assert_eq!(place(&*store).await, after(1));
}

#[tokio::test(start_paused = true)]
async fn the_last_save_waits_for_the_pages_that_shards_were_given() {
    let (service, store) = (TestKinesis::new(1), Arc::new(MemoryCheckpoints::default()));
    for count in 0..20 {
        service.put(0, count.to_string());
    }
    let reader = service.stream::<Bytes>().reader();
    let reader = reader
        .checkpoints(store.clone(), "app")
        .page_records_max(10);
    let records = reader.start(StartAt::TrimHorizon).open().await.unwrap();
    let mut shards = records.by_shard();
    let mut shard = shards.next().await.unwrap().unwrap();
    // Both pages are handed on, and nobody has read them.
    assert!(timeout(MOMENT, shards.next()).await.is_err());
    shards.stop();
    assert!(timeout(MOMENT, shards.next()).await.is_err());
    let read = async {
        let mut given = 0;
        while let Some(record) = shard.next().await {
            record.unwrap();
            given += 1;
        }
        given
    };
    let (given, end) = tokio::join!(read, shards.next());
    assert!(given == 20 && end.is_none(), "{given} {end:?}");
    assert_eq!(place(&*store).await, after(20));
}

#[tokio::test(start_paused = true)]
async fn the_record_before_the_shards_were_asked_for_is_finished() {
    let (service, store) = (TestKinesis::new(1), Arc::new(MemoryCheckpoints::default()));
    service.put(0, "1");
    service.put(0, "2");
    let reader = service.stream::<Bytes>().reader();
    let reader = reader.checkpoints(store.clone(), "app");
    let mut records = reader.start(StartAt::TrimHorizon).open().await.unwrap();
    take(&mut records, 1).await;
    records.by_shard().close().await.unwrap();
    assert_eq!(place(&*store).await, after(1));
}

async fn read_page(shard: &mut ShardRecords<Bytes>, records: usize) {
    for _ in 0..records {
        let item = timeout(Duration::from_secs(50), shard.next()).await;
        text(item.expect("a page of the shard"));
    }
    // The page counts as taken when more is asked for.
    assert!(timeout(Duration::ZERO, shard.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_room_of_a_page_of_a_shard_that_was_left_is_given_back() {
    let service = TestKinesis::new(2);
    for count in 0..40 {
        service.put(count % 2, count.to_string());
    }
    let reader = service.stream::<Bytes>().reader();
    // Room for one page only; as long as the size of records is not known, that is one record.
    let reader = reader.page_records_max(10).prefetch_bytes_max(1);
    let records = reader.start(StartAt::TrimHorizon).open().await.unwrap();
    let mut shards = records.by_shard();
    let mut left = shards.next().await.unwrap().unwrap();
    assert_eq!(left.shard_id().as_str(), "shardId-000000000000");
    read_page(&mut left, 1).await;
    let mut other = shards.next().await.unwrap().unwrap();
    service.state().latencies.insert(0, Duration::from_secs(10));
    read_page(&mut other, 1).await;
    tokio::time::sleep(MOMENT).await;
    assert_eq!(
        service.calls_of("GetRecords", 0).len(),
        2,
        "one is in flight"
    );
    drop(left);
    let hand_on = timeout(Duration::from_mins(1), shards.next());
    let (_, ()) = tokio::join!(hand_on, read_page(&mut other, 10));
}
