//! Rows of all kinds, and the content of the table at the end.

use serde_json::{Value, json};

use super::{
    super::{CrateDbType, InvalidCrateDbOption, ObjectPolicy},
    *,
};
use crate::row::{Column, ColumnType, Columns};

fn typed(kind: ColumnType) -> Columns {
    [
        Column::field("device", ColumnType::Text),
        Column::field("value", kind),
    ]
    .into_iter()
    .collect()
}

fn values(node: &CrateDb) -> Vec<(String, Value)> {
    let rows = node.rows(TABLE);
    let of = |row: &serde_json::Map<String, Value>| {
        (
            row["device"].as_str().unwrap().to_owned(),
            row["value"].clone(),
        )
    };
    rows.iter().map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn whole_records_are_appended_under_their_positions_and_the_position_follows() {
    let node = CrateDb::new();
    let records = [
        ("a", json!(1.5)),
        ("a", json!({"x": [1, 2]})),
        ("b", json!(null)),
    ];
    // One object column learns a single type for `value`: the second record does not fit it.
    let stream = stream([records[0].clone(), records[2].clone()]).await;
    let running = Running::start(&stream, &sink(&node, builder()), &MemoryLeases::new());
    let last = sequence_numbers(&stream).await.pop();
    let letters = running.stop_when(|| position(&node) == last).await;
    assert_eq!(letters, [""; 0]);
    let rows = node.rows(TABLE);
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0]["record"], json!({"device": "a", "value": 1.5}));
    assert_eq!(rows[0]["shard_id"], "shardId-000000000000");
    assert_eq!(rows[1]["sub_sequence_number"], 0);
    assert_eq!(rows[1]["sequence_number"].as_str(), last.as_deref());
}

#[tokio::test(start_paused = true)]
async fn a_value_that_does_not_fit_a_dynamic_column_becomes_a_dead_letter_and_the_others_are_stored()
 {
    let node = CrateDb::new();
    let records = [
        ("a", json!({"x": 1})),
        ("b", json!({"x": "text"})),
        ("c", json!({"y": true, "x": 2})),
    ];
    let stream = stream(records).await;
    let last = sequence_numbers(&stream).await.pop();
    let running = Running::start(&stream, &sink(&node, builder()), &MemoryLeases::new());
    let letters = running.stop_when(|| position(&node) == last).await;
    assert_eq!(node.rows(TABLE).len(), 2);
    assert_eq!(letters.len(), 1);
    assert!(letters[0].contains("4003"), "{letters:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_a_strict_object_lacks_is_of_its_record() {
    let node = CrateDb::new();
    let columns = typed(ColumnType::Json);
    let builder = builder()
        .columns(columns)
        .column_type("value", CrateDbType::Object(ObjectPolicy::Strict));
    let stream = stream([("a", json!({})), ("b", json!({"x": 1}))]).await;
    let last = sequence_numbers(&stream).await.pop();
    let running = Running::start(&stream, &sink(&node, builder), &MemoryLeases::new());
    let letters = running.stop_when(|| position(&node) == last).await;
    assert_eq!(values(&node), [("a".to_owned(), json!({}))]);
    assert!(
        letters[0].contains("the column does not exist"),
        "{letters:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_newest_row_of_a_key_stays_and_a_deleted_one_keeps_its_version() {
    let node = CrateDb::new();
    let columns = typed(ColumnType::Float).key(["device"]).unwrap();
    let upsert = || {
        let builder = builder().columns(columns.clone()).upsert();
        builder.delete_when(|record| record.data.value.is_null())
    };
    let records = [
        ("a", json!(1)),
        ("b", json!(2)),
        ("a", json!(3)),
        ("b", json!(null)),
        ("c", json!(5)),
    ];
    let stream = stream(records).await;
    let last = sequence_numbers(&stream).await.pop();
    let running = Running::start(&stream, &sink(&node, upsert()), &MemoryLeases::new());
    running.stop_when(|| position(&node) == last).await;
    let expected = [("a", json!(3.0)), ("b", json!(null)), ("c", json!(5.0))];
    let expected = expected.map(|(key, value)| (key.to_owned(), value));
    assert_eq!(values(&node), expected);
    let deleted: Vec<_> = node
        .rows(TABLE)
        .iter()
        .map(|row| row["kinesis_deleted"].clone())
        .collect();
    assert_eq!(deleted, [false, true, false]);
    // Only the last row of each key was sent.
    let inserts = node
        .log()
        .into_iter()
        .filter(|(sql, _)| sql.starts_with("INSERT INTO \"readings\""));
    assert_eq!(inserts.map(|(_, rows)| rows).collect::<Vec<_>>(), [3]);

    // Another application reads the same records, one a batch, from the first on: nothing old comes back.
    let one_at_a_time = sink(&node, upsert().positions_table("others"));
    let worker = stream
        .worker("other")
        .leases(MemoryLeases::new())
        .batch_records_max(1);
    let worker = worker.start(StartAt::TrimHorizon).build().unwrap();
    let (handle, run) = (worker.handle(), one_at_a_time.clone());
    let task = tokio::spawn(async move { run.run(worker).await });
    let is_read = || {
        node.rows("doc.others")
            .first()
            .is_some_and(|row| row["sequence_number"].as_str() == last.as_deref())
    };
    while !is_read() {
        assert_eq!(values(&node), expected);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    handle.stop();
    task.await.unwrap().unwrap();
    assert_eq!(values(&node), expected);
}

#[tokio::test(start_paused = true)]
async fn names_and_values_with_quotes_and_nul_are_stored_and_never_carried_out() {
    let node = CrateDb::new();
    let odd = "va\"lue\") VALUES (1); DROP TABLE readings; --";
    let columns: Columns = [
        Column::field("device", ColumnType::Text),
        Column::field(odd, ColumnType::Text).from_field("value"),
    ]
    .into_iter()
    .collect();
    let columns = columns.key(["device"]).unwrap();
    let text = "'); DROP TABLE readings; --\"\\\0\u{7f}\u{1F600}";
    let stream = stream([("k\0ey\"", json!(text))]).await;
    let running = Running::start(
        &stream,
        &sink(&node, builder().columns(columns).upsert()),
        &MemoryLeases::new(),
    );
    running.stop_when(|| position(&node).is_some()).await;
    let rows = node.rows(TABLE);
    assert_eq!(
        (&rows[0]["device"], &rows[0][odd]),
        (&json!("k\0ey\""), &json!(text))
    );
}

#[tokio::test(start_paused = true)]
async fn a_value_of_a_megabyte_goes_alone_into_a_long_text_and_is_refused_by_an_indexed_one() {
    let long = "x".repeat((1 << 20) - 200);
    let records = [
        ("a", json!("short")),
        ("b", json!(long)),
        ("c", json!("short")),
    ];
    for (kind, stored) in [(CrateDbType::LongText, 3), (CrateDbType::Text, 2)] {
        let node = CrateDb::new();
        let builder = builder()
            .columns(typed(ColumnType::Text))
            .column_type("value", kind);
        let stream = stream(records.clone()).await;
        let last = sequence_numbers(&stream).await.pop();
        let sink = sink(&node, builder.request_bytes_max(1 << 19));
        let running = Running::start(&stream, &sink, &MemoryLeases::new());
        let letters = running.stop_when(|| position(&node) == last).await;
        assert_eq!(
            (node.rows(TABLE).len(), letters.len()),
            (stored, 3 - stored),
            "{letters:?}"
        );
        let inserts = node
            .log()
            .into_iter()
            .filter(|(sql, _)| sql.starts_with("INSERT INTO \"readings\""));
        let first: Vec<_> = inserts.map(|(_, rows)| rows).take(3).collect();
        assert_eq!(first, [1, 1, 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_no_row_becomes_a_dead_letter_before_anything_is_sent() {
    let node = CrateDb::new();
    let stream = stream([("a", json!(1.5)), ("b", json!("text"))]).await;
    let numbers = sequence_numbers(&stream).await;
    let sink = sink(&node, builder().columns(typed(ColumnType::Float)));
    let running = Running::start(&stream, &sink, &MemoryLeases::new());
    let letters = running.letters.clone();
    let is_done = || {
        position(&node).as_ref() == Some(&numbers[0])
            || position(&node).as_ref() == Some(&numbers[1])
    };
    running
        .stop_when(|| is_done() && !letters.lock().unwrap().is_empty())
        .await;
    assert_eq!(values(&node), [("a".to_owned(), json!(1.5))]);
    assert!(letters.lock().unwrap()[0].error.contains("value"));
}

#[test]
fn settings_that_no_sink_can_have_are_refused_when_it_is_built() {
    let refused = |builder: CrateDbSinkBuilder<Reading>| {
        builder.build_with(Box::new(CrateDb::new())).unwrap_err()
    };
    assert_eq!(refused(builder().upsert()), InvalidCrateDbOption::NoKey);
    let keyed = || builder().columns(typed(ColumnType::Int).key(["device"]).unwrap());
    assert_eq!(refused(keyed()), InvalidCrateDbOption::KeyOfAppended);
    assert_eq!(
        refused(builder().delete_when(|_| true)),
        InvalidCrateDbOption::DeleteOfAppended
    );
    let zero = refused(builder().request_rows_max(0));
    assert_eq!(zero.to_string(), "request_rows_max must be more than zero");
    let unknown = refused(keyed().upsert().column_type("x", CrateDbType::Text));
    assert!(unknown.to_string().contains("device, value"), "{unknown}");
    let reserved = typed(ColumnType::Int).with(Column::field("kinesis_version", ColumnType::Text));
    let reserved = builder()
        .columns(reserved.key(["device"]).unwrap())
        .upsert();
    assert!(matches!(
        refused(reserved),
        InvalidCrateDbOption::Reserved { .. }
    ));
    let name = typed(ColumnType::Int).with(Column::field("a.b", ColumnType::Text));
    assert!(matches!(
        refused(builder().columns(name)),
        InvalidCrateDbOption::Name(_)
    ));
    let url = CrateDbSink::<Reading>::builder("localhost", "t")
        .build()
        .unwrap_err();
    assert!(matches!(url, InvalidCrateDbOption::Url(_)));
}
