//! Directories, streams, rows and tables that the tests share.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use kinesis_pipeline::{KinesisRecord, KinesisStream, LocalKinesis, Until};
use serde::{Deserialize, Serialize};

/// A directory of one test, removed with it.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("load-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        path
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
pub(crate) struct Airport {
    #[kinesis(column = "iata", unique)]
    pub(crate) iata: String,
    pub(crate) name: String,
    pub(crate) city: Option<String>,
    #[kinesis(partition_key)]
    pub(crate) state: String,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
pub(crate) struct Row {
    #[kinesis(partition_key, pos = 0)]
    pub(crate) key: String,
    #[kinesis(pos = 1)]
    pub(crate) number: u64,
}

pub(crate) async fn stream<R>(shards: u32) -> KinesisStream<R> {
    let local = LocalKinesis::start().await.unwrap();
    local.stream("load", shards).await.unwrap()
}

/// All records of a stream, by shard.
pub(crate) async fn all<R: KinesisRecord>(stream: &KinesisStream<R>) -> BTreeMap<String, Vec<R>> {
    let reader = stream
        .reader()
        .start(kinesis_pipeline::StartAt::TrimHorizon);
    let mut records = reader.until(Until::Tip).open().await.unwrap();
    let mut shards: BTreeMap<String, Vec<R>> = BTreeMap::new();
    while let Some(record) = records.next().await {
        let record = record.unwrap();
        let shard = record.position().shard_id.to_string();
        shards.entry(shard).or_default().push(record.data);
    }
    shards
}

pub(crate) async fn rows_of(stream: &KinesisStream<Row>) -> Vec<Row> {
    all(stream).await.into_values().flatten().collect()
}

pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

pub(crate) fn table(rows: std::ops::Range<u64>) -> String {
    let mut text = "key\tnumber\n".to_owned();
    for number in rows {
        writeln!(text, "k{}\t{number}", number % 7).unwrap();
    }
    text
}

/// A table with rows that are not of the model.
pub(crate) const BAD: &str = "key\tnumber\na\t1\nb\tx\nc\t3\t4\n\"d\"\t5x\ne\t6\n";
