//! The sink on a fleet, against the stand-in, without a socket and under paused time.

#[path = "../../../tests/support/crate_db/mod.rs"]
mod support;

mod failures;
mod owners;
mod rows;
mod statements;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use kinesis_pipeline::{
    DeadLetter, ErrorPolicy, KinesisRecord, KinesisStream, LocalKinesis, MemoryLeases, StartAt,
    WorkerHandle, dead_letters_to,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::JoinHandle;

use self::support::{CrateDb, Reply};
use super::{
    CrateDbSink, CrateDbSinkBuilder, CrateDbSinkError,
    transport::{RawAnswer, Sending, Transport},
};

const APP: &str = "app";
const TABLE: &str = "doc.readings";
const POSITIONS: &str = "doc.kinesis_pipeline_checkpoint";
const WAIT_MAX: Duration = Duration::from_hours(2);

#[derive(Clone, Debug, Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    value: Value,
}

impl Transport for CrateDb {
    fn nodes(&self) -> usize {
        1
    }

    fn name(&self, _: usize) -> String {
        "the stand-in".to_owned()
    }

    fn send(&self, _: usize, body: Bytes) -> Sending<'_> {
        let reply = self.handle(&body);
        Box::pin(async move {
            tokio::task::yield_now().await;
            match reply {
                Reply::Answer { status, body } => {
                    let body = body.into();
                    Ok(RawAnswer { status, body })
                }
                Reply::Cut => Err("the connection broke off".into()),
            }
        })
    }
}

async fn stream(values: impl IntoIterator<Item = (&str, Value)>) -> KinesisStream<Reading> {
    let local = LocalKinesis::start().await.unwrap();
    let stream = local.stream("readings", 1).await.unwrap();
    put(&stream, values).await;
    stream
}

async fn put(stream: &KinesisStream<Reading>, values: impl IntoIterator<Item = (&str, Value)>) {
    for (device, value) in values {
        let device = device.to_owned();
        stream.put(&Reading { device, value }).await.unwrap();
    }
}

fn builder() -> CrateDbSinkBuilder<Reading> {
    CrateDbSink::builder("http://unused:4200", "readings").create_table(true)
}

fn sink(node: &CrateDb, builder: CrateDbSinkBuilder<Reading>) -> CrateDbSink<Reading> {
    builder.build_with(Box::new(node.clone())).unwrap()
}

/// A worker under way.
struct Running {
    handle: WorkerHandle,
    letters: Arc<Mutex<Vec<DeadLetter>>>,
    task: JoinHandle<Result<(), CrateDbSinkError>>,
}

impl Running {
    /// Begins at the oldest record. Bad records become dead letters.
    fn start(
        stream: &KinesisStream<Reading>,
        sink: &CrateDbSink<Reading>,
        leases: &MemoryLeases,
    ) -> Self {
        let letters: Arc<Mutex<Vec<DeadLetter>>> = Arc::default();
        let kept = letters.clone();
        let policy = ErrorPolicy::retry().then_dead_letter(dead_letters_to(move |letters| {
            kept.lock().unwrap().extend(letters);
            std::future::ready(Ok(()))
        }));
        let builder = stream.worker(APP).leases(leases.clone()).on_error(policy);
        let builder = builder.batch_wait_max(Duration::from_secs(1));
        let worker = builder.start(StartAt::TrimHorizon).build().unwrap();
        let handle = worker.handle();
        let sink = sink.clone();
        let task = tokio::spawn(async move { sink.run(worker).await.map(|_| ()) });
        Self {
            handle,
            letters,
            task,
        }
    }

    /// Waits until the condition holds, then stops the worker and returns the errors of the dead letters.
    async fn stop_when(self, is_so: impl Fn() -> bool) -> Vec<String> {
        let until = async {
            while !is_so() {
                assert!(!self.task.is_finished(), "the worker ended");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(WAIT_MAX, until).await.unwrap();
        self.stop().await
    }

    async fn stop(self) -> Vec<String> {
        self.handle.stop();
        self.task.await.unwrap().unwrap();
        let letters = self.letters.lock().unwrap();
        letters.iter().map(|letter| letter.error.clone()).collect()
    }
}

/// Returns the row of the table of positions.
fn position(node: &CrateDb) -> Option<String> {
    let rows = node.rows(POSITIONS);
    rows.first()?["sequence_number"]
        .as_str()
        .map(ToOwned::to_owned)
}

/// Returns the sequence numbers of the stream's records in order.
async fn sequence_numbers(stream: &KinesisStream<Reading>) -> Vec<String> {
    let reader = stream.reader().start(StartAt::TrimHorizon);
    let mut records = reader
        .until(kinesis_pipeline::Until::Tip)
        .open()
        .await
        .unwrap();
    let mut numbers = Vec::new();
    while let Some(record) = records.next().await {
        numbers.push(record.unwrap().position().sequence_number.to_string());
    }
    numbers
}
