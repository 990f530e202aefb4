//! The embedded Kinesis over restarts.

mod damage;
mod history;
mod places;
mod restart;
mod retention;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use bytes::Bytes;
use serde_json::Value;

use crate::{
    clock::{Clock, from_epoch_millis},
    local::{
        LocalError, LocalKinesis, LocalKinesisBuilder,
        operations::{self, Operation},
        state::{log::LogRecord, saved::SavedStream},
    },
};

const STREAM: &str = "readings";
const STREAM_ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/readings";

/// A directory of one test, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("kinesis-pipeline-durable-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn clock() -> Clock {
    Clock::tokio(from_epoch_millis(1_795_000_000_000))
}

fn builder(clock: &Clock) -> LocalKinesisBuilder {
    LocalKinesis::builder()
        .clock(clock.clone())
        .transition(Duration::from_millis(20))
}

async fn start(path: &Path, clock: &Clock) -> Result<LocalKinesis, LocalError> {
    builder(clock).data_dir(path).start().await
}

/// Carries out an operation; its answer, or the error's code.
async fn call<O: Operation>(kinesis: &LocalKinesis, request: Value) -> Result<Value, String> {
    let request = serde_json::from_value(request).unwrap();
    let answer = operations::call::<O>(&kinesis.core, request).await;
    let answer = answer.map(|answer| serde_json::to_value(answer).unwrap());
    answer.map_err(|failure| format!("{failure:?}"))
}

/// A shard's records: where they begin and end, and what they are.
type Records = (u64, u64, u64, Vec<(u64, u64, String, Bytes)>);

/// Returns all that must survive, without expired records.
#[derive(Debug, PartialEq)]
struct Everything {
    streams: Vec<(SavedStream, BTreeMap<u32, Records>)>,
    commitment: Option<u64>,
}

fn everything(kinesis: &LocalKinesis) -> Everything {
    let now_millis = kinesis.core.now_millis();
    let streams = kinesis.core.streams(now_millis).into_iter().map(|stream| {
        // A look frees what has expired, at the same time for all who are compared.
        let mut state = stream.write(now_millis);
        let horizon_millis = state.horizon_millis(now_millis);
        state.topology.forget_expired(horizon_millis);
        let shards = state.topology.shards().map(|shard| {
            let log = shard.log(horizon_millis);
            let page = log.read(0, usize::MAX, usize::MAX);
            let records = page.records.into_iter().map(record);
            let records = records.collect();
            let place = (log.first(), log.next(), log.last_arrived_millis());
            (shard.index, (place.0, place.1, place.2, records))
        });
        let shards = shards.collect();
        (SavedStream::of(&stream, &state), shards)
    });
    Everything {
        streams: streams.collect(),
        commitment: kinesis.core.commitment(),
    }
}

fn record(record: LogRecord) -> (u64, u64, String, Bytes) {
    let key = record.partition_key.to_string();
    (record.counter, record.arrived_millis, key, record.data)
}
