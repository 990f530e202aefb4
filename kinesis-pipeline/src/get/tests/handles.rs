//! The handle that saves checkpoints of a reader, also after the reader is gone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::service::TestKinesis;
use crate::{
    Checkpoint, CheckpointFuture, CheckpointPlace, CheckpointStore, MemoryCheckpoints, Reader,
    ShardId, StartAt,
};

/// A store whose first save is slow: it takes so many seconds, each later one none.
#[derive(Debug, Default)]
struct SlowStore {
    inner: MemoryCheckpoints,
    first_takes: AtomicU64,
}

impl CheckpointStore for SlowStore {
    fn load<'a>(&'a self, app: &'a str, stream: &'a str) -> CheckpointFuture<'a, Vec<Checkpoint>> {
        self.inner.load(app, stream)
    }

    fn save<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        checkpoints: Vec<Checkpoint>,
    ) -> CheckpointFuture<'a, ()> {
        Box::pin(async move {
            let seconds = self.first_takes.swap(0, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            self.inner.save(app, stream, checkpoints).await
        })
    }

    fn remove<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        shards: Vec<ShardId>,
    ) -> CheckpointFuture<'a, ()> {
        self.inner.remove(app, stream, shards)
    }
}

fn reader(service: &TestKinesis, store: &Arc<SlowStore>) -> Reader<bytes::Bytes> {
    let reader = service.stream().reader().start(StartAt::TrimHorizon);
    reader.checkpoints(store.clone(), "app").require_ack()
}

async fn saved(store: &SlowStore) -> CheckpointPlace {
    store.load("app", "test").await.unwrap().remove(0).place
}

fn after(number: u128) -> CheckpointPlace {
    CheckpointPlace::After {
        sequence_number: number.into(),
        sub_sequence_number: None,
    }
}

#[tokio::test(start_paused = true)]
async fn acks_after_the_reader_is_gone_are_saved_by_its_checkpoint_handle() {
    let (service, store) = (TestKinesis::new(1), Arc::new(SlowStore::default()));
    for text in ["a", "b"] {
        service.put(0, text);
    }
    let mut records = reader(&service, &store).open().await.unwrap();
    let handle = records.checkpoint_handle().unwrap();
    let mut given = Vec::new();
    for _ in 0..2 {
        given.push(records.next().await.unwrap().unwrap());
    }
    drop(records);
    given[0].ack();
    handle.clone().save().await.unwrap();
    assert_eq!(saved(&store).await, after(1));
    given[1].ack();
    handle.save().await.unwrap();
    assert_eq!(saved(&store).await, after(2));
}

#[tokio::test(start_paused = true)]
async fn a_save_of_a_handle_does_not_overtake_a_slower_one_of_its_reader() {
    let (service, store) = (TestKinesis::new(1), Arc::new(SlowStore::default()));
    for text in ["a", "b"] {
        service.put(0, text);
    }
    let mut records = reader(&service, &store).open().await.unwrap();
    let handle = records.checkpoint_handle().unwrap();
    records.next().await.unwrap().unwrap().ack();
    // The reader's own save is on its way with the first record.
    store.first_takes.store(20, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(
        store.first_takes.load(Ordering::Relaxed),
        0,
        "it is running"
    );
    records.next().await.unwrap().unwrap().ack();
    handle.save().await.unwrap();
    assert_eq!(saved(&store).await, after(2));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(saved(&store).await, after(2));
}

#[tokio::test(start_paused = true)]
async fn a_reader_without_checkpoints_has_no_handle() {
    let service = TestKinesis::new(1);
    let records = service.stream::<bytes::Bytes>().iter_from_all().await;
    assert!(records.unwrap().checkpoint_handle().is_none());
}
