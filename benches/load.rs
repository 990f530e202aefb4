//! A benchmark of a load's CPU time for each row, beside the sum of its indispensable parts: the csv crate,
//! `serde_json`, the producer.
//!
//! ```text
//! cargo bench -p kinesis-pipeline-load --no-default-features --bench load
//! cargo bench -p kinesis-pipeline-load --no-default-features --bench load -- 5000000   # rows; 500 MB
//! ```

#[path = "../kinesis-pipeline-load/tests/null/mod.rs"]
mod null;

use std::{
    fs::File,
    hint::black_box,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use kinesis_pipeline::{EncodedRecord, KinesisRecord, KinesisStream, Order, PartitionKey};
use kinesis_pipeline_load::Loader;
use serde::{Deserialize, Serialize};

/// The number of rows, of some 100 bytes each.
const ROWS: usize = 300_000;
/// The number of rounds. They alternate the paths, so that all have the same conditions.
const ROUNDS: usize = 5;

#[derive(Serialize, Deserialize, KinesisRecord)]
struct Row {
    #[kinesis(pos = 0, partition_key)]
    id: u64,
    #[kinesis(pos = 1)]
    name: String,
    #[kinesis(pos = 2)]
    city: Option<String>,
    #[kinesis(pos = 3)]
    amount: i64,
    #[kinesis(pos = 4)]
    share: f64,
    #[kinesis(pos = 5)]
    note: String,
    #[kinesis(pos = 6)]
    active: bool,
}

fn main() {
    let rows = std::env::args().find_map(|argument| argument.parse().ok());
    let rows = rows.unwrap_or(ROWS);
    let path = table(rows);
    let rounds = if rows > ROWS { 1 } else { ROUNDS };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut figures: [Vec<f64>; 4] = Default::default();
    for _ in 0..rounds {
        figures[0].push(cpu(rows, || read(&path)));
        figures[1].push(cpu(rows, || encode(rows)));
        figures[2].push(cpu(rows, || runtime.block_on(put(rows))));
        figures[3].push(cpu(rows, || runtime.block_on(load(&path, rows))));
    }
    let [csv, json, producer, load] = figures.map(|all| all.into_iter().fold(f64::MAX, f64::min));
    let floor = csv + json + producer;
    println!("{rows} rows; CPU in ns a row:");
    println!("  csv {csv:.0} + serde_json {json:.0} + producer {producer:.0} = {floor:.0}");
    println!("  loader {load:.0}, {:.2} x", load / floor);
    println!("  peak memory {} MiB", peak_bytes() / (1024 * 1024));
    std::fs::remove_file(path).expect("the table is there");
}

/// Returns the CPU time of all threads, in nanoseconds for each row.
fn cpu(rows: usize, path: impl FnOnce()) -> f64 {
    let start = cpu_time();
    path();
    let spent = cpu_time().saturating_sub(start);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let rows = rows as f64;
    spent.as_secs_f64() * 1e9 / rows
}

/// Returns the CPU time of the process with its ended threads, in steps of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit_once(')').expect("a name in parentheses").1;
    let ticks = after_name.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
    kib.unwrap_or(0) * 1024
}

fn row(index: usize) -> Row {
    Row {
        id: index as u64 * 7_919,
        name: format!("customer {index}"),
        city: (!index.is_multiple_of(5)).then(|| "Bay Springs".to_owned()),
        amount: 1_000 - i64::try_from(index % 2_000).unwrap_or_default(),
        share: 0.25 + f64::from(u32::try_from(index % 1_000).unwrap_or_default()),
        note: "a note of a customer, forty bytes long..".to_owned(),
        active: index.is_multiple_of(2),
    }
}

fn table(rows: usize) -> PathBuf {
    let path = std::env::temp_dir().join(format!("bench-load-{}.tsv", std::process::id()));
    let mut file = BufWriter::new(File::create(&path).expect("a file"));
    writeln!(file, "id\tname\tcity\tamount\tshare\tnote\tactive").expect("room");
    for index in 0..rows {
        let Row {
            id,
            name,
            city,
            amount,
            share,
            note,
            active,
        } = row(index);
        let city = city.as_deref().unwrap_or("NULL");
        writeln!(
            file,
            "{id}\t{name}\t{city}\t{amount}\t{share}\t{note}\t{active}"
        )
        .expect("room");
    }
    file.flush().expect("room");
    path
}

/// Reads the rows with the csv crate alone.
fn read(path: &Path) {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(b'\t')
        .from_path(path)
        .expect("a table");
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).expect("a row") {
        black_box(&record);
    }
}

/// Encodes records that exist already, with `serde_json` alone.
fn encode(rows: usize) {
    let some: Vec<Row> = (0..1_000).map(row).collect();
    let mut out = Vec::new();
    for row in some.iter().cycle().take(rows) {
        out.clear();
        serde_json::to_writer(&mut out, row).expect("JSON");
        black_box(&out);
    }
}

/// Puts records that are encoded already, with the producer alone.
async fn put(rows: usize) {
    let stream = KinesisStream::<EncodedRecord>::with_service(Arc::new(null::Null), "null");
    let producer = stream
        .producer()
        .aggregate(true)
        .order(Order::PerKey)
        .build()
        .expect("options");
    let some: Vec<EncodedRecord> = (0..1_000)
        .map(|index| {
            let row = row(index);
            let key = PartitionKey::new(row.id.to_string()).expect("a key");
            EncodedRecord::new(key, Bytes::from(serde_json::to_vec(&row).expect("JSON")))
        })
        .collect();
    let mut pending = std::collections::VecDeque::new();
    for record in some.iter().cycle().take(rows) {
        pending.push_back(producer.put(record).await.expect("room"));
        if pending.len() >= 30_000 {
            pending.pop_front().expect("one").await.expect("a receipt");
        }
    }
    for receipt in pending {
        receipt.await.expect("a receipt");
    }
}

async fn load(path: &Path, rows: usize) {
    let stream = KinesisStream::<Row>::with_service(Arc::new(null::Null), "null");
    let report = Loader::new(&stream).load(path).await.expect("a load");
    assert_eq!(report.records, rows as u64);
}
