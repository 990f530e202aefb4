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

use std::{path::Path, time::Duration};

use kinesis_pipeline::{Clock, KinesisRecord, KinesisStream, LocalKinesis, MemoryLeases, StartAt};
use kinesis_pipeline_sql::{SqlSink, row::Columns};
use serde::{Deserialize, Serialize};
use support::Postgres;

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
/// The pause between looks at the number of rows.
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
    let producer = stream.producer().build().expect("options in range");
    for number in 0..rows {
        let pending = producer.put(&reading(number)).await.expect("there is room");
        drop(pending);
    }
    producer.flush().await.expect("all are stored");

    println!("{rows} rows, {ROUNDS} rounds in turn, medians");
    let file = std::env::temp_dir().join(format!("bench-sql-{}", std::process::id()));
    let (mut worker, mut copy) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        worker.push(append(&stream, &postgres, rows, round).await);
        if round == 0 {
            postgres.psql(&format!("\\copy appended_0 to '{}'", file.display()));
            postgres.psql("create table copied (like appended_0 including all)");
        }
        copy.push(copied(&postgres, &file));
        postgres.psql(&format!("drop table appended_{round}"));
    }
    std::fs::remove_file(file).expect("it is there");
    let (worker, copy) = (median(worker), median(copy));
    show("a worker, append", rows, worker);
    show("psql \\copy", rows, copy);
    println!("ratio {:.2}", copy.as_secs_f64() / worker.as_secs_f64());
}

/// Reads the whole stream into a table of its own.
async fn append(
    stream: &KinesisStream<Reading>,
    postgres: &Postgres,
    rows: usize,
    round: usize,
) -> Duration {
    let table = format!("appended_{round}");
    let worker = stream
        .worker(format!("app-{round}"))
        .leases(MemoryLeases::new())
        .start(StartAt::TrimHorizon)
        .build()
        .expect("options in range");
    let columns = Columns::of::<Reading>().expect("plain columns");
    let sink = SqlSink::postgres(postgres.url())
        .table(&table)
        .create_table();
    let sink = sink.columns(columns.with_position());
    let (handle, count) = (worker.handle(), format!("select count(*) from {table}"));
    let client = postgres.client().await;
    let begun = Clock::system().instant();
    let run = tokio::spawn(sink.run(worker));
    loop {
        tokio::time::sleep(LOOK).await;
        // The table is not there yet at the first looks.
        let counted = client.query_one(&count, &[]).await;
        let counted = counted.map_or(0, |row| row.get::<_, i64>(0));
        if usize::try_from(counted) == Ok(rows) {
            break;
        }
        assert!(!run.is_finished(), "the worker has ended: {:?}", run.await);
    }
    let time = Clock::system().instant() - begun;
    handle.stop();
    run.await.expect("no panic").expect("it stops");
    time
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
        "{name:<20} {:>9.0} rows/s",
        rows as f64 / time.as_secs_f64()
    );
}
