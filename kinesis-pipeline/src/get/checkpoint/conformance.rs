//! The conformance suite of checkpoint stores.

#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    reason = "a suite fails by panicking, also in the library's own tests"
)]

use std::time::{Duration, SystemTime};

use super::{Checkpoint, CheckpointPlace, CheckpointStore};

pub(crate) fn one_of_each() -> Vec<Checkpoint> {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_234_567_890_123);
    let after = |sub_sequence_number| CheckpointPlace::After {
        sequence_number: "49551479315998225220804774498660962603757541393499684882"
            .parse()
            .unwrap(),
        sub_sequence_number,
    };
    let places = [
        CheckpointPlace::TrimHorizon,
        CheckpointPlace::Timestamp(time),
        after(None),
        after(Some(7)),
        CheckpointPlace::ShardEnd,
    ];
    let rows = places.into_iter().enumerate();
    rows.map(|(number, place)| {
        let row = Checkpoint::new(format!("shardId-{number:012}").into(), place);
        // A reader saves all times with each place. The last shard has been quiet for long.
        match number {
            0 => row.current_at(time + Duration::from_hours(2)),
            2 => row.arrived_at(time),
            3 => row
                .arrived_at(time)
                .current_at(time + Duration::from_hours(1))
                .of_stream_created_at(time - Duration::from_hours(5)),
            _ => row.of_stream_created_at(time - Duration::from_hours(5)),
        }
    })
    .collect()
}

/// Checks a checkpoint store of yours against what readers rely on. The store must be empty, and keep all times.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use kinesis_pipeline::{MemoryCheckpoints, local::check_checkpoint_store};
///
/// check_checkpoint_store(&MemoryCheckpoints::new()).await;
/// # }
/// ```
///
/// # Panics
/// If the store fails a check: the message has the expected result.
#[cfg(feature = "local")]
pub async fn check_checkpoint_store(store: &dyn CheckpointStore) {
    check(store).await;
}

pub(crate) async fn check(store: &dyn CheckpointStore) {
    let load = async |app: &str, stream: &str| {
        let mut rows = store.load(app, stream).await.unwrap();
        rows.sort_by(|a, b| a.shard_id.cmp(&b.shard_id));
        rows
    };
    assert_eq!(load("app", "stream").await, [], "empty at first");

    let rows = one_of_each();
    store.save("app", "stream", rows.clone()).await.unwrap();
    assert_eq!(load("app", "stream").await, rows, "all places come back");
    assert_eq!(load("other", "stream").await, [], "applications are apart");
    assert_eq!(load("app", "other").await, [], "streams are apart");

    // The same place with a later time: a shard at its tip that gets no records.
    let quiet = rows[3]
        .clone()
        .current_at(SystemTime::UNIX_EPOCH + Duration::from_hours(400_000));
    store
        .save("app", "stream", vec![quiet.clone()])
        .await
        .unwrap();
    assert_eq!(
        load("app", "stream").await[3],
        quiet,
        "a quiet shard is current"
    );
    store
        .save("app", "stream", vec![rows[3].clone()])
        .await
        .unwrap();

    let newer = Checkpoint::new(rows[1].shard_id.clone(), CheckpointPlace::ShardEnd);
    store
        .save("app", "stream", vec![newer.clone()])
        .await
        .unwrap();
    let mut expected = rows.clone();
    expected[1] = newer;
    assert_eq!(
        load("app", "stream").await,
        expected,
        "only the saved shard changes"
    );

    let gone = vec![rows[0].shard_id.clone(), "shardId-000000000099".into()];
    store.remove("app", "stream", gone).await.unwrap();
    assert_eq!(
        load("app", "stream").await,
        expected[1..],
        "removed, and the absent is no error"
    );

    store.save("app", "stream", Vec::new()).await.unwrap();
    assert_eq!(
        load("app", "stream").await,
        expected[1..],
        "nothing saved, nothing changed"
    );
}
