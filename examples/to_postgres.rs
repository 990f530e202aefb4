//! Puts `{"device": "foo", "temperature": 42.42, "humidity": 84.84}` once a second, and writes each reading to a row of
//! Postgres, exactly once: a fleet writes the rows and its position in one transaction.
//!
//! ```text
//! cargo run --example to_postgres --features sql [-- COUNT]
//! DATABASE_URL=postgres://postgres@localhost/postgres cargo run --example to_postgres --features sql
//! ```
//!
//! Kinesis is embedded. The database is that of `DATABASE_URL`, without TLS. If it is not set, an installed PostgreSQL
//! is started, with a database of its own, for as long as the example runs. COUNT is 5 by default; with 0 the example
//! runs until Ctrl-C.

use std::{env, error::Error, time::Duration};

use kinesis_pipeline::{
    KinesisRecord, KinesisStream, LocalKinesis, MemoryLeases, Receipt, ShardId, StartAt,
};
use kinesis_pipeline_sql::{SqlSink, row::Columns};
use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, NoTls};

/// The server is also used by the tests.
#[cfg(unix)]
#[path = "../kinesis-pipeline-sql/tests/support/mod.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the tests use all of it")]
mod support;

const COUNT: u64 = 5;
const ROW_TRIES_MAX: usize = 300;
const ROW_PAUSE: Duration = Duration::from_millis(100);
const ROW: &str = "SELECT device, temperature, humidity FROM readings \
    WHERE shard_id = $1 AND sequence_number = $2 AND sub_sequence_number = $3";
const NO_DATABASE: &str = "no PostgreSQL is installed here, and DATABASE_URL is not set: install one \
    (apt install postgresql), or start one (docker run -p 5432:5432 -e POSTGRES_PASSWORD=secret postgres) and set \
    DATABASE_URL=postgres://postgres:secret@localhost/postgres";

#[derive(Debug, Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    temperature: f64,
    humidity: f64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let count = env::args()
        .nth(1)
        .map_or(Ok(COUNT), |count| count.parse())?;
    let (url, _server) = database().await?;
    let connected = tokio_postgres::connect(&url, NoTls).await;
    let (client, connection) =
        connected.map_err(|error| format!("the database does not answer: {error}"))?;
    tokio::spawn(connection);

    let stream: KinesisStream<Reading> = LocalKinesis::start().await?.stream("readings", 2).await?;
    // The embedded stream is a new one at each start. The application must be new too, as the database keeps its
    // positions.
    let app = format!("to-postgres-{}", std::process::id());
    let worker = stream.worker(app).leases(MemoryLeases::new());
    let worker = worker.start(StartAt::TrimHorizon).build()?;
    let sink = SqlSink::postgres(&url)
        .table("readings")
        .columns(Columns::of::<Reading>()?.with_position())
        .create_table();
    let sink = sink.open(&worker).await?;
    let handle = worker.handle();
    let mut working = tokio::spawn(worker.run(move |_: &ShardId| sink.processor()));

    let rows = tokio::select! {
        rows = publish(&stream, &client, count) => rows?,
        // The worker was not stopped yet, so it failed.
        ended = &mut working => {
            ended??;
            return Err("the worker ended before its time".into());
        }
        _ = tokio::signal::ctrl_c() => 0,
    };
    handle.stop();
    let report = working.await??;
    let shards = report.released.len();
    println!("{rows} readings, each in one row; {shards} shards were given back");
    Ok(())
}

/// Returns the database's URL, and the server if this example started it.
#[cfg(unix)]
async fn database() -> Result<(String, Option<support::Postgres>), Box<dyn Error>> {
    if let Ok(url) = env::var("DATABASE_URL") {
        return Ok((url, None));
    }
    let server = support::Postgres::start().await.ok_or(NO_DATABASE)?;
    println!("started PostgreSQL at {}", server.url());
    Ok((server.url(), Some(server)))
}

#[cfg(not(unix))]
async fn database() -> Result<(String, Option<()>), Box<dyn Error>> {
    let url = env::var("DATABASE_URL").map_err(|_| NO_DATABASE)?;
    Ok((url, None))
}

/// Puts a reading a second and prints its row. Returns the number of rows.
async fn publish(
    stream: &KinesisStream<Reading>,
    client: &Client,
    count: u64,
) -> Result<u64, Box<dyn Error>> {
    let reading = Reading {
        device: "foo".to_owned(),
        temperature: 42.42,
        humidity: 84.84,
    };
    let mut turns = tokio::time::interval(Duration::from_secs(1));
    let mut rows = 0;
    while count == 0 || rows < count {
        turns.tick().await;
        let receipt = stream.put(&reading).await?;
        println!("{}", row(client, &receipt).await?);
        rows += 1;
    }
    Ok(rows)
}

/// Returns the row of a record, when it is there.
async fn row(client: &Client, receipt: &Receipt) -> Result<String, Box<dyn Error>> {
    let shard = receipt.shard_id.as_str();
    let number = receipt.sequence_number.to_string();
    let sub = i64::try_from(receipt.sub_sequence_number)?;
    for _ in 0..ROW_TRIES_MAX {
        let rows = client.query(ROW, &[&shard, &number, &sub]).await?;
        if let [row] = rows.as_slice() {
            let device: String = row.try_get(0)?;
            let [temperature, humidity]: [f64; 2] = [row.try_get(1)?, row.try_get(2)?];
            return Ok(format!(
                "{device} {temperature} {humidity} {shard} {number}"
            ));
        }
        if rows.len() > 1 {
            return Err(format!("{} rows of one record", rows.len()).into());
        }
        tokio::time::sleep(ROW_PAUSE).await;
    }
    Err(format!("no row of the record at {shard}:{number}").into())
}
