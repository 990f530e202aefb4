//! A benchmark of reads: the whole reader beside a plain loop on the official SDK, in turn, with servers in other
//! processes; and aggregates in process.
//!
//! ```text
//! cargo bench -p kinesis-pipeline-benches --bench get
//! ```

use std::time::Duration;

use aws_sdk_kinesis::{Client, types::ShardIteratorType};
use bytes::Bytes;
use kinesis_pipeline::{
    EncodedRecord, HashKey, KinesisStream, LocalKinesis, PartitionKey, Reader, StartAt, Until,
    wire::aggregate,
};
use kinesis_pipeline_benches::{
    Kind, ServerProcess, client, cpu_time, median, resident_bytes, serve_if_asked,
};
use tokio::task::JoinSet;

const ROUNDS: usize = 5;
const SHARDS: u32 = 4;
const RECORD_BYTES: usize = 1024;
const RECORDS: usize = 64 * 1024;
/// The number of shards without new records.
const IDLE_SHARDS: usize = 1024;
/// The number of polls of each of them in one round, one a second.
const IDLE_POLLS: u32 = 4;
/// The number of shards whose records are read but not taken.
const WAITING_SHARDS: u32 = 1000;
const PREFETCH_BYTES: usize = 64 * 1024 * 1024;
/// The number of aggregates, of about 50 KiB with records of 100 bytes.
const AGGREGATES: usize = 2000;
const USER_RECORDS: usize = 440;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    serve_if_asked().await;
    println!("medians of {ROUNDS} rounds in turn                             ours      SDK  ratio");
    one_kib_records().await;
    idle_shards().await;
    aggregated_pages().await;
    memory_of_waiting_shards().await;
}

fn print_ratio(name: &str, ours: Vec<f64>, sdk: Vec<f64>) {
    let (ours, sdk) = (median(ours), median(sdk));
    println!("{name:<50} {ours:>8.3} {sdk:>8.3} {:>6.2}", ours / sdk);
}

async fn one_kib_records() {
    let server = ServerProcess::start(Kind::Embedded);
    let client = client(&format!("http://{}", server.address()));
    let stream = filled_stream(&client, "get", SHARDS, RECORDS).await;
    let (mut ours, mut sdk) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = cpu_time();
        assert_eq!(read_all(stream.reader()).await, RECORDS);
        ours.push(millis_a_mib(cpu_time().saturating_sub(start)));

        let start = cpu_time();
        assert_eq!(read_all_with_the_sdk(&client, "get").await, RECORDS);
        sdk.push(millis_a_mib(cpu_time().saturating_sub(start)));
    }
    print_ratio("get, 1 KiB records, CPU ms a MiB", ours, sdk);
}

fn millis_a_mib(time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let mib = (RECORDS * RECORD_BYTES) as f64 / f64::from(1 << 20);
    time.as_secs_f64() * 1e3 / mib
}

async fn filled_stream(
    client: &Client,
    name: &str,
    shards: u32,
    records: usize,
) -> KinesisStream<EncodedRecord> {
    let count = i32::try_from(shards).expect("few shards");
    let create = client.create_stream().stream_name(name).shard_count(count);
    create.send().await.expect("a new stream");
    tokio::time::sleep(Duration::from_millis(100)).await;
    let stream = KinesisStream::with_client(client.clone(), name);
    let record = |index: usize| {
        let key = PartitionKey::new(format!("device-{index:05}")).expect("a key");
        let mut record = EncodedRecord::new(key, Bytes::from(vec![b'x'; RECORD_BYTES - 12]));
        let shard = index as u128 % u128::from(shards);
        record.explicit_hash_key = Some(HashKey::new(
            shard * (u128::MAX / u128::from(shards)) + (1 << 100),
        ));
        record
    };
    for receipt in stream.put_all((0..records).map(record)).await {
        receipt.expect("a receipt");
    }
    stream
}

async fn read_all(reader: Reader<EncodedRecord>) -> usize {
    let reader = reader.start(StartAt::TrimHorizon).until(Until::Tip);
    let mut records = reader.ignore_limits().open().await.expect("it opens");
    let mut count = 0;
    while let Some(record) = records.next().await {
        record.expect("a record");
        count += 1;
    }
    count
}

/// Reads as users do today: one task for each shard, page by page.
async fn read_all_with_the_sdk(client: &Client, stream: &str) -> usize {
    let list = client.list_shards().stream_name(stream);
    let shards = list.send().await.expect("shards").shards;
    let mut tasks = JoinSet::new();
    for shard in shards.expect("shards") {
        tasks.spawn(read_shard(
            client.clone(),
            stream.to_owned(),
            shard.shard_id,
        ));
    }
    tasks.join_all().await.into_iter().sum()
}

async fn read_shard(client: Client, stream: String, shard_id: String) -> usize {
    let mut iterator = iterator(&client, &stream, shard_id).await;
    let mut count = 0;
    loop {
        let call = client.get_records().set_shard_iterator(iterator);
        let page = call.send().await.expect("a page");
        for record in page.records {
            count += usize::from(std::hint::black_box(record).partition_key.is_some());
        }
        if page.millis_behind_latest == Some(0) {
            return count;
        }
        iterator = page.next_shard_iterator;
    }
}

async fn iterator(client: &Client, stream: &str, shard_id: String) -> Option<String> {
    let call = client
        .get_shard_iterator()
        .stream_name(stream)
        .shard_id(shard_id)
        .shard_iterator_type(ShardIteratorType::TrimHorizon);
    call.send().await.expect("an iterator").shard_iterator
}

async fn idle_shards() {
    let server = ServerProcess::start(Kind::Sink);
    let client = client(&format!("http://{}", server.address()));
    let (mut ours, mut sdk) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(poll_with_the_reader(&client).await);
        sdk.push(poll_with_the_sdk(&client).await);
    }
    print_ratio("1,024 idle shards, CPU us a poll", ours, sdk);
}

async fn poll_with_the_reader(client: &Client) -> f64 {
    let stream = format!("bench-{IDLE_SHARDS}");
    let stream = KinesisStream::<Bytes>::with_client(client.clone(), stream);
    let mut records = stream.iter_from_latest().await.expect("it opens");
    let (start, pages) = (cpu_time(), records.stats().pages);
    let time = Duration::from_secs(u64::from(IDLE_POLLS));
    let silence = tokio::time::timeout(time, records.next()).await;
    assert!(silence.is_err(), "nothing is put");
    micros_each(
        cpu_time().saturating_sub(start),
        records.stats().pages - pages,
    )
}

async fn poll_with_the_sdk(client: &Client) -> f64 {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let start = cpu_time();
    for _ in 0..IDLE_POLLS {
        ticks.tick().await;
        let mut calls = JoinSet::new();
        for _ in 0..IDLE_SHARDS {
            // The number of concurrent calls is that of the reader.
            if calls.len() == 128 {
                calls.join_next().await;
            }
            calls.spawn(client.get_records().shard_iterator("iterator").send());
        }
        calls.join_all().await;
    }
    micros_each(
        cpu_time().saturating_sub(start),
        u64::from(IDLE_POLLS) * IDLE_SHARDS as u64,
    )
}

fn micros_each(time: Duration, count: u64) -> f64 {
    assert!(count > 0);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let count = count as f64;
    time.as_secs_f64() * 1e6 / count
}

async fn aggregated_pages() {
    let local = LocalKinesis::start().await.expect("it starts");
    let stream = local.stream::<EncodedRecord>("aggregated", 1).await;
    let stream = stream.expect("a new stream");
    for receipt in stream.put_all((0..AGGREGATES).map(aggregate)).await {
        receipt.expect("a receipt");
    }
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let start = cpu_time();
        assert_eq!(read_all(stream.reader()).await, AGGREGATES * USER_RECORDS);
        let each = micros_each(
            cpu_time().saturating_sub(start),
            (AGGREGATES * USER_RECORDS) as u64,
        );
        rates.push(1.0 / each);
    }
    let rate = median(rates);
    println!("aggregated, 100 B, million user records a CPU second {rate:>6.2}");
}

fn aggregate(index: usize) -> EncodedRecord {
    let mut writer = aggregate::Writer::new();
    for user in 0..USER_RECORDS {
        let key = PartitionKey::new(format!("device-{:04}", (index + user) % 100)).expect("a key");
        writer.push(&EncodedRecord::new(key, Bytes::from(vec![b'x'; 100])));
    }
    EncodedRecord::new(PartitionKey::new("a").expect("a key"), writer.finish())
}

async fn memory_of_waiting_shards() {
    let server = ServerProcess::start(Kind::Embedded);
    let client = client(&format!("http://{}", server.address()));
    let records = 256 * WAITING_SHARDS as usize;
    let stream = filled_stream(&client, "waiting", WAITING_SHARDS, records).await;
    let before = resident_bytes();
    let reader = stream.reader().prefetch_bytes_max(PREFETCH_BYTES);
    let records = reader.start(StartAt::TrimHorizon).open().await;
    let records = records.expect("it opens");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let grown = resident_bytes().saturating_sub(before) >> 20;
    let fetched = records.stats().data_bytes >> 20;
    let budget = PREFETCH_BYTES >> 20;
    println!(
        "1,000 shards, nothing taken: {fetched} MiB fetched of a budget of {budget} MiB, {grown} MiB resident"
    );
    assert!(fetched <= PREFETCH_BYTES as u64 >> 20);
}
