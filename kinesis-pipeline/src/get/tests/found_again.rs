//! A stream that was deleted and made again under its name.

use std::time::Duration;

use bytes::Bytes;

use super::{
    checkpoints::{Store, reader},
    is_silent,
    service::TestKinesis,
    take,
};
use crate::{
    Checkpoint, CheckpointPlace, CheckpointStore as _, GetError, Mismatch, OnTrimmed, StartAt,
};

const POLICIES: [OnTrimmed; 3] = [OnTrimmed::Fail, OnTrimmed::FromHorizon, OnTrimmed::Latest];

fn shard(number: usize) -> crate::ShardId {
    format!("shardId-{number:012}").into()
}

async fn mismatch(service: &TestKinesis, store: &Store, policy: OnTrimmed) -> Mismatch {
    let error = reader(service, store).on_trimmed(policy).open().await;
    let error = error.unwrap_err();
    let told = error.to_string();
    let GetError::Mismatch {
        checkpoint, found, ..
    } = error
    else {
        panic!("{error:?}");
    };
    for part in [checkpoint.shard_id.to_string(), found.to_string()] {
        assert!(told.contains(&part), "{told} lacks {part}");
    }
    *found
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_shard_that_is_open_is_an_error_under_every_policy() {
    for policy in POLICIES {
        let (service, store) = (TestKinesis::new(1), Store::default());
        let row = Checkpoint::new(shard(0), CheckpointPlace::ShardEnd);
        store.save("app", "test", vec![row]).await.unwrap();
        let found = mismatch(&service, &store, policy).await;
        assert_eq!(found, Mismatch::OpenShard);
    }
}

#[tokio::test(start_paused = true)]
async fn a_number_from_before_the_shard_and_a_shard_that_was_never_made_are_errors() {
    for policy in POLICIES {
        let (service, store) = (TestKinesis::new(3), Store::default());
        let after = CheckpointPlace::After {
            sequence_number: service.put(0, "x"),
            sub_sequence_number: None,
        };
        service.put(0, "y");
        service.make_again(2);
        let row = Checkpoint::new(shard(0), after.clone());
        store.save("app", "test", vec![row]).await.unwrap();
        let found = mismatch(&service, &store, policy).await;
        assert_eq!(found, Mismatch::StartsAt(3.into()));

        let store = Store::default();
        let row = Checkpoint::new(shard(2), after);
        store.save("app", "test", vec![row]).await.unwrap();
        let found = mismatch(&service, &store, policy).await;
        assert_eq!(found, Mismatch::NewestShard(shard(1)));
    }
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_shard_that_is_closed_in_the_new_stream_too_is_told_by_its_creation() {
    let (service, store) = (TestKinesis::new(1), Store::default());
    let mut records = reader(&service, &store).open().await.unwrap();
    service.split(0);
    tokio::time::sleep(Duration::from_secs(20)).await;
    records.stop();
    assert!(records.next().await.is_none());
    let rows = store.load("app", "test").await.unwrap();
    assert_eq!(rows[0].place, CheckpointPlace::ShardEnd);
    assert!(rows.iter().all(|row| row.stream_created_at.is_some()));

    service.make_again(1);
    service.put(0, "unread");
    service.split(0);
    for policy in POLICIES {
        let found = mismatch(&service, &store, policy).await;
        assert!(matches!(found, Mismatch::CreatedAt(_)), "{found:?}");
    }
    // Without the right to describe the stream, the checkpoints are believed, and the time stays with them.
    service.fail("DescribeStreamSummary", 0, "AccessDeniedException", 1);
    drop(reader(&service, &store).open().await.unwrap());
    mismatch(&service, &store, OnTrimmed::Fail).await;
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_without_a_time_of_creation_is_read_as_before() {
    let (service, store) = (TestKinesis::new(1), Store::default());
    let after = CheckpointPlace::After {
        sequence_number: service.put(0, "1"),
        sub_sequence_number: None,
    };
    service.put(0, "2");
    let row = Checkpoint::new(shard(0), after);
    store.save("app", "test", vec![row]).await.unwrap();
    let mut records = reader(&service, &store).open().await.unwrap();
    assert_eq!(take(&mut records, 1).await, ["2"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_whose_stream_is_made_again_under_it_ends_with_an_error() {
    for policy in POLICIES {
        let service = TestKinesis::new(1);
        let reader = service.stream::<Bytes>().reader();
        let reader = reader.start(StartAt::TrimHorizon).on_trimmed(policy);
        let mut records = reader.open().await.unwrap();
        service.put(0, "old");
        service.put(0, "old");
        assert_eq!(take(&mut records, 2).await, ["old", "old"]);
        service.make_again(1);
        service.put(0, "new");
        let error = records.next().await.unwrap().unwrap_err();
        let GetError::Mismatch { found, .. } = &error else {
            panic!("{policy:?}: {error:?}");
        };
        assert!(matches!(**found, Mismatch::StartsAt(_)), "{found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_has_read_nothing_is_told_by_the_shards_that_the_stream_is_another_one() {
    let service = TestKinesis::new(1);
    service.put(0, "old");
    let mut records = service.stream::<Bytes>().iter_from_latest().await.unwrap();
    // It goes on with the children, and shard 0 counts as finished.
    service.split(0);
    assert!(is_silent(&mut records).await);
    service.make_again(3);
    service.put(0, "new");
    let error = records.next().await.unwrap().unwrap_err();
    let GetError::Mismatch {
        checkpoint, found, ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(checkpoint.shard_id, shard(0));
    assert!(matches!(**found, Mismatch::StartsAt(_)), "{found:?}");
}
