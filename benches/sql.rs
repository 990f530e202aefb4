//! Rows in Postgres: a worker that appends them with its positions, beside `psql \copy` of the same rows from a file, in
//! turn against one server. The stream is embedded, and holds all records before the worker starts.
//!
//! ```text
//! cargo bench -p kinesis-pipeline-sql --bench sql             # 300,000 rows
//! cargo bench -p kinesis-pipeline-sql --bench sql -- 1000000  # so many
//! ```
//!
//! The ratio is rows per second to those of `\copy`; above 1 the worker is faster. The worker also reads the stream, decodes
//! JSON, and stores each record's position, so its rows have three columns more: `\copy` loads the same columns.

use std::{collections::BTreeMap, path::Path, time::Duration};

use kinesis_pipeline::{Clock, KinesisRecord, KinesisStream, LocalKinesis, MemoryLeases, StartAt};
use kinesis_pipeline_sql::{SqlSink, row::Columns};
use serde::{Deserialize, Serialize};
use support::Postgres;
use tokio_postgres::Client;

#[expect(dead_code, reason = "the tests of the sink use more of it")]
#[expect(
    clippy::unwrap_used,
    reason = "a server of a test, which fails by panicking"
)]
#[path = "../kinesis-pipeline-sql/tests/support/mod.rs"]
mod support;

const ROUNDS: usize = 5;
/// The number of shards. The service gives 2 MiB a second from each, which must not be the limit here.
const SHARDS: u32 = 64;
/// The records of a transaction: the default, and a number for a backlog.
const BATCHES: [usize; 2] = [1_000, 5_000];
/// The pause between looks at the positions.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Clone, Debug, Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    number: i64,
    temperature: f64,
    humidity: Option<f64>,
    note: String,
}

fn reading(number: usize) -> Reading {
    let steps = u16::try_from(number % 1_000).expect("few");
    Reading {
        device: format!("device-{:05}", number % 9_973),
        number: i64::try_from(number).expect("few"),
        temperature: f64::from(steps) / 8.0,
        humidity: (!number.is_multiple_of(3)).then_some(f64::from(steps) / 16.0),
        note: "as measured at the north gate".to_owned(),
    }
}

#[tokio::main]
async fn main() {
    let rows = std::env::args().find_map(|argument| argument.parse().ok());
    let rows: usize = rows.unwrap_or(300_000);
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let local = LocalKinesis::builder().shard_limit(SHARDS).start().await;
    let local = local.expect("it starts");
    let stream: KinesisStream<Reading> = local.stream("readings", SHARDS).await.expect("a stream");
    let ends = fill(&stream, rows).await;

    println!("{rows} rows, {ROUNDS} rounds in turn, medians");
    let file = std::env::temp_dir().join(format!("bench-sql-{}", std::process::id()));
    let (mut workers, mut copy) = (BATCHES.map(|_| Vec::new()), Vec::new());
    for round in 0..ROUNDS {
        for (batch, times) in BATCHES.into_iter().zip(&mut workers) {
            let name = format!("appended_{round}_{batch}");
            times.push(append(&stream, &postgres, &ends, batch, &name).await);
            if copy.is_empty() {
                postgres.psql(&format!("\\copy {name} to '{}'", file.display()));
                postgres.psql(&format!(
                    "create table if not exists copied (like {name} including all)"
                ));
            }
            postgres.psql(&format!("drop table {name}"));
        }
        copy.push(copied(&postgres, &file));
    }
    std::fs::remove_file(file).expect("it is there");
    let copy = median(copy);
    show("psql \\copy", rows, copy);
    for (batch, times) in BATCHES.into_iter().zip(workers) {
        let worker = median(times);
        show(&format!("a worker, batches of {batch}"), rows, worker);
        println!("ratio {:.2}", copy.as_secs_f64() / worker.as_secs_f64());
    }
}

/// Puts the records. Returns the sequence number of the last one of each shard.
async fn fill(stream: &KinesisStream<Reading>, rows: usize) -> BTreeMap<String, String> {
    let producer = stream.producer().build().expect("options in range");
    let mut receipts = Vec::with_capacity(rows);
    for number in 0..rows {
        let pending = producer.put(&reading(number)).await;
        receipts.push(pending.expect("there is room"));
    }
    let mut ends = BTreeMap::new();
    for pending in receipts {
        let receipt = pending.await.expect("it is stored");
        let number = receipt.sequence_number.clone();
        let end = ends.entry(receipt.shard_id.to_string()).or_insert(number);
        *end = (*end).clone().max(receipt.sequence_number.clone());
    }
    let ends = ends.into_iter();
    ends.map(|(shard, end)| (shard, end.to_string())).collect()
}

/// Reads the whole stream into a table of this name, as an application of this name.
async fn append(
    stream: &KinesisStream<Reading>,
    postgres: &Postgres,
    ends: &BTreeMap<String, String>,
    batch_records_max: usize,
    name: &str,
) -> Duration {
    let worker = stream
        .worker(name)
        .leases(MemoryLeases::new())
        .start(StartAt::TrimHorizon)
        .batch_records_max(batch_records_max)
        .build()
        .expect("options in range");
    let columns = Columns::of::<Reading>().expect("plain columns");
    let sink = SqlSink::postgres(postgres.url()).create_table();
    let sink = sink.table(name);
    let sink = sink.columns(columns.with_position());
    let (handle, client) = (worker.handle(), postgres.client().await);
    let begun = Clock::system().instant();
    let run = tokio::spawn(sink.run(worker));
    // The positions tell it at less cost than a count of the rows, which would slow the database down.
    while positions(&client, name).await != *ends {
        assert!(!run.is_finished(), "the worker has ended: {:?}", run.await);
        tokio::time::sleep(LOOK).await;
    }
    let time = Clock::system().instant() - begun;
    handle.stop();
    run.await.expect("no panic").expect("it stops");
    time
}

/// Returns the stored position of each shard. There is no table of them before the worker has made it.
async fn positions(client: &Client, app: &str) -> BTreeMap<String, String> {
    const QUERY: &str = "SELECT shard, coalesce(sequence_number, '') \
                         FROM kinesis_pipeline_checkpoint WHERE app = $1";
    let rows = client.query(QUERY, &[&app]).await.unwrap_or_default();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Copies the file into an empty table.
fn copied(postgres: &Postgres, file: &Path) -> Duration {
    postgres.psql("truncate copied");
    let begun = Clock::system().instant();
    postgres.psql(&format!("\\copy copied from '{}'", file.display()));
    Clock::system().instant() - begun
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn show(name: &str, rows: usize, time: Duration) {
    println!(
        "{name:<26} {:>9.0} rows/s",
        rows as f64 / time.as_secs_f64()
    );
}
