//! A stream, a database, and the records that go from one to the other.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use kinesis_pipeline::{
    KinesisStream, LocalKinesis,
    local::LocalServer,
    service::{SplitShard, StreamId},
};
use tokio::task::JoinHandle;

use super::{
    support::Postgres,
    worker::{Mode, Places, Reading, STREAM, in_order, reading},
};

/// The number of parts in which the records are put. All but the last fifth are put while the test disturbs the
/// workers.
const PARTS: usize = 50;
const WAIT_MAX: Duration = Duration::from_mins(9);
const FIRST_WAIT_MAX: Duration = Duration::from_mins(1);

static STARTED: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Journey {
    pub(crate) postgres: Postgres,
    pub(crate) stream: KinesisStream<Reading>,
    pub(crate) records: usize,
    leases: PathBuf,
    server: LocalServer,
}

impl Journey {
    /// Starts the stream and the database. `None` if no PostgreSQL is installed.
    pub(crate) async fn start(shards: u32, records: usize) -> Option<Self> {
        let postgres = Postgres::start().await?;
        let local = LocalKinesis::start().await.unwrap();
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("kinesis-pipeline-sql-{}-{number}", std::process::id());
        Some(Self {
            postgres,
            stream: in_order(local.stream(STREAM, shards).await.unwrap()),
            records,
            leases: std::env::temp_dir().join(name),
            server: local.serve("127.0.0.1:0").await.unwrap(),
        })
    }

    pub(crate) fn places(&self, mode: Mode) -> Places {
        Places {
            kinesis: self.server.endpoint_url(),
            postgres: self.postgres.sink_url(),
            leases: self.leases.clone(),
            mode,
        }
    }

    /// Starts to put the first four fifths of the records, one part after each `pause`.
    pub(crate) fn put_most(&self, pause: Duration) -> JoinHandle<()> {
        let (stream, records) = (self.stream.clone(), self.records);
        tokio::spawn(async move {
            for part in 0..PARTS * 4 / 5 {
                put(&stream, part_of(records, part)).await;
                tokio::time::sleep(pause).await;
            }
        })
    }

    /// Puts the last fifth of the records.
    pub(crate) async fn put_rest(&self) {
        for part in PARTS * 4 / 5..PARTS {
            put(&self.stream, part_of(self.records, part)).await;
        }
    }

    /// Splits the first open shard.
    pub(crate) async fn split(&self) {
        let shard = self.stream.shards().await.unwrap().remove(0);
        let middle = shard.hash_key_range.middle();
        let id: StreamId = self.stream.id().clone();
        let split = SplitShard::new(id, shard.id, middle);
        self.stream.service().split_shard(split).await.unwrap();
    }

    /// Returns the first number in a query's answer; `None` while the database does not answer or the table does not
    /// exist.
    pub(crate) async fn number(&self, query: &str) -> Option<i64> {
        let url = self.postgres.url();
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .ok()?;
        tokio::spawn(connection);
        client.query_one(query, &[]).await.ok()?.try_get(0).ok()
    }

    /// Waits until a query has the expected answer.
    pub(crate) async fn wait_for(&self, query: &str, expected: i64) {
        self.wait(query, WAIT_MAX, |number| number == expected)
            .await;
    }

    /// Waits for the first row, which shows that the workers have started.
    pub(crate) async fn wait_for_rows(&self) {
        let query = "SELECT count(*) FROM readings";
        self.wait(query, FIRST_WAIT_MAX, |number| number > 0).await;
    }

    async fn wait(&self, query: &str, max: Duration, is_there: impl Fn(i64) -> bool) {
        let wait = async {
            while !self.number(query).await.is_some_and(&is_there) {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let is_over = tokio::time::timeout(max, wait).await.is_err();
        let last = self.number(query).await;
        assert!(!is_over, "{query}: {last:?} after {max:?}");
    }

    pub(crate) fn count(&self) -> i64 {
        self.records.try_into().unwrap()
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.leases);
        let _ = std::fs::remove_file(self.leases.with_extension("lock"));
    }
}

fn part_of(records: usize, part: usize) -> std::ops::Range<usize> {
    records * part / PARTS..records * (part + 1) / PARTS
}

async fn put(stream: &KinesisStream<Reading>, numbers: std::ops::Range<usize>) {
    for stored in stream.put_all(numbers.map(reading)).await {
        stored.unwrap();
    }
}
