//! A benchmark of a put's CPU time: the whole producer beside a plain loop on the official SDK, in turn. The server is
//! in another process and does next to nothing.
//!
//! ```text
//! cargo bench -p kinesis-pipeline-benches --bench put
//! cargo bench -p kinesis-pipeline-benches --bench put -- aggregated    # one of them
//! ```

use std::time::Duration;

use aws_sdk_kinesis::{Client, primitives::Blob, types::PutRecordsRequestEntry};
use bytes::{Bytes, BytesMut};
use kinesis_pipeline::{
    DecodeError, EncodeError, EncodedRecord, HashKey, KeyError, KinesisRecord, KinesisStream,
    PartitionKey,
    record::{EncodeContext, ToPartitionKey as _},
};
use kinesis_pipeline_benches::{
    Kind, ServerProcess, client, cpu_time, median, prost_aggregate, serve_if_asked,
};
use tokio::task::JoinSet;

/// The number of shards. With an even spread no shard's rate limits the puts, as only CPU time is measured.
const SHARDS: usize = 2048;
/// The number of shards for aggregates. It is small enough that aggregates fill up, and large enough that no shard's
/// rate limits the puts.
const SHARDS_AGGREGATED: usize = 256;
const IN_FLIGHT: usize = 8;
const RECORDS_A_REQUEST: usize = 500;
const KEYS: usize = 10_000;
const KEYS_A_SHARD: usize = KEYS.div_ceil(SHARDS);
const ROUNDS: usize = 5;
/// The largest aggregate of KPL, in bytes.
const AGGREGATE_BYTES: usize = 51_200;

/// A record of a service. Both sides make bytes and a key of it.
#[derive(Debug)]
struct Reading {
    device: String,
    data: Vec<u8>,
}

impl KinesisRecord for Reading {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        self.device.to_partition_key()
    }

    fn encode(&self, _context: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.extend_from_slice(&self.data);
        Ok(())
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            device: stored.partition_key.to_string(),
            data: stored.data.to_vec(),
        })
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    serve_if_asked().await;
    let server = ServerProcess::start(Kind::Sink);
    let client = client(&format!("http://{}", server.address()));
    println!("CPU us a record, {ROUNDS} rounds in turn, medians           ours      SDK  ratio");
    compare(&client, "put, 100 B, 500 a request", 100, 200_000, false).await;
    compare(&client, "put, 1 KiB, 500 a request", 1024, 60_000, false).await;
    compare(
        &client,
        "put, 100 B, aggregated (SDK + prost + md-5)",
        100,
        600_000,
        true,
    )
    .await;
}

async fn compare(client: &Client, name: &str, data_bytes: usize, count: usize, aggregate: bool) {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if wanted.is_some_and(|wanted| !name.contains(&wanted)) {
        return;
    }
    let records = records(data_bytes);
    let (mut ours, mut sdk) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = cpu_time();
        if profiled("ours") {
            put_with_the_producer(client, &records, count, aggregate).await;
        }
        ours.push(micros_a_record(cpu_time().saturating_sub(start), count));

        let start = cpu_time();
        if !profiled("sdk") {
            // `ONLY=ours`: this side is left out.
        } else if aggregate {
            put_aggregates_with_the_sdk(client, &records, count).await;
        } else {
            put_with_the_sdk(client, &records, count).await;
        }
        sdk.push(micros_a_record(cpu_time().saturating_sub(start), count));
    }
    let (ours, sdk) = (median(ours), median(sdk));
    println!("{name:<50} {ours:>8.2} {sdk:>8.2} {:>6.2}", ours / sdk);
}

/// Whether a side is run. With `ONLY=ours` or `ONLY=sdk` the other one is left out, for a profiler.
fn profiled(who: &str) -> bool {
    std::env::var("ONLY").map_or(true, |only| only == who)
}

/// Returns records whose keys are spread evenly over the shards.
fn records(data_bytes: usize) -> Vec<Reading> {
    let mut keys_of = vec![0; SHARDS];
    let names = (0..).map(|number| format!("device-{number:05}"));
    let even = names.filter(|name| {
        let bits = SHARDS.trailing_zeros();
        let shard = HashKey::of_partition_key(name).value() >> (u128::BITS - bits);
        let keys = &mut keys_of[usize::try_from(shard).expect("few bits")];
        *keys += 1;
        *keys <= KEYS_A_SHARD
    });
    let record = |device| Reading {
        device,
        data: vec![b'x'; data_bytes],
    };
    even.take(KEYS).map(record).collect()
}

async fn put_with_the_producer(
    client: &Client,
    records: &[Reading],
    count: usize,
    aggregate: bool,
) {
    let shards = if aggregate { SHARDS_AGGREGATED } else { SHARDS };
    let stream = KinesisStream::<Reading>::with_client(client.clone(), format!("bench-{shards}"));
    let builder = stream
        .producer()
        .aggregate(aggregate)
        .requests_in_flight_max(IN_FLIGHT);
    // The memory is like that of the plain loop: the requests in flight, and as many being prepared.
    let builder = if aggregate {
        builder
    } else {
        builder.in_flight_records_max(2 * IN_FLIGHT * RECORDS_A_REQUEST)
    };
    let producer = builder.build().expect("options in range");
    for record in records.iter().cycle().take(count) {
        let pending = producer.put(record).await.expect("there is room");
        drop(pending);
    }
    producer.flush().await.expect("all are stored");
    if std::env::var("ONLY").is_ok() {
        println!("{:?}", producer.stats());
    }
}

/// Puts records as users do today: chunks of 500, with some requests in flight.
async fn put_with_the_sdk(client: &Client, records: &[Reading], count: usize) {
    let mut requests = JoinSet::new();
    for request in 0..count / RECORDS_A_REQUEST {
        if requests.len() == IN_FLIGHT {
            requests.join_next().await;
        }
        let from = request * RECORDS_A_REQUEST % records.len();
        let entries: Vec<_> = records[from..from + RECORDS_A_REQUEST]
            .iter()
            .map(|record| entry(record.device.clone(), record.data.clone()))
            .collect();
        requests.spawn(send(client.clone(), entries));
    }
    while requests.join_next().await.is_some() {}
}

/// Puts aggregates of 50 KiB, grouped by shard as in KPL, 100 to a request.
async fn put_aggregates_with_the_sdk(client: &Client, records: &[Reading], count: usize) {
    let mut requests = JoinSet::new();
    let mut shards = vec![(Vec::new(), 0); SHARDS_AGGREGATED];
    let mut entries = Vec::new();
    for record in records.iter().cycle().take(count) {
        let record = EncodedRecord::new(
            PartitionKey::new(record.device.clone()).expect("a key"),
            Bytes::from(record.data.clone()),
        );
        let shard = usize::try_from(record.hash_key().value() >> 120).expect("eight bits");
        let (group, bytes) = &mut shards[shard];
        *bytes += record.size_bytes() + 8;
        group.push(record);
        if *bytes >= AGGREGATE_BYTES {
            entries.push(entry("a".to_owned(), prost_aggregate::encode(group)));
            group.clear();
            *bytes = 0;
        }
        if entries.len() == 100 {
            if requests.len() == IN_FLIGHT {
                requests.join_next().await;
            }
            requests.spawn(send(client.clone(), std::mem::take(&mut entries)));
        }
    }
    requests.spawn(send(client.clone(), entries));
    while requests.join_next().await.is_some() {}
}

fn entry(key: String, data: Vec<u8>) -> PutRecordsRequestEntry {
    PutRecordsRequestEntry::builder()
        .partition_key(key)
        .data(Blob::new(data))
        .build()
        .expect("key and data are set")
}

async fn send(client: Client, entries: Vec<PutRecordsRequestEntry>) {
    if entries.is_empty() {
        return;
    }
    let answer = client
        .put_records()
        .stream_name("bench")
        .set_records(Some(entries))
        .send()
        .await;
    assert_eq!(answer.expect("an answer").failed_record_count(), Some(0));
}

fn micros_a_record(time: Duration, count: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let count = count as f64;
    time.as_secs_f64() * 1e6 / count
}
