//! `leases`: both layouts of KCL, and files.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use bytes::Bytes;
use kinesis_pipeline::{Batch, FileLeases};
use serde_json::json;

use super::{Fleet, Item, id, number, row, text, with};
use crate::Program;

#[tokio::test(flavor = "multi_thread")]
async fn leases_of_kcl_2_are_listed_and_nothing_is_written() {
    let fleet = Fleet::with_stream(1).await;
    let pending = with(
        row(2, "TRIM_HORIZON", Some("w2")),
        "pendingCheckpoint",
        text("49"),
    );
    let pending = with(pending, "pendingCheckpointSubSequenceNumber", number(3));
    let pending = with(
        pending,
        "pendingCheckpointState",
        AttributeValue::B(Blob::new("five5")),
    );
    let child = with(
        row(3, "TRIM_HORIZON", None),
        "parentShardId",
        AttributeValue::Ss(vec![id(1)]),
    );
    let rows = [
        row(0, "SHARD_END", None),
        with(
            row(1, "48", Some("w1")),
            "checkpointSubSequenceNumber",
            number(2),
        ),
        pending,
        child,
        row(4, "LATEST", None),
    ];
    fleet.table("app", "leaseKey", rows).await;
    let before = fleet.all().await;

    let listed = fleet.run("leases --app app -o json").await;
    assert_eq!(listed.status, Some(0), "{}", listed.err);
    let words = "5 leases: 2 held by 2 workers, 1 free, 1 waiting, 1 finished\n";
    assert_eq!(listed.err, words);
    let json = listed.json();
    let states: Vec<_> = json.iter().map(|row| &row["state"]).collect();
    assert_eq!(states, ["finished", "held", "held", "waiting", "free"]);
    assert_eq!(json[1]["owner"], "w1");
    assert_eq!(
        (&json[1]["checkpoint"], &json[1]["sub_sequence_number"]),
        (&json!("48"), &json!(2))
    );
    assert_eq!(json[1]["counter"], 7);
    assert_eq!(json[2]["pending_checkpoint"], "49");
    assert_eq!(json[2]["pending_state_bytes"], 5);
    assert_eq!(json[3]["parents"], json!([id(1)]));

    let table = fleet.run("leases --app other --table app -q").await;
    assert_eq!((table.status, table.err.as_str()), (Some(0), ""));
    let lines: Vec<_> = table.out.lines().collect();
    assert!(lines[0].starts_with("LEASE "), "{}", table.out);
    assert!(
        lines[2].contains("held") && lines[2].contains("48:2"),
        "{}",
        table.out
    );
    assert!(lines[3].contains("49:3"), "{}", table.out);
    assert!(lines[4].contains("waits for parents"), "{}", table.out);
    assert_eq!(fleet.all().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_of_kcl_3_5_are_listed_without_the_rows_of_other_kinds() {
    let fleet = Fleet::with_stream(1).await;
    let lease = |item| {
        with(
            with(item, "entityType", text("LEASE")),
            "throughputKBps",
            number(12),
        )
    };
    let other = |key: &str, kind: &str| {
        Item::from([
            ("leaseKey".to_owned(), text(key)),
            ("entityType".to_owned(), text(kind)),
            ("lut".to_owned(), number(1)),
        ])
    };
    let handed = with(row(1, "48", Some("new")), "checkpointOwner", text("old"));
    let rows = [
        lease(row(0, "47", Some("w1"))),
        lease(handed),
        other("Leader", "LEADER"),
        other("w1", "WORKER_METRIC_STATS"),
        other("TableMigration3.5", "TABLE_MIGRATION"),
        other("Migration3.0", "CLIENT_VERSION_MIGRATION"),
        other("s", "STREAM"),
    ];
    fleet.table("app", "leaseKey", rows).await;
    let before = fleet.all().await;
    let listed = fleet.run("leases --app app -o json").await;
    let json = listed.json();
    assert_eq!(json.len(), 2, "{}", listed.err);
    assert_eq!(json[1]["state"], "handed-over");
    assert_eq!(
        (&json[1]["owner"], &json[1]["checkpoint_owner"]),
        (&json!("new"), &json!("old"))
    );
    let table = fleet.run("leases --app app").await;
    assert!(table.out.contains("old -> new"), "{}", table.out);
    assert_eq!(fleet.all().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_does_not_renew_between_two_looks_is_silent() {
    let fleet = Fleet::with_stream(1).await;
    fleet
        .table("app", "leaseKey", [row(0, "47", Some("w1"))])
        .await;
    let listed = fleet.run("leases --app app --watch 1ms -o json").await;
    assert_eq!(listed.json()[0]["state"], "silent", "{}", listed.err);
    assert!(
        listed.err.ends_with("; 1 were not renewed\n"),
        "{}",
        listed.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leases_of_a_file_are_those_of_deliveries_on_this_machine() {
    let program = Program::with_stream("s", 2).await;
    let stream = program.local.stream::<Bytes>("s", 2).await.unwrap();
    let path = std::env::temp_dir().join(format!(
        "kinesis-pipeline-fleet-{}.json",
        std::process::id()
    ));
    let _ = std::fs::remove_file(&path);
    let builder = stream.worker("app").leases(FileLeases::new(&path));
    let worker = builder.build().unwrap();
    let handle = worker.handle();
    let mut events = handle.events();
    let run = tokio::spawn(worker.run_batches(async |_: Batch<Bytes>| Ok(())));
    while handle.health().shards.len() < 2 {
        assert!(events.next().await.is_some());
    }
    let line = format!("leases --app app --lease-file {} -o json", path.display());
    let listed = program.run(&line, "").await;
    assert_eq!(listed.json().len(), 2, "{}", listed.err);
    assert!(listed.json().iter().all(|row| row["state"] == "held"));
    let lag = program
        .run(&line.replacen("leases", "lag -s s --max 1h", 1), "")
        .await;
    assert_eq!(lag.status, Some(0), "{}", lag.err);
    handle.stop();
    run.await.unwrap().unwrap();
    std::fs::remove_file(path).unwrap();
}
