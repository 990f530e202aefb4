//! Tests of a reader in a table of the Java KCL, and of KCL in a table of a reader.

use std::time::Duration;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};

use super::{
    database::{Database, after, failed, lease_error},
    vectors::{self, types},
};
use crate::{
    CheckpointPlace, CheckpointStore, LeaseError,
    fleet::{
        extension::EXTENSION,
        row::{Item, count, number, text},
    },
};

const SHARD: &str = "shardId-000000000000";

/// Returns the rows that KCL had at this moment.
fn table(moment: &str) -> Vec<Item> {
    let mut tables = vectors::tables().into_iter();
    tables.find(|(name, _)| name == moment).unwrap().1
}

#[tokio::test]
async fn a_reader_goes_on_where_a_fleet_stopped_inside_an_aggregate() {
    let rows = table("2x_01_after_start_and_checkpoints");
    let database = Database::with_leases("app", rows).await;
    let mut rows = database.store().load("app", "s").await.unwrap();
    rows.sort_by(|a, b| a.shard_id.cmp(&b.shard_id));
    assert_eq!(rows.len(), 4);
    let place = CheckpointPlace::After {
        sequence_number: "49680418056436941990854694888141330495518593534495031298"
            .parse()
            .unwrap(),
        sub_sequence_number: Some(5),
    };
    assert_eq!((rows[0].shard_id.as_str(), &rows[0].place), (SHARD, &place));
}

#[tokio::test]
async fn a_checkpoint_of_ours_changes_a_row_as_one_of_kcls_does() {
    let mut row = table("2x_01_after_start_and_checkpoints").remove(0);
    row.insert("pendingCheckpoint".to_owned(), text("7"));
    row.insert("pendingCheckpointSubSequenceNumber".to_owned(), number(0));
    row.insert(
        "pendingCheckpointState".to_owned(),
        AttributeValue::B(Blob::new([1])),
    );
    row.insert("ownerSwitchesSinceCheckpoint".to_owned(), number(2));
    row.insert("somethingOfALaterKcl".to_owned(), text("kept"));
    let counter = count(&row, "leaseCounter").unwrap();

    let theirs = Database::with_leases("app", vec![row.clone()]).await;
    theirs
        .kcl_updates("app", SHARD, "checkpoint", counter)
        .await;
    let theirs = theirs.item("app", SHARD).await.unwrap();

    let database = Database::with_leases("app", vec![row]).await;
    let store = database.store().owner_expiry(Duration::ZERO);
    store.load("app", "s").await.unwrap();
    store.save("app", "s", vec![after(SHARD, 7)]).await.unwrap();
    let ours = database.item("app", SHARD).await.unwrap();

    // The owner has not written for the configured time, so it counts as gone.
    let mut expected = types(&theirs);
    expected.remove("leaseOwner").unwrap();
    expected.insert(EXTENSION.to_owned(), "M");
    assert_eq!(types(&ours), expected);
    for name in [
        "leaseCounter",
        "ownerSwitchesSinceCheckpoint",
        "somethingOfALaterKcl",
        "startingHashKey",
    ] {
        assert_eq!(ours[name], theirs[name], "{name}");
    }
}

#[tokio::test]
async fn a_worker_that_renews_its_lease_keeps_it_and_is_named() {
    let row = table("2x_01_after_start_and_checkpoints").remove(0);
    let counter = count(&row, "leaseCounter").unwrap();
    let database = Database::with_leases("app", vec![row]).await;
    let store = database.store().owner_expiry(Duration::from_millis(50));
    store.load("app", "s").await.unwrap();
    database.kcl_updates("app", SHARD, "renew", counter).await;
    let before = database.item("app", SHARD).await;
    for _ in 0..2 {
        let error = failed(store.save("app", "s", vec![after(SHARD, 7)]).await);
        let LeaseError::Held { shard, owner } = lease_error(&error) else {
            panic!("{error:?}");
        };
        assert_eq!((shard.as_str(), owner.as_str()), (SHARD, "w1"));
        assert!(!error.is_retryable());
    }
    let error = failed(store.remove("app", "s", vec![SHARD.into()]).await);
    assert!(
        matches!(lease_error(&error), LeaseError::Held { .. }),
        "{error}"
    );
    assert_eq!(
        database.item("app", SHARD).await,
        before,
        "nothing was written"
    );
}

#[tokio::test]
async fn kcl_takes_over_a_row_of_ours_and_we_let_it_have_it() {
    let database = Database::start().await;
    let store = database.store();
    store
        .save(
            "app",
            "s",
            vec![after(SHARD, 7).arrived_at(crate::clock::from_epoch_millis(9))],
        )
        .await
        .unwrap();
    for (counter, request) in [(0, "take"), (1, "renew"), (2, "checkpoint")] {
        database.kcl_updates("app", SHARD, request, counter).await;
    }
    let error = failed(store.save("app", "s", vec![after(SHARD, 8)]).await);
    assert!(
        matches!(lease_error(&error), LeaseError::Held { owner, .. } if owner == "w2"),
        "{error}"
    );
    let rows = store.load("app", "s").await.unwrap();
    let place = CheckpointPlace::After {
        sequence_number: "49680418056436941990854694888141330495518593534495031298"
            .parse()
            .unwrap(),
        sub_sequence_number: Some(9),
    };
    assert_eq!((&rows[0].place, rows[0].arrived_at), (&place, None));
}

#[tokio::test]
async fn an_owner_is_waited_for_from_loading_on() {
    let rows = table("2x_08_after_clean_stop_of_last_worker");
    let database = Database::with_leases("app", rows).await;
    let expiry = Duration::from_millis(200);
    let store = database.store().owner_expiry(expiry);
    let clock = crate::Clock::system();
    let loading_at = clock.instant();
    store.load("app", "s").await.unwrap();
    store.save("app", "s", vec![after(SHARD, 7)]).await.unwrap();
    assert!(clock.instant() - loading_at >= expiry);
    let row = database.item("app", SHARD).await.unwrap();
    assert!(!row.contains_key("leaseOwner"));
}

#[tokio::test]
async fn finished_shards_of_a_fleet_are_finished_for_us() {
    let rows = table("3x_05_after_split");
    let database = Database::with_leases("app", rows).await;
    let rows = database.store().load("app", "s").await.unwrap();
    let of = |shard: &str| {
        let mut rows = rows.iter();
        rows.find(|row| row.shard_id.as_str() == shard)
            .unwrap()
            .place
            .clone()
    };
    assert_eq!(of(SHARD), CheckpointPlace::ShardEnd);
    assert_eq!(of("shardId-000000000003"), CheckpointPlace::TrimHorizon);
}

#[tokio::test]
async fn a_reader_refuses_the_table_of_a_fleet_of_several_streams() {
    let mut row = table("2x_01_after_start_and_checkpoints").remove(0);
    let key = "123456789012:readings:1700000000:shardId-000000000000";
    row.insert("leaseKey".to_owned(), text(key));
    let database = Database::with_leases("app", vec![row]).await;
    let loaded = database.store().load("app", "readings").await;
    let error = loaded.unwrap_err();
    let error = lease_error(&error);
    assert!(
        matches!(error, LeaseError::ManyStreams { lease_key } if lease_key == key),
        "{error}"
    );
}
