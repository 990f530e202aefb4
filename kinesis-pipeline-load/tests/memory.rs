//! Memory while rows are loaded: flat, whatever the number of rows. A test binary of its own, for its peak.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

mod null;

use std::{
    io::{self, Read, Write as _},
    sync::Arc,
};

use kinesis_pipeline::{KinesisRecord, KinesisStream};
use kinesis_pipeline_load::{Input, Loader};
use serde::{Deserialize, Serialize};

const MIB: usize = 1024 * 1024;

#[derive(Serialize, Deserialize, KinesisRecord)]
struct Row {
    #[kinesis(pos = 0, partition_key)]
    key: u64,
    #[kinesis(pos = 1)]
    text: String,
}

/// A table that is made while it is read.
struct Table {
    rows: u64,
    made: u64,
    chunk: io::Cursor<Vec<u8>>,
}

impl Table {
    fn new(rows: u64) -> Self {
        let chunk = io::Cursor::new(b"key\ttext\n".to_vec());
        Self {
            rows,
            made: 0,
            chunk,
        }
    }
}

impl Read for Table {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.chunk.read(buffer)?;
        if read > 0 || self.made == self.rows {
            return Ok(read);
        }
        let mut chunk = Vec::new();
        let end = (self.made + 1_000).min(self.rows);
        for row in self.made..end {
            writeln!(chunk, "{row}\t{:090}", row * 7)?;
        }
        self.made = end;
        self.chunk = io::Cursor::new(chunk);
        self.chunk.read(buffer)
    }
}

fn peak_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        * 1024
}

async fn load(rows: u64) -> usize {
    let stream = KinesisStream::<Row>::with_service(Arc::new(null::Null), "null");
    let report = Loader::new(&stream)
        .load(Input::reader("t", Table::new(rows)))
        .await
        .unwrap();
    assert_eq!(report.records, rows);
    peak_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_times_the_rows_take_no_more_memory() {
    let few = load(40_000).await;
    let many = load(400_000).await;
    println!("peak: {} MiB, then {} MiB", few / MIB, many / MIB);
    // The rows themselves are 40 MB.
    assert!(many < 200 * MIB, "{many}");
    assert!(many < few + 24 * MIB, "{few} bytes, then {many}");
}
