//! Puts `{"device": "foo", "temperature": 42.42, "humidity": 84.84}` once a second, and writes each reading to a row of
//! CrateDB, through its HTTP endpoint.
//!
//! ```text
//! docker run -p 4200:4200 crate
//! cargo run --example cratedb --features sql [-- URL [COUNT]]
//! ```
//!
//! Kinesis is embedded, but CrateDB must be running at URL, by default `http://localhost:4200`. COUNT is 5 by default;
//! with 0 the example runs until Ctrl-C.

use std::{env, error::Error, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use kinesis_pipeline::{
    KinesisRecord, KinesisStream, LocalKinesis, MemoryLeases, Receipt, StartAt,
};
use kinesis_pipeline_sql::{
    crate_db::{CrateDbError, CrateDbSink},
    row::Columns,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

const URL: &str = "http://localhost:4200";
const COUNT: u64 = 5;
const ROW_TRIES_MAX: usize = 300;
const ROW_PAUSE: Duration = Duration::from_millis(100);
/// The search uses the whole primary key: other searches see a row only after a refresh.
const ROW: &str = "SELECT \"device\", \"temperature\", \"humidity\" FROM \"readings\" \
    WHERE \"shard_id\" = ? AND \"sequence_number\" = ? AND \"sub_sequence_number\" = ?";

#[derive(Debug, Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    temperature: f64,
    humidity: f64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| URL.to_owned());
    let count = arguments.next().map_or(Ok(COUNT), |count| count.parse())?;

    let stream: KinesisStream<Reading> = LocalKinesis::start().await?.stream("readings", 2).await?;
    // The embedded stream is a new one at each start. The application must be new too, as the database keeps its
    // positions.
    let app = format!("cratedb-{}", std::process::id());
    let worker = stream.worker(app).leases(MemoryLeases::new());
    let worker = worker.start(StartAt::TrimHorizon).build()?;
    let sink = CrateDbSink::builder(&url, "readings")
        .columns(Columns::of::<Reading>()?)
        .create_table(true)
        .build()?;
    match sink.prepare().await {
        Err(error @ (CrateDbError::Unreachable { .. } | CrateDbError::TimedOut { .. })) => {
            return Err(format!(
                "{error}. To start one: docker run -p 4200:4200 crate; to take another: -- http://HOST:4200"
            )
            .into());
        }
        prepared => prepared?,
    }
    let handle = worker.handle();
    let mut working = tokio::spawn(async move { sink.run(worker).await });

    let rows = tokio::select! {
        rows = publish(&stream, &url, count) => rows?,
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

/// Puts a reading a second and prints its row. Returns the number of rows.
async fn publish(
    stream: &KinesisStream<Reading>,
    url: &str,
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
        println!("{}", row(url, &receipt).await?);
        rows += 1;
    }
    Ok(rows)
}

/// Returns the row of a record, when it is there.
async fn row(url: &str, receipt: &Receipt) -> Result<String, Box<dyn Error>> {
    let shard = receipt.shard_id.as_str();
    let number = receipt.sequence_number.to_string();
    let sub = receipt.sub_sequence_number;
    for _ in 0..ROW_TRIES_MAX {
        let answer = sql(url, ROW, &json!([shard, number, sub])).await?;
        if let Some(row) = answer["rows"].get(0) {
            let [device, temperature, humidity] = [&row[0], &row[1], &row[2]];
            return Ok(format!(
                "{device} {temperature} {humidity} {shard} {number}"
            ));
        }
        tokio::time::sleep(ROW_PAUSE).await;
    }
    Err(format!("no row of the record at {shard}:{number}").into())
}

/// Runs a statement.
async fn sql(url: &str, statement: &str, arguments: &Value) -> Result<Value, Box<dyn Error>> {
    let body = json!({"stmt": statement, "args": arguments}).to_string();
    let request = Request::post(format!("{}/_sql", url.trim_end_matches('/')))
        .header("Content-Type", "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await?;
    let answer = answer.into_body().collect().await?.to_bytes();
    let answer: Value = serde_json::from_slice(&answer)?;
    match answer.get("error") {
        Some(error) => Err(format!("CrateDB: {error}").into()),
        None => Ok(answer),
    }
}
