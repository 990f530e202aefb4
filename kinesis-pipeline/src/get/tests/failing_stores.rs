//! Stores that fail.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use super::{is_silent, service::TestKinesis, take};
use crate::{
    Checkpoint, CheckpointError, CheckpointFuture, CheckpointPlace, CheckpointStore, GetError,
    MemoryCheckpoints, ShardId, StartAt,
};

fn after(number: u128) -> CheckpointPlace {
    CheckpointPlace::After {
        sequence_number: number.into(),
        sub_sequence_number: None,
    }
}

/// A store that fails on request.
#[derive(Debug, Default)]
struct Failing {
    store: MemoryCheckpoints,
    fails: AtomicBool,
}

impl CheckpointStore for Failing {
    fn load<'a>(&'a self, app: &'a str, stream: &'a str) -> CheckpointFuture<'a, Vec<Checkpoint>> {
        if self.fails.load(Ordering::Relaxed) {
            return Box::pin(async { Err(CheckpointError::new("a test", "it fails")) });
        }
        self.store.load(app, stream)
    }

    fn save<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        checkpoints: Vec<Checkpoint>,
    ) -> CheckpointFuture<'a, ()> {
        if self.fails.load(Ordering::Relaxed) {
            return Box::pin(async { Err(CheckpointError::new("a test", "it fails")) });
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

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_while_is_tried_again_and_one_that_fails_at_the_end_is_an_error() {
    let (service, store) = (TestKinesis::new(1), Arc::new(Failing::default()));
    let reader = service
        .stream::<Bytes>()
        .reader()
        .checkpoints(store.clone(), "app");
    let mut records = reader.open().await.unwrap();
    store.fails.store(true, Ordering::Relaxed);
    service.put(0, "1");
    take(&mut records, 1).await;
    assert!(is_silent(&mut records).await);
    store.fails.store(false, Ordering::Relaxed);
    assert!(is_silent(&mut records).await);
    assert_eq!(store.load("app", "test").await.unwrap()[0].place, after(1));

    store.fails.store(true, Ordering::Relaxed);
    service.put(0, "2");
    take(&mut records, 1).await;
    records.stop();
    let error = records.next().await.unwrap().unwrap_err();
    assert!(matches!(error, GetError::Checkpoint { .. }) && error.is_retryable());
    assert!(records.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_moment_keeps_no_reader_from_opening_or_ending() {
    let (service, store) = (TestKinesis::new(1), Arc::new(Failing::default()));
    let fail_for_seconds = || {
        store.fails.store(true, Ordering::Relaxed);
        let store = store.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            store.fails.store(false, Ordering::Relaxed);
        });
    };
    fail_for_seconds();
    let reader = service.stream::<Bytes>().reader();
    let reader = reader.checkpoints(store.clone(), "app");
    let mut records = reader.start(StartAt::TrimHorizon).open().await.unwrap();
    service.put(0, "1");
    take(&mut records, 1).await;
    fail_for_seconds();
    records.close().await.unwrap();
    assert_eq!(store.load("app", "test").await.unwrap()[0].place, after(1));

    store.fails.store(true, Ordering::Relaxed);
    let begun = service.clock().instant();
    let reader = service.stream::<Bytes>().reader();
    let error = reader.checkpoints(store, "app").open().await.unwrap_err();
    assert!(matches!(error, GetError::Checkpoint { .. }) && error.is_retryable());
    assert!(service.clock().instant() - begun < Duration::from_secs(5));
}

/// Loads nothing, and says of every save that it can never succeed.
#[derive(Debug)]
struct Refusing;

impl CheckpointStore for Refusing {
    fn load<'a>(&'a self, _: &'a str, _: &'a str) -> CheckpointFuture<'a, Vec<Checkpoint>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn save<'a>(&'a self, _: &'a str, _: &'a str, _: Vec<Checkpoint>) -> CheckpointFuture<'a, ()> {
        let error = CheckpointError::new("a test", "somebody else has it");
        Box::pin(async { Err(error.not_retryable()) })
    }

    fn remove<'a>(&'a self, _: &'a str, _: &'a str, _: Vec<ShardId>) -> CheckpointFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_for_good_ends_the_reader_at_once() {
    let service = TestKinesis::new(1);
    let stream = service.stream::<Bytes>();
    let reader = stream.reader().checkpoints(Refusing, "app");
    let mut records = reader.start(StartAt::TrimHorizon).open().await.unwrap();
    let error = tokio::time::timeout(Duration::from_secs(1), records.next());
    let error = error.await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, GetError::Checkpoint { .. }), "{error}");
    assert!(!error.is_retryable());
}
