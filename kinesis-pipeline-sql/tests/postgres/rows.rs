//! Records as rows: names, values, types, keys; and the records that are none.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use kinesis_pipeline::{
    DeadLetter, EncodedRecord, ErrorPolicy, KinesisRecord, MemoryLeases, Order, PartitionKey,
    PutOptions, StartAt, dead_letters_to,
};
use kinesis_pipeline_sql::{
    SqlError, SqlSink,
    row::{Column, ColumnSource, ColumnType, Columns},
};
use serde::{Deserialize, Serialize};

use super::{Reading, builder, number, put, stream, support::Postgres, wait_for, worker};

#[derive(Clone, Debug, Serialize, Deserialize, KinesisRecord)]
struct Odd {
    #[kinesis(partition_key)]
    key: String,
    #[serde(rename = "x\"; DROP TABLE victim; --")]
    text: String,
    small: i64,
}

fn odd(key: &str, text: &str, small: i64) -> Odd {
    let (key, text) = (key.to_owned(), text.to_owned());
    Odd { key, text, small }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_and_values_are_never_executed_and_bad_records_are_named_alone() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let client = postgres.client().await;
    let name = "t\"; DROP TABLE victim; --";
    let table = "CREATE TABLE victim (); CREATE TABLE \"t\"\"; DROP TABLE victim; --\" \
        (key text CHECK (key <> 'refused'), \"x\"\"; DROP TABLE victim; --\" text, small int2)";
    client.batch_execute(table).await.unwrap();
    let stream = stream::<Odd>(1).await;
    let long = "x\" '; \\ ".repeat(100_000);
    put(
        &stream,
        vec![
            odd("a", "'; DROP TABLE victim; --", 1),
            odd("nul\0", "", 2),
            odd("wide", "", 40_000),
            odd("refused", "", 3),
            odd("b", &long, 4),
        ],
    )
    .await;
    let letters: Arc<Mutex<Vec<DeadLetter>>> = Arc::default();
    let kept = letters.clone();
    let policy = ErrorPolicy::retry().then_dead_letter(dead_letters_to(move |letters| {
        kept.lock().unwrap().extend(letters);
        std::future::ready(Ok(()))
    }));
    let leases = MemoryLeases::new();
    let worker = builder(&stream, &leases)
        .batch_wait_max(Duration::from_secs(1))
        .on_error(policy);
    let columns = Columns::of::<Odd>().unwrap();
    let sink = SqlSink::postgres(postgres.url())
        .table(name)
        .columns(columns);
    let running = tokio::spawn(sink.run(worker.build().unwrap()));
    let count = "SELECT count(*) FROM \"t\"\"; DROP TABLE victim; --\"";
    wait_for(&postgres, count, 2).await;
    running.abort();
    let length = "SELECT max(length(\"x\"\"; DROP TABLE victim; --\"))::bigint FROM \"t\"\"; DROP TABLE victim; --\"";
    assert_eq!(
        number(&postgres, length).await,
        Some(i64::try_from(long.len()).unwrap())
    );
    assert_eq!(
        number(&postgres, "SELECT count(*) FROM victim").await,
        Some(0)
    );
    let errors: Vec<_> = letters
        .lock()
        .unwrap()
        .iter()
        .map(|letter| letter.error.clone())
        .collect();
    assert_eq!(errors.len(), 3, "{errors:?}");
    assert!(
        errors[0].contains("column \"key\": it holds a NUL"),
        "{errors:?}"
    );
    assert!(errors[1].contains("40000 does not fit"), "{errors:?}");
    assert!(errors[2].contains("check constraint"), "{errors:?}");
}

#[tokio::test]
async fn settings_that_no_table_fits_are_refused_before_a_record_is_read() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let client = postgres.client().await;
    client
        .batch_execute("CREATE TABLE t (device text, number point)")
        .await
        .unwrap();
    let stream = stream::<Reading>(1).await;
    let leases = MemoryLeases::new();
    let run = async |sink: SqlSink<Reading>| sink.run(worker(&stream, &leases)).await.unwrap_err();
    let on = |table: &str| SqlSink::postgres(postgres.url()).table(table);

    let error = run(on("t").columns(Columns::one_json("da\"ta"))).await;
    assert_eq!(
        error.to_string(),
        "the table \"t\" has no column \"da\"ta\": its columns are device, number"
    );
    assert!(matches!(run(on("missing")).await, SqlError::NoTable { .. }));
    assert!(matches!(run(on("t")).await, SqlError::ColumnType { .. }));
    assert!(matches!(run(on("a\0b")).await, SqlError::Name(_)));
    assert!(matches!(
        run(on("t").create_table()).await,
        SqlError::ColumnsUnset
    ));
    assert!(matches!(run(on("t").upsert()).await, SqlError::NoKey));
    let lanes = builder(&stream, &leases).concurrency(4).build().unwrap();
    assert!(matches!(
        on("t").run(lanes).await,
        Err(SqlError::Lanes { lanes: 4, .. })
    ));
    let nowhere = SqlSink::postgres("postgres://postgres@127.0.0.1:x/").table("t");
    assert!(matches!(run(nowhere).await, SqlError::Url { .. }));
}

#[derive(Clone, Debug, Serialize, Deserialize, KinesisRecord)]
struct Change {
    #[kinesis(partition_key)]
    id: i64,
    text: Option<String>,
    version: i64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_has_its_last_record_or_its_first_and_deletions_delete() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    // Requests side by side would be stored in any order.
    let in_order = PutOptions::new().order(Order::PerKey);
    let stream = stream::<Change>(1).await;
    let stream = stream.with_put_options(in_order).unwrap();
    let change = |id, text: &str, version| {
        let text = (!text.is_empty()).then(|| text.to_owned());
        Change { id, text, version }
    };
    let mut changes = Vec::new();
    for version in 0..5 {
        changes.extend((0..700).map(|id| change(id, "text", version)));
    }
    changes.extend([change(7, "", 9), change(8, "", 9), change(8, "again", 10)]);
    put(&stream, changes).await;
    let columns = Columns::of::<Change>().unwrap().key(["id"]).unwrap();
    let on = |table: &str| {
        let sink = SqlSink::postgres(postgres.url()).table(table);
        sink.columns(columns.clone()).create_table()
    };
    let last = on("last")
        .upsert()
        .delete_when(|change: &Change| change.text.is_none());
    let (leases, others) = (MemoryLeases::new(), MemoryLeases::new());
    let last = tokio::spawn(last.run(worker(&stream, &leases)));
    wait_for(&postgres, "SELECT version FROM last WHERE id = 8", 10).await;
    assert_eq!(
        number(&postgres, "SELECT count(*) FROM last").await,
        Some(699)
    );
    assert_eq!(
        number(&postgres, "SELECT count(*) FROM last WHERE id = 7").await,
        Some(0)
    );
    assert_eq!(
        number(&postgres, "SELECT sum(version)::bigint FROM last").await,
        Some(698 * 4 + 10)
    );
    last.abort();

    let builder = stream
        .worker("other")
        .leases(others)
        .start(StartAt::TrimHorizon);
    let first = tokio::spawn(on("first").keep_first().run(builder.build().unwrap()));
    wait_for(&postgres, "SELECT count(*) FROM first", 700).await;
    assert_eq!(
        number(&postgres, "SELECT sum(version)::bigint FROM first").await,
        Some(0)
    );
    first.abort();
}

#[derive(Clone, Debug, Serialize, Deserialize, KinesisRecord)]
struct Typed {
    #[kinesis(partition_key)]
    id: String,
    at: String,
    mood: String,
    tags: Vec<u8>,
    doc: serde_json::Value,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_types_of_a_table_decide() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let client = postgres.client().await;
    let table = "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE SCHEMA s; CREATE TABLE s.typed \
        (id uuid, at timestamptz, mood mood, tags bytea, doc jsonb, n int GENERATED ALWAYS AS (1) STORED, other text)";
    client.batch_execute(table).await.unwrap();
    let stream = stream::<Typed>(1).await;
    put(
        &stream,
        vec![Typed {
            id: "2f1acc6c-9c5b-4b3e-9d9b-1f0a3c0f8a11".into(),
            at: "2026-11-28T18:30:00.25Z".into(),
            mood: "ok".into(),
            tags: vec![0, 255],
            doc: serde_json::json!({"a": [1, null]}),
        }],
    )
    .await;
    let sink = SqlSink::postgres(postgres.url()).schema("s").table("typed");
    let running = tokio::spawn(sink.run(worker(&stream, &MemoryLeases::new())));
    let found = "SELECT count(*) FROM s.typed WHERE id = '2f1acc6c-9c5b-4b3e-9d9b-1f0a3c0f8a11' \
        AND at = '2026-11-28 18:30:00.25+00' AND mood = 'ok' AND tags = '\\x00ff' AND doc = '{\"a\": [1, null]}' \
        AND other IS NULL";
    wait_for(&postgres, found, 1).await;
    running.abort();

    let columns = Columns::one_json("doc").with(Column::of("key", ColumnSource::PartitionKey));
    let columns = columns.with(Column::field("at", ColumnType::Timestamp));
    let sink = SqlSink::postgres(postgres.url())
        .table("docs")
        .columns(columns)
        .create_table();
    let builder = stream
        .worker("docs")
        .leases(MemoryLeases::new())
        .start(StartAt::TrimHorizon);
    let running = tokio::spawn(sink.run(builder.build().unwrap()));
    let found = "SELECT count(*) FROM docs WHERE doc->>'mood' = 'ok' AND key = doc->>'id'";
    wait_for(&postgres, found, 1).await;
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_does_not_pass_over_a_record_that_cannot_be_decoded() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let stream = stream::<Reading>(1).await;
    put(&stream, vec![super::reading(0)]).await;
    let raw = stream.with_record_type::<EncodedRecord>();
    let key = PartitionKey::new("device-0").unwrap();
    put(&raw, vec![EncodedRecord::new(key, "no reading".into())]).await;
    put(&stream, vec![super::reading(1)]).await;
    let leases = MemoryLeases::new();
    let builder = || builder(&stream, &leases).batch_wait_max(Duration::from_secs(1));
    let letters: Arc<Mutex<Vec<DeadLetter>>> = Arc::default();
    let kept = letters.clone();
    let run = |worker| {
        let sink = super::sink(&postgres);
        tokio::spawn(async move { sink.run(worker).await })
    };

    let ends = builder().on_error(ErrorPolicy::retry().attempts_max(2));
    let error = run(ends.build().unwrap()).await.unwrap().unwrap_err();
    assert!(matches!(error, SqlError::Worker(_)), "{error:?}");
    assert_eq!(
        number(&postgres, "SELECT count(*) FROM readings").await,
        Some(1)
    );

    let policy = ErrorPolicy::retry().then_dead_letter(dead_letters_to(move |letters| {
        kept.lock().unwrap().extend(letters);
        std::future::ready(Ok(()))
    }));
    let running = run(builder().on_error(policy).build().unwrap());
    wait_for(&postgres, "SELECT count(*) FROM readings", 2).await;
    running.abort();
    let letters = letters.lock().unwrap();
    assert_eq!(
        (letters.len(), &letters[0].data[..]),
        (1, &b"no reading"[..])
    );
}
