//! Streams into a real PostgreSQL: exactly once through kills, crashes and a split; by key; bad records; outages.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use kinesis_pipeline::service::SplitShard;
use kinesis_pipeline::{
    DeadLetter, ErrorPolicy, KinesisRecord, KinesisStream, LocalKinesis, MemoryLeases, StartAt,
    Worker, WorkerBuilder, dead_letters_to,
};
use kinesis_pipeline_sql::{
    SqlError, SqlSink,
    row::{Column, ColumnSource, ColumnType, Columns},
};
use serde::{Deserialize, Serialize};
use support::Postgres;
use tokio::task::JoinHandle;

const APP: &str = "app";
const WAIT_MAX: Duration = Duration::from_secs(100);

#[derive(Clone, Debug, Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    number: i64,
    celsius: Option<f64>,
}

fn reading(number: usize) -> Reading {
    Reading {
        device: format!("device-{}", number % 997),
        number: number.try_into().unwrap(),
        celsius: (!number.is_multiple_of(3)).then_some(21.5),
    }
}

async fn stream<R>(shards: u32) -> KinesisStream<R> {
    let local = LocalKinesis::start().await.unwrap();
    local.stream("readings", shards).await.unwrap()
}

fn builder<R: KinesisRecord + Send>(
    stream: &KinesisStream<R>,
    leases: &MemoryLeases,
) -> WorkerBuilder<R> {
    let builder = stream
        .worker(APP)
        .leases(leases.clone())
        .start(StartAt::TrimHorizon);
    let builder = builder
        .failover(Duration::from_secs(1))
        .poll_interval(Duration::from_millis(200));
    builder.batch_records_max(300)
}

fn worker<R: KinesisRecord + Send>(stream: &KinesisStream<R>, leases: &MemoryLeases) -> Worker<R> {
    builder(stream, leases).build().unwrap()
}

async fn put<R: KinesisRecord + Send + Sync + 'static>(stream: &KinesisStream<R>, records: Vec<R>) {
    for stored in stream.put_all(records).await {
        stored.unwrap();
    }
}

/// The first number of a query's answer; `None` while the database does not answer, or the table is not there.
async fn number(postgres: &Postgres, query: &str) -> Option<i64> {
    let (client, connection) = tokio_postgres::connect(&postgres.url(), tokio_postgres::NoTls)
        .await
        .ok()?;
    tokio::spawn(connection);
    client.query_one(query, &[]).await.ok()?.try_get(0).ok()
}

async fn wait_for(postgres: &Postgres, query: &str, expected: i64) {
    let wait = async {
        while number(postgres, query).await != Some(expected) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let waited = tokio::time::timeout(WAIT_MAX, wait).await;
    assert!(
        waited.is_ok(),
        "{query}: {:?} in place of {expected}",
        number(postgres, query).await
    );
}

fn sink(postgres: &Postgres) -> SqlSink<Reading> {
    let columns = Columns::of::<Reading>().unwrap().with_position();
    SqlSink::postgres(postgres.url())
        .table("readings")
        .columns(columns)
        .create_table()
}

fn spawn(
    postgres: &Postgres,
    stream: &KinesisStream<Reading>,
    leases: &MemoryLeases,
) -> JoinHandle<()> {
    let (sink, worker) = (sink(postgres), worker(stream, leases));
    tokio::spawn(async move {
        sink.run(worker).await.unwrap();
    })
}

const POSITIONS: &str =
    "SELECT count(DISTINCT (shard_id, sequence_number, sub_sequence_number)) FROM readings";

/// `KINESIS_PIPELINE_RECORDS=500000 KINESIS_PIPELINE_KILLS=20` is the full form.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_record_is_a_row_once_through_kills_crashes_and_a_split() {
    let Some(mut postgres) = Postgres::start().await else {
        return;
    };
    let setting =
        |name: &str, small: usize| std::env::var(name).map_or(small, |text| text.parse().unwrap());
    let records = setting("KINESIS_PIPELINE_RECORDS", 20_000);
    let kills = setting("KINESIS_PIPELINE_KILLS", 8);
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let stream = stream::<Reading>(2).await;
    let leases = MemoryLeases::new();
    let mut workers: Vec<_> = (0..3).map(|_| spawn(&postgres, &stream, &leases)).collect();
    let putter = stream.clone();
    let put_all = tokio::spawn(async move {
        for begin in (0..records * 4 / 5).step_by(records / 20) {
            put(
                &putter,
                (begin..begin + records / 20).map(reading).collect(),
            )
            .await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    for kill in 0..kills {
        tokio::time::sleep(Duration::from_millis(random.u64(100..1_200))).await;
        let index = random.usize(..workers.len());
        workers[index].abort();
        workers[index] = spawn(&postgres, &stream, &leases);
        if kill == kills / 3 || kill == kills * 2 / 3 {
            postgres.crash();
            tokio::time::sleep(Duration::from_millis(random.u64(100..900))).await;
            postgres.run().await;
        }
        if kill == kills / 2 {
            let shard = stream.shards().await.unwrap().remove(0);
            let middle = shard.hash_key_range.middle();
            let split = SplitShard::new(stream.id().clone(), shard.id, middle);
            stream.service().split_shard(split).await.unwrap();
        }
    }
    put_all.await.unwrap();
    // These come into the children of the split shard.
    put(&stream, (records * 4 / 5..records).map(reading).collect()).await;
    let count = i64::try_from(records).unwrap();
    wait_for(&postgres, "SELECT count(*) FROM readings", count).await;
    // A row that came twice would come late.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(
        number(&postgres, "SELECT count(*) FROM readings").await,
        Some(count)
    );
    assert_eq!(number(&postgres, POSITIONS).await, Some(count));
    let sum = "SELECT sum(number)::bigint FROM readings";
    assert_eq!(number(&postgres, sum).await, Some(count * (count - 1) / 2));
    let shards = "SELECT count(DISTINCT shard_id) FROM readings";
    assert!(
        number(&postgres, shards).await.unwrap() >= 3,
        "the children are read"
    );
    workers.iter().for_each(JoinHandle::abort);
}

/// Each worker has a lease table of its own: both hold the shard all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_that_both_hold_the_shard_double_nothing() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    for is_upsert in [false, true] {
        let stream = stream::<Reading>(1).await;
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let mut sink = sink(&postgres);
                if is_upsert {
                    let columns = Columns::of::<Reading>().unwrap().with_position();
                    sink = sink.columns(columns.key(["number"]).unwrap()).upsert();
                }
                let worker = worker(&stream, &MemoryLeases::new());
                tokio::spawn(async move { sink.run(worker).await.map(drop) })
            })
            .collect();
        for begin in (0..6_000).step_by(500) {
            put(&stream, (begin..begin + 500).map(reading).collect()).await;
        }
        wait_for(&postgres, "SELECT count(*) FROM readings", 6_000).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(
            number(&postgres, "SELECT count(*) FROM readings").await,
            Some(6_000)
        );
        assert_eq!(number(&postgres, POSITIONS).await, Some(6_000));
        workers.iter().for_each(JoinHandle::abort);
        for worker in workers {
            assert!(
                worker.await.is_err_and(|error| error.is_cancelled()),
                "it works on"
            );
        }
        // The position of the first stream is not one of the second.
        let client = postgres.client().await;
        let dropped = "DROP TABLE readings, kinesis_pipeline_checkpoint";
        client.batch_execute(dropped).await.unwrap();
    }
}

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
    let stream = stream::<Change>(1).await;
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

/// Counts the connections that are tried while the database is down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_down_is_waited_for_without_a_busy_loop_or_a_loss() {
    let Some(mut postgres) = Postgres::start().await else {
        return;
    };
    let stream = stream::<Reading>(1).await;
    put(&stream, (0..100).map(reading).collect()).await;
    let policy = ErrorPolicy::retry().attempts_max(1).then_skip();
    let worker = builder(&stream, &MemoryLeases::new())
        .on_error(policy)
        .build()
        .unwrap();
    let open = sink(&postgres).open(&worker).await.unwrap();
    let mut health = open.health();
    let running = tokio::spawn(worker.run(move |_: &kinesis_pipeline::ShardId| open.processor()));
    wait_for(&postgres, "SELECT count(*) FROM readings", 100).await;
    assert!(health.is_up());

    postgres.crash();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", postgres.port()))
        .await
        .unwrap();
    put(&stream, (100..300).map(reading).collect()).await;
    let mut tries = 0;
    let count = async {
        loop {
            drop(listener.accept().await.unwrap());
            tries += 1;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(4), count).await;
    assert!((2..=20).contains(&tries), "{tries} tries in 4 s");
    assert!(!health.is_up() && health.error().is_some());
    drop(listener);
    postgres.run().await;
    wait_for(&postgres, "SELECT count(*) FROM readings", 300).await;
    while !health.is_up() {
        assert!(health.changed().await);
    }
    running.abort();
}
