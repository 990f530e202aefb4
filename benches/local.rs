//! A benchmark of the embedded Kinesis beside ferrokinesis, each in its own process, in turn, with the same bare
//! client.
//!
//! ```text
//! cargo bench -p kinesis-pipeline-benches --bench local
//! cargo bench -p kinesis-pipeline-benches --bench local -- memory
//! ```
//!
//! The second one puts ten million records in process and prints their cost. It needs Linux and 3 GB.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::Engine as _;
use bytes::Bytes;
use kinesis_pipeline::{
    EncodedRecord, LocalKinesis, PartitionKey, SequenceNumber,
    service::{GetRecords, GetShardIterator, IteratorStart, Kinesis, PutRecords, StreamId},
};
use kinesis_pipeline_benches::{BareClient, Kind, ServerProcess, median, rate, serve_if_asked};
use serde_json::{Value, json};

const CONNECTIONS: usize = 4;
const RECORDS_A_REQUEST: usize = 500;
const ROUNDS: usize = 5;
const PUTS_A_ROUND: usize = 40;
const GETS_A_ROUND: usize = 100;
const FIRST_SHARD: &str = "shardId-000000000000";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    serve_if_asked().await;
    if std::env::args().any(|argument| argument == "memory") {
        return in_memory().await;
    }
    over_http().await;
    in_process().await;
}

/// Prints records a second over HTTP: both servers in turn, the median of some rounds.
async fn over_http() {
    let mut ours = Figures::default();
    let mut theirs = Figures::default();
    for _ in 0..ROUNDS {
        ours.measure(Kind::Embedded).await;
        theirs.measure(Kind::Ferrokinesis).await;
    }
    println!("records/s of 1 KiB over HTTP, 4 connections    embedded  ferrokinesis  ratio");
    print_row("PutRecords, 500 a request", ours.puts, theirs.puts);
    print_row("GetRecords, 1,000 a request", ours.gets, theirs.gets);
}

/// Records a second, one figure for each round.
#[derive(Default)]
struct Figures {
    puts: Vec<f64>,
    gets: Vec<f64>,
}

impl Figures {
    async fn measure(&mut self, kind: Kind) {
        let server = ServerProcess::start(kind);
        let round = Round::prepare(&server).await;
        self.puts.push(round.put().await);
        self.gets.push(round.get().await);
    }
}

fn print_row(name: &str, ours: Vec<f64>, theirs: Vec<f64>) {
    let (ours, theirs) = (median(ours), median(theirs));
    let ratio = ours / theirs;
    println!("{name:<44} {ours:>10.0} {theirs:>13.0} {ratio:>6.2}");
}

struct Round {
    address: std::net::SocketAddr,
}

impl Round {
    async fn prepare(server: &ServerProcess) -> Self {
        let address = server.address();
        let mut client = BareClient::connect(address).await;
        let create = json!({ "StreamName": "bench", "ShardCount": 4 }).to_string();
        client.call("CreateStream", create.into()).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        Self { address }
    }

    async fn put(&self) -> f64 {
        let body = put_body();
        let requests = self
            .load("PutRecords", PUTS_A_ROUND, vec![body; CONNECTIONS])
            .await;
        requests * 500.0
    }

    async fn get(&self) -> f64 {
        let mut client = BareClient::connect(self.address).await;
        let mut bodies = Vec::new();
        for shard in 0..CONNECTIONS {
            let call = json!({
                "StreamName": "bench",
                "ShardId": format!("shardId-{shard:012}"),
                "ShardIteratorType": "TRIM_HORIZON",
            });
            let answer = client
                .call("GetShardIterator", call.to_string().into())
                .await;
            let answer: Value = serde_json::from_slice(&answer).expect("JSON");
            let body =
                json!({ "ShardIterator": answer["ShardIterator"], "Limit": 1000 }).to_string();
            let page: Value =
                serde_json::from_slice(&client.call("GetRecords", body.clone().into()).await)
                    .expect("JSON");
            assert_eq!(
                page["Records"].as_array().map(Vec::len),
                Some(1000),
                "shard {shard}"
            );
            bodies.push(Bytes::from(body));
        }
        self.load("GetRecords", GETS_A_ROUND, bodies).await * 1000.0
    }

    /// Returns requests a second, with one connection for each body.
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    async fn load(&self, operation: &'static str, requests: usize, bodies: Vec<Bytes>) -> f64 {
        let mut clients = Vec::new();
        for _ in &bodies {
            clients.push(BareClient::connect(self.address).await);
        }
        let count = requests * bodies.len();
        let start = Instant::now();
        let tasks: Vec<_> = clients
            .into_iter()
            .zip(bodies)
            .map(|(mut client, body)| {
                tokio::spawn(async move {
                    for _ in 0..requests {
                        client.call(operation, body.clone()).await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no request fails");
        }
        rate(count, start.elapsed())
    }
}

/// Returns the body of a put: 500 records of 1 KiB, spread over the shards.
fn put_body() -> Bytes {
    let data = base64::engine::general_purpose::STANDARD.encode([b'x'; 1024]);
    let records: Vec<_> = (0..RECORDS_A_REQUEST)
        .map(|key| json!({ "Data": data, "PartitionKey": key.to_string() }))
        .collect();
    json!({ "StreamName": "bench", "Records": records })
        .to_string()
        .into()
}

/// Prints records a second in process. One task puts and gets them through the service trait.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
async fn in_process() {
    const REQUESTS: usize = 2_000;
    let (service, stream) = embedded(1).await;
    let records = small_records();
    let start = Instant::now();
    for _ in 0..REQUESTS {
        let call = PutRecords::new(stream.clone(), records.clone());
        service.put_records(call).await.expect("stored");
    }
    let puts = rate(REQUESTS * RECORDS_A_REQUEST, start.elapsed());

    let start = Instant::now();
    let count = read_shard(&*service, &stream).await;
    assert_eq!(count, REQUESTS * RECORDS_A_REQUEST);
    let gets = rate(count, start.elapsed());
    println!("\nrecords/s of 100 B in process, one task      put {puts:>10.0}    get {gets:>10.0}");
}

/// Prints the memory of ten million small records, and the time to read a page among them.
async fn in_memory() {
    const REQUESTS: usize = 20_000;
    let (service, stream) = embedded(1).await;
    let records = small_records();
    let before = resident_bytes();
    let mut places = Vec::new();
    for _ in 0..REQUESTS {
        let call = PutRecords::new(stream.clone(), records.clone());
        let answer = service.put_records(call).await.expect("stored");
        let first = answer.results.into_iter().next().expect("500 results");
        places.push(first.expect("stored").sequence_number);
    }
    let resident = resident_bytes() - before;
    let count = REQUESTS * RECORDS_A_REQUEST;
    println!(
        "{count} records of 100 B: {} MiB resident, {} bytes a record",
        resident >> 20,
        resident / count as u64
    );
    let places = [
        ("start", 0),
        ("middle", REQUESTS / 2),
        ("end", REQUESTS - 20),
    ]
    .map(|(name, request)| (name, places[request].clone()));
    for (name, place) in places {
        let micros = page_micros(&*service, &stream, place).await;
        println!("a page of 10,000 at the {name:<6} {micros:>8.0} us");
    }
}

/// Returns the time to find a record by its number and to read a page from there, in microseconds.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
async fn page_micros(service: &dyn Kinesis, stream: &StreamId, place: SequenceNumber) -> f64 {
    let mut times = Vec::new();
    for _ in 0..51 {
        let start = Instant::now();
        let at = IteratorStart::AtSequenceNumber(place.clone());
        let call = GetShardIterator::new(stream.clone(), FIRST_SHARD.into(), at);
        let iterator = service.get_shard_iterator(call).await.expect("an iterator");
        let call = GetRecords::new(stream.clone(), iterator);
        let page = service.get_records(call).await.expect("a page");
        assert_eq!(page.records.len(), 10_000);
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    median(times)
}

/// Makes an embedded Kinesis with one stream.
async fn embedded(shards: u32) -> (Arc<dyn Kinesis>, StreamId) {
    let local = LocalKinesis::start()
        .await
        .expect("the embedded Kinesis starts");
    let stream = local
        .stream::<Bytes>("bench", shards)
        .await
        .expect("a new stream");
    (local.service(), stream.id().clone())
}

/// Returns 500 records of 100 B.
fn small_records() -> Vec<EncodedRecord> {
    let record = |key: usize| {
        let key = PartitionKey::new(key.to_string()).expect("a key");
        EncodedRecord::new(key, Bytes::from_static(&[b'x'; 100]))
    };
    (0..RECORDS_A_REQUEST).map(record).collect()
}

/// Returns the resident memory of this process, in bytes, from Linux.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .expect("a figure in kB");
    kib.parse::<u64>().expect("a number") * 1024
}

async fn read_shard(service: &dyn Kinesis, stream: &StreamId) -> usize {
    let start = IteratorStart::TrimHorizon;
    let start = GetShardIterator::new(stream.clone(), FIRST_SHARD.into(), start);
    let mut iterator = service
        .get_shard_iterator(start)
        .await
        .expect("an iterator");
    let mut count = 0;
    loop {
        let page = service
            .get_records(GetRecords::new(stream.clone(), iterator))
            .await
            .expect("a page");
        if page.records.is_empty() {
            return count;
        }
        count += page.records.len();
        iterator = page.next_iterator.expect("the shard is open");
    }
}
