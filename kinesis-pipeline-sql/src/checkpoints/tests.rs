//! The store on a Postgres, and the words of its rows.
//!
//! The server is found on the machine; where there is none, the tests that need one say so and pass.

use std::time::Duration;

use kinesis_pipeline::{
    Checkpoint, CheckpointPlace, CheckpointStore as _, local::check_checkpoint_store,
};
use proptest::prelude::*;

use crate::support::Postgres;

use super::{
    PostgresCheckpoints,
    words::{Words, time},
};

/// Makes a schema for a test. Returns the server, which must be kept, and a URL that works in the schema.
async fn schema(name: &str) -> Option<(Postgres, tokio_postgres::Client, String)> {
    let server = Postgres::start().await?;
    let client = server.client().await;
    let sql = format!(
        "DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}; SET search_path = {name}"
    );
    client.batch_execute(&sql).await.unwrap();
    let url = format!("{}&options=-csearch_path%3D{name}", server.url());
    Some((server, client, url))
}

fn after(number: u128) -> CheckpointPlace {
    let place = Words {
        seq_num: number.to_string(),
        ..Words::default()
    };
    place.checkpoint("s").unwrap().place
}

#[tokio::test]
async fn a_store_in_postgres_conforms() {
    let Some((_server, _, url)) = schema("ck_conforms").await else {
        return;
    };
    check_checkpoint_store(&PostgresCheckpoints::connect(url).unwrap()).await;
}

#[tokio::test]
async fn several_stores_that_make_the_table_at_once_all_succeed() {
    let Some((_server, _, url)) = schema("ck_at_once").await else {
        return;
    };
    let stores = (0..8).map(|_| PostgresCheckpoints::connect(url.clone()).unwrap());
    let tasks: Vec<_> = stores
        .map(|store| tokio::spawn(async move { store.load("a", "s").await }))
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap().unwrap(), []);
    }
}

#[tokio::test]
async fn a_table_of_tritons_is_read_and_extended_and_triton_goes_on_in_it() {
    for updated in ["integer", "timestamp", "timestamp with time zone"] {
        let Some((_server, client, url)) = schema("ck_triton").await else {
            return;
        };
        let sql = format!(
            "CREATE TABLE triton_checkpoint (client varchar(255), stream varchar(255), shard varchar(255), \
             seq_num varchar(255), updated {updated}, PRIMARY KEY (client, stream, shard)); \
             INSERT INTO triton_checkpoint VALUES ('a', 's', 'shardId-000000000000', '42')"
        );
        client.batch_execute(&sql).await.unwrap();
        let store = PostgresCheckpoints::connect(url).unwrap();
        let expected = Checkpoint::new("shardId-000000000000".into(), after(42));
        assert_eq!(
            store.load("a", "s").await.unwrap(),
            std::slice::from_ref(&expected)
        );

        let mut half = expected.clone().arrived_at(time(5_000));
        if let CheckpointPlace::After {
            sub_sequence_number,
            ..
        } = &mut half.place
        {
            *sub_sequence_number = Some(3);
        }
        store.save("a", "s", vec![half.clone()]).await.unwrap();
        assert_eq!(store.load("a", "s").await.unwrap(), [half]);

        // Triton writes its own columns only: the other columns belong to the old place and no longer count.
        client
            .batch_execute("UPDATE triton_checkpoint SET seq_num = '43'")
            .await
            .unwrap();
        let expected = Checkpoint::new("shardId-000000000000".into(), after(43));
        assert_eq!(store.load("a", "s").await.unwrap(), [expected]);
    }
}

#[tokio::test]
async fn checkpoints_are_listed_and_pruned_by_application_stream_and_age() {
    let Some((_server, client, url)) = schema("ck_prune").await else {
        return;
    };
    let store = PostgresCheckpoints::connect(url).unwrap();
    for (app, stream) in [("a", "s"), ("a", "t"), ("b", "s")] {
        let rows = ["shardId-000000000001", "shardId-000000000000"];
        let rows = rows.map(|shard| Checkpoint::new(shard.into(), after(7)));
        store.save(app, stream, rows.to_vec()).await.unwrap();
    }
    let names = |rows: Vec<super::StoredCheckpoint>| -> Vec<String> {
        let rows = rows.into_iter();
        rows.map(|row| format!("{}/{}/{}", row.app, row.stream, row.checkpoint.shard_id))
            .collect()
    };
    let all = store.list(None, None).await.unwrap();
    assert!(all.iter().all(|row| row.updated.is_some()));
    assert_eq!(
        names(all)[..2],
        ["a/s/shardId-000000000000", "a/s/shardId-000000000001"]
    );
    assert_eq!(store.list(Some("a"), None).await.unwrap().len(), 4);
    assert_eq!(store.list(Some("a"), Some("t")).await.unwrap().len(), 2);

    let hour = Duration::from_hours(1);
    assert_eq!(store.prune(None, None, hour).await.unwrap(), 0);
    client
        .batch_execute("UPDATE triton_checkpoint SET updated = updated - 3700 WHERE stream = 's'")
        .await
        .unwrap();
    assert_eq!(store.prune(Some("b"), None, hour).await.unwrap(), 2);
    assert_eq!(store.prune(None, Some("t"), hour).await.unwrap(), 0);
    assert_eq!(store.prune(None, None, hour).await.unwrap(), 2);
    assert_eq!(store.list(None, None).await.unwrap().len(), 2);
}

#[tokio::test]
async fn errors_tell_what_no_later_try_mends() {
    let Some((_server, client, url)) = schema("ck_errors").await else {
        return;
    };
    let store = PostgresCheckpoints::connect(url.clone())
        .unwrap()
        .create_table(false);
    assert!(!store.load("a", "s").await.unwrap_err().is_retryable());
    client
        .batch_execute(
            "CREATE TABLE triton_checkpoint (client varchar(255), stream varchar(255), shard varchar(255), \
             seq_num varchar(255), updated integer, PRIMARY KEY (client, stream, shard)); \
             INSERT INTO triton_checkpoint VALUES ('a', 's', 'x', 'LATEST', 1)",
        )
        .await
        .unwrap();
    let error = PostgresCheckpoints::connect(url)
        .unwrap()
        .load("a", "s")
        .await
        .unwrap_err();
    assert!(!error.is_retryable());
    assert!(
        std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("the row of x")
    );
    let nowhere = PostgresCheckpoints::connect("postgres://nobody@127.0.0.1:1/none").unwrap();
    assert!(nowhere.load("a", "s").await.unwrap_err().is_retryable());
}

proptest! {
    #[test]
    fn a_checkpoint_comes_back_as_it_was_written(
        kind in 0..4_u8,
        number: u128,
        sub in proptest::option::of(0..i64::MAX as u64),
        times: [Option<u32>; 4],
    ) {
        let [begun, arrived, current, created] =
            times.map(|time| time.map(|seconds| super::words::time(i64::from(seconds) * 1_001)));
        let mut place = after(number);
        if let CheckpointPlace::After { sub_sequence_number, .. } = &mut place {
            *sub_sequence_number = sub;
        }
        let place = match kind {
            0 => CheckpointPlace::TrimHorizon,
            1 => CheckpointPlace::ShardEnd,
            2 => CheckpointPlace::Timestamp(begun.unwrap_or(std::time::UNIX_EPOCH)),
            _ => place,
        };
        let mut checkpoint = Checkpoint::new("shardId-000000000003".into(), place);
        checkpoint.arrived_at = arrived;
        checkpoint.current_at = current;
        checkpoint.stream_created_at = created;
        let back = Words::of(&checkpoint).checkpoint("shardId-000000000003");
        prop_assert_eq!(back, Ok(checkpoint));
    }
}
