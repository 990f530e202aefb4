//! Streams into a real PostgreSQL: exactly once through kills, crashes and a split; by key; bad records; outages.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod positions;
mod rows;
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "tls")]
mod tls;
mod types;

use std::time::Duration;

use kinesis_pipeline::service::SplitShard;
use kinesis_pipeline::{
    ErrorPolicy, KinesisRecord, KinesisStream, LocalKinesis, MemoryLeases, StartAt, Worker,
    WorkerBuilder,
};
use kinesis_pipeline_sql::{SqlSink, row::Columns};
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
    SqlSink::postgres(postgres.sink_url())
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sole_worker_goes_on_behind_a_later_lease_and_another_waits() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let stream = stream::<Reading>(1).await;
    put(&stream, (0..100).map(reading).collect()).await;
    let first = spawn(&postgres, &stream, &MemoryLeases::new());
    wait_for(&postgres, "SELECT count(*) FROM readings", 100).await;
    first.abort();
    let _ = first.await;
    let client = postgres.client().await;
    let (earlier, later) = (1, i64::MAX);
    for (token, is_sole, new, rows) in [
        (later, false, 100..200, 100),
        (later, true, 200..200, 200),
        (earlier, true, 200..300, 300),
    ] {
        let set = format!("UPDATE kinesis_pipeline_checkpoint SET token = {token}");
        client.batch_execute(&set).await.unwrap();
        put(&stream, new.map(reading).collect()).await;
        let mut sink = sink(&postgres);
        if is_sole {
            sink = sink.sole_worker();
        }
        let worker = worker(&stream, &MemoryLeases::new());
        let running = tokio::spawn(async move { sink.run(worker).await.map(drop) });
        if !is_sole {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        wait_for(&postgres, "SELECT count(*) FROM readings", rows).await;
        running.abort();
        let _ = running.await;
        let found = "SELECT token FROM kinesis_pipeline_checkpoint";
        assert_eq!(number(&postgres, found).await, Some(token));
    }
    assert_eq!(number(&postgres, POSITIONS).await, Some(300));
}

#[tokio::test]
async fn a_start_waits_for_a_database_that_is_down_as_long_as_it_is_told() {
    let stream = stream::<Reading>(1).await;
    let worker = worker(&stream, &MemoryLeases::new());
    let sink = SqlSink::<Reading>::postgres("postgres://postgres@127.0.0.1:1/postgres");
    let sink = sink
        .table("readings")
        .start_wait_max(Duration::from_millis(300));
    let error = sink.open(&worker).await.unwrap_err();
    assert_eq!(error.to_string(), "the database refused to connect");
    let cause = std::error::Error::source(&error).unwrap();
    assert!(format!("{cause:?}").contains("refused"), "{cause:?}");
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
