//! A test of many concurrent tasks on the embedded Kinesis, in process.

use std::{collections::HashSet, time::Duration};

use kinesis_pipeline::{KinesisRecord, KinesisStream, LocalKinesis, Position, StartAt, Until};
use serde::{Deserialize, Serialize};

/// The number of tasks. Each puts every 64th number.
const TASKS: u64 = 64;
const RECORDS: u64 = 100_000;

#[derive(Serialize, Deserialize, KinesisRecord)]
struct Numbered {
    #[kinesis(partition_key)]
    task: u64,
    number: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_puts_of_64_tasks_are_stored_and_read_once_each() {
    let local = LocalKinesis::start()
        .await
        .expect("the embedded Kinesis starts");
    let stream: KinesisStream<Numbered> = local.stream("load", 4).await.expect("a new stream");
    let resident_before = resident_bytes();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| tokio::spawn(put_share(stream.clone(), task)))
        .collect();
    let mut positions = HashSet::new();
    for task in tasks {
        positions.extend(task.await.expect("no task panics"));
    }
    assert_eq!(positions.len() as u64, RECORDS);

    let start = StartAt::TrimHorizon;
    let mut records = stream
        .reader()
        .start(start)
        .until(Until::Tip)
        .open()
        .await
        .expect("it opens");
    let mut numbers = HashSet::new();
    let wait = Duration::from_mins(1);
    while let Some(record) = tokio::time::timeout(wait, records.next())
        .await
        .expect("no hang")
    {
        let record = record.expect("a good record");
        assert!(
            positions.remove(record.position()),
            "read twice or never put: {}",
            record.position()
        );
        assert!(numbers.insert(record.data.number));
    }
    assert_eq!(numbers.len() as u64, RECORDS);
    assert!(positions.is_empty());

    // 100,000 small records with their receipts and copies take some tens of MiB. A leak would take far more.
    let grown = resident_bytes().saturating_sub(resident_before);
    assert!(grown < 256 << 20, "{} MiB more than before", grown >> 20);
}

/// Puts every 64th number, one after the other.
async fn put_share(stream: KinesisStream<Numbered>, task: u64) -> Vec<Position> {
    let mut positions = Vec::new();
    for number in (task..RECORDS).step_by(64) {
        let receipt = stream
            .put(&Numbered { task, number })
            .await
            .expect("a receipt");
        positions.push(receipt.position());
    }
    positions
}

/// Returns the resident memory of this process, in bytes; 0 if the system does not report it.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or_default() * 1024
}
