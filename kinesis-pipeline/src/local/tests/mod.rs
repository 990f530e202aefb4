//! The embedded Kinesis as its clients see it, operation by operation.

mod aws_answers;
mod clock;
mod control;
mod fan_out;
mod faults;
mod lifecycle;
mod limits;
mod listing;
mod put;
mod read;
mod reshard;
mod sequences;
mod volume;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    LocalKinesis, LocalKinesisBuilder,
    api_error::{ApiError, CallFailure},
    core::Core,
    operations::{self, Operation},
    protocol::Wire,
};
use crate::{
    clock::{Clock, from_epoch_millis},
    record::{EncodedRecord, PartitionKey},
    service::{
        GetRecords, GetShardIterator, IteratorStart, Kinesis, ListShards, PutRecords, RecordPage,
        SplitShard, StoredAt, StreamId,
    },
    shard::{HashKey, Shard, ShardId},
};

const STREAM: &str = "readings";

/// A Kinesis on tokio's clock, where changes take no time.
async fn start() -> LocalKinesis {
    builder().start().await.unwrap()
}

fn builder() -> LocalKinesisBuilder {
    LocalKinesis::builder()
        .clock(Clock::tokio(from_epoch_millis(1_795_000_000_000)))
        .transition(Duration::ZERO)
}

/// The same with the stream `readings`.
async fn start_with(shard_count: u32) -> LocalKinesis {
    let kinesis = start().await;
    kinesis.core.ensure_stream(STREAM, shard_count).unwrap();
    kinesis
}

fn stream() -> StreamId {
    STREAM.into()
}

/// Carries out an operation as the HTTP face does, from JSON to JSON.
async fn json<O: Operation>(
    core: &Arc<Core>,
    request: serde_json::Value,
) -> Result<serde_json::Value, ApiError> {
    let request = serde_json::from_value(request).unwrap();
    match operations::call::<O>(core, request).await {
        Ok(response) => Ok(serde_json::to_value(response).unwrap()),
        Err(CallFailure::Answered(error)) => Err(error),
        Err(CallFailure::ResponseLost) => panic!("no fault was asked for"),
    }
}

fn record(key: &str, data: impl Into<Vec<u8>>) -> EncodedRecord {
    EncodedRecord::new(PartitionKey::new(key).unwrap(), data.into().into())
}

/// Carries out an operation by name, as the HTTP face does.
async fn by_name(
    core: &Core,
    name: &str,
    request: serde_json::Value,
) -> Result<serde_json::Value, CallFailure> {
    operations::dispatch(core, name, &JsonWire(request)).await
}

struct JsonWire(serde_json::Value);

impl Wire for JsonWire {
    type Answer = serde_json::Value;

    fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_value(self.0.clone())
            .map_err(|error| ApiError::serialization(error.to_string()))
    }

    fn write<T: serde::Serialize>(&self, response: &T) -> Result<serde_json::Value, ApiError> {
        serde_json::to_value(response)
            .map_err(|error| ApiError::internal_failure(error.to_string()))
    }
}

fn error_of<T: std::fmt::Debug>(answer: Result<T, CallFailure>) -> ApiError {
    match answer {
        Err(CallFailure::Answered(error)) => error,
        other => panic!("{other:?}"),
    }
}

const STREAM_ARN: &str = "arn:aws:kinesis:us-east-1:000000000000:stream/readings";

async fn put(kinesis: &LocalKinesis, key: &str, data: &str) -> StoredAt {
    let call = PutRecords::new(stream(), vec![record(key, data)]);
    let answer = kinesis.put_records(call).await.unwrap();
    answer.results.into_iter().next().unwrap().unwrap()
}

async fn shards(kinesis: &LocalKinesis) -> Vec<Shard> {
    let page = kinesis.list_shards(ListShards::new(stream())).await;
    page.unwrap().shards
}

async fn page(kinesis: &LocalKinesis, shard: &ShardId, start: IteratorStart) -> RecordPage {
    let call = GetShardIterator::new(stream(), shard.clone(), start);
    let iterator = kinesis.get_shard_iterator(call).await.unwrap();
    let call = GetRecords::new(stream(), iterator);
    kinesis.get_records(call).await.unwrap()
}

/// The texts of a shard's records from the horizon.
async fn texts(kinesis: &LocalKinesis, shard: &ShardId) -> Vec<String> {
    texts_of(&page(kinesis, shard, IteratorStart::TrimHorizon).await)
}

fn texts_of(page: &RecordPage) -> Vec<String> {
    let text = |data: &[u8]| String::from_utf8(data.to_vec()).unwrap();
    page.records
        .iter()
        .map(|record| text(&record.data))
        .collect()
}

async fn split_in_half(kinesis: &LocalKinesis, shard: &Shard) {
    let range = shard.hash_key_range;
    let middle = range.start.value() + (range.end.value() - range.start.value()) / 2 + 1;
    let call = SplitShard::new(stream(), shard.id.clone(), HashKey::new(middle));
    kinesis.split_shard(call).await.unwrap();
}

fn now(kinesis: &LocalKinesis) -> SystemTime {
    kinesis.core.clock.now()
}

async fn advance(duration: Duration) {
    tokio::time::advance(duration).await;
}
