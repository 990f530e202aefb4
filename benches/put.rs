//! A benchmark of puts: the whole producer beside a plain loop on the official SDK, in turn. The server is in another
//! process and does next to nothing.
//!
//! ```text
//! cargo bench -p kinesis-pipeline-benches --bench put
//! cargo bench -p kinesis-pipeline-benches --bench put -- aggregated    # one of them
//! ```
//!
//! | column | what |
//! |---|---|
//! | floor | a client of the benchmark that does the least: see `floor.rs` |
//! | composed | the library's `PutRecords` calls without a producer, each composed by the SDK |
//! | calls | the same, but prepared calls |
//! | ours | the producer |
//! | SDK | a plain loop on `aws-sdk-kinesis` |
//! | ratio | ours by SDK |
//!
//! All sides but the floor are warm: their connections are open, and the producer has listed the shards.
//!
//! The same is measured over TLS and on one core. Then come the latency of lone puts, and the memory of records that
//! wait.

use std::{
    net::SocketAddr,
    process::Command,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_sdk_kinesis::Client;
use kinesis_pipeline::{
    Clock, EncodedRecord, KinesisStream, Producer,
    record::EncodeContext,
    service::{Kinesis as _, PutRecords, aws::AwsKinesis},
};
use kinesis_pipeline_benches::{
    Kind, ServerProcess, client, cpu_time,
    floor::LeanClient,
    median,
    readings::{RECORDS_A_REQUEST, Reading, chunk, records},
    resident_bytes, sdk_loop, serve_if_asked,
};
use tokio::task::JoinSet;

/// The number of shards. With an even spread no shard's rate limits the puts, as only CPU time is measured.
const SHARDS: usize = 2048;
/// The number of shards for aggregates. It is small enough that aggregates fill up, and large enough that no shard's
/// rate limits the puts.
const SHARDS_AGGREGATED: usize = 256;
const IN_FLIGHT: usize = 8;
const AGGREGATED: (usize, usize) = (SHARDS_AGGREGATED, IN_FLIGHT);
const ROUNDS: usize = 10;
const LONE_PUTS: usize = 2_000;
/// The number of records whose memory is measured.
const WAITING: usize = 200_000;
/// The variable with the endpoint of a process that compares once more.
const ENDPOINT: &str = "ENDPOINT";
/// The variable with the endpoint of a process that measures memory.
const MEMORY: &str = "MEMORY";
/// The variable with the one side that is run.
const ONLY: &str = "ONLY";

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    serve_if_asked().await;
    if let Ok(endpoint) = std::env::var(ENDPOINT) {
        return compare_all(&endpoint).await;
    }
    if let Ok(endpoint) = std::env::var(MEMORY) {
        return memory(&client(&endpoint)).await;
    }
    let server = ServerProcess::start(Kind::Sink);
    let endpoint = format!("http://{}", server.address());
    println!(
        "CPU us a record, {ROUNDS} rounds in turn, medians        floor composed   calls     ours      SDK  ratio"
    );
    compare_all(&endpoint).await;
    if std::env::var(ONLY).is_err() {
        over_tls();
        on_one_core(&endpoint);
        latency(&client(&endpoint)).await;
        in_new_memory(&endpoint);
    }
}

async fn compare_all(endpoint: &str) {
    compare(endpoint, "put, 100 B, 500 a request", 100, 200_000, false).await;
    compare(endpoint, "put, 1 KiB, 500 a request", 1024, 60_000, false).await;
    let name = "put, 100 B, aggregated (SDK + prost + md-5)";
    compare(endpoint, name, 100, 600_000, true).await;
}

/// Compares again over TLS, in a process that trusts the server's certificate.
fn over_tls() {
    let directory = tempfile::tempdir().expect("a directory for the certificate");
    let certificate = directory.path().join("certificate.pem");
    let server = ServerProcess::start_with(Kind::TlsSink, &certificate);
    let endpoint = format!("https://localhost:{}", server.address().port());
    println!("the same over TLS");
    let mut again = again(Command::new(std::env::current_exe().expect("a path")));
    let again = again.env(ENDPOINT, endpoint);
    finish(again.env("SSL_CERT_FILE", &certificate));
}

/// Compares again in a process that has one core, if the system can do that.
fn on_one_core(endpoint: &str) {
    println!("the same on one core");
    let mut taskset = Command::new("taskset");
    taskset.args(["-c", "0"]);
    taskset.arg(std::env::current_exe().expect("a path"));
    finish(again(taskset).env(ENDPOINT, endpoint));
}

/// Measures memory in a new process: in this one, records would take memory that others have left.
fn in_new_memory(endpoint: &str) {
    let mut new = Command::new(std::env::current_exe().expect("a path"));
    finish(new.env(MEMORY, endpoint));
}

fn again(mut command: Command) -> Command {
    command.args(std::env::args().skip(1));
    command
}

fn finish(command: &mut Command) {
    match command.status() {
        Ok(status) => assert!(status.success(), "{status}"),
        Err(error) => println!("not run: {error}"),
    }
}

/// The CPU times of one round.
#[derive(Debug, Default)]
struct Sides {
    floor: Vec<f64>,
    composed: Vec<f64>,
    calls: Vec<f64>,
    ours: Vec<f64>,
    sdk: Vec<f64>,
}

async fn compare(endpoint: &str, name: &str, data_bytes: usize, count: usize, aggregate: bool) {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if wanted.is_some_and(|wanted| !name.contains(&wanted)) {
        return;
    }
    let client = client(endpoint);
    let records = records(data_bytes, SHARDS);
    let mut sides = Sides::default();
    let service = AwsKinesis::new(&client);
    let composed = Arc::new(service.clone().without_prepared_calls());
    let service = Arc::new(service);
    let producer = producer(&client, aggregate);
    // A round that is not measured: connections are opened, shards listed, memory gets its size.
    let few = count / ROUNDS;
    if is_run("ours") {
        put_with_the_producer(&producer, &records, few).await;
    }
    if is_run("sdk") && aggregate {
        sdk_loop::put_aggregates(&client, &records, few, AGGREGATED).await;
    } else if is_run("sdk") || is_run("calls") || is_run("composed") {
        sdk_loop::put(&client, &records, few, IN_FLIGHT).await;
    }
    for _ in 0..ROUNDS {
        let plain = endpoint.strip_prefix("http://").filter(|_| !aggregate);
        if let Some(address) = plain
            && is_run("floor")
        {
            let address = address.parse().expect("an address");
            let start = cpu_time();
            put_at_the_floor(address, &records, count).await;
            sides.floor.push(micros_a_record(start, count));
        }
        for (side, figures, service) in [
            ("composed", &mut sides.composed, &composed),
            ("calls", &mut sides.calls, &service),
        ] {
            if !aggregate && is_run(side) {
                let start = cpu_time();
                put_by_calls(service, &records, count).await;
                figures.push(micros_a_record(start, count));
            }
        }
        if is_run("ours") {
            let start = cpu_time();
            put_with_the_producer(&producer, &records, count).await;
            sides.ours.push(micros_a_record(start, count));
        }
        if is_run("sdk") {
            let start = cpu_time();
            if aggregate {
                sdk_loop::put_aggregates(&client, &records, count, AGGREGATED).await;
            } else {
                sdk_loop::put(&client, &records, count, IN_FLIGHT).await;
            }
            sides.sdk.push(micros_a_record(start, count));
        }
    }
    sides.print(name);
}

impl Sides {
    fn print(self, name: &str) {
        let of = |figures: Vec<f64>| (!figures.is_empty()).then(|| median(figures));
        let [floor, composed, calls, ours, sdk] =
            [self.floor, self.composed, self.calls, self.ours, self.sdk].map(of);
        let text = |figure: Option<f64>| figure.map_or("-".to_owned(), |it| format!("{it:.2}"));
        let ratio = ours.zip(sdk).map(|(ours, sdk)| ours / sdk);
        let [floor, composed, calls, ours, sdk, ratio] =
            [floor, composed, calls, ours, sdk, ratio].map(text);
        println!("{name:<45} {floor:>8} {composed:>8} {calls:>7} {ours:>8} {sdk:>8} {ratio:>6}");
    }
}

/// Compares the time of a lone put, from an idle pipeline to its receipt, with that of a lone call of the SDK.
async fn latency(client: &Client) {
    let stream = KinesisStream::<Reading>::with_client(client.clone(), "bench");
    let records = records(100, SHARDS);
    let (mut ours, mut sdk) = (Vec::new(), Vec::new());
    let clock = Clock::system();
    for record in records.iter().take(LONE_PUTS) {
        let start = clock.instant();
        stream.put(record).await.expect("it is stored");
        ours.push((clock.instant() - start).as_secs_f64() * 1e6);
        let start = clock.instant();
        sdk_loop::send(
            client.clone(),
            vec![sdk_loop::entry(record.device.clone(), record.data.clone())],
        )
        .await;
        sdk.push((clock.instant() - start).as_secs_f64() * 1e6);
    }
    println!(
        "us from a lone put to its receipt                                  ours      SDK  ratio"
    );
    for (name, part) in [("p50", 2), ("p99", 100)] {
        let [ours, sdk] = [&mut ours, &mut sdk].map(|times| {
            times.sort_by(f64::total_cmp);
            times[times.len() - times.len() / part]
        });
        println!("{name:<62} {ours:>8.0} {sdk:>8.0} {:>6.2}", ours / sdk);
    }
}

/// Prints the memory that each record of 100 bytes takes while the service does not answer.
async fn memory(client: &Client) {
    let stream =
        KinesisStream::<Reading>::with_client(client.clone(), format!("silent-bench-{SHARDS}"));
    let producer = stream
        .producer()
        .in_flight_records_max(2 * WAITING)
        .in_flight_bytes_max(2 * WAITING * 128)
        .build()
        .expect("options in range");
    let records = records(100, SHARDS);
    // Once the shards are listed and requests are on their way, the rest is what records take.
    put_some(&producer, &records, 4 * IN_FLIGHT * RECORDS_A_REQUEST).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = resident_bytes();
    put_some(&producer, &records, WAITING).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let bytes = resident_bytes().saturating_sub(before) / WAITING;
    println!("bytes of memory for a record of 100 B that waits: {bytes}");
}

async fn put_some(producer: &Producer<Reading>, records: &[Reading], count: usize) {
    for record in records.iter().cycle().take(count) {
        drop(producer.put(record).await.expect("there is room"));
    }
}

/// Whether a side is run. With `ONLY=ours` and the like the others are left out, for a profiler.
fn is_run(side: &str) -> bool {
    std::env::var(ONLY).map_or(true, |only| only == side)
}

/// Puts records by a client that does the least, see [`LeanClient`].
async fn put_at_the_floor(address: SocketAddr, records: &[Reading], count: usize) {
    let mut idle = Vec::new();
    for _ in 0..IN_FLIGHT {
        idle.push(LeanClient::connect(address).await);
    }
    let mut requests = JoinSet::new();
    for request in 0..count / RECORDS_A_REQUEST {
        let mut lean = match idle.pop() {
            Some(lean) => lean,
            None => requests
                .join_next()
                .await
                .expect("some are in flight")
                .expect("it is sent"),
        };
        lean.begin("bench-2048");
        for record in chunk(records, request) {
            lean.push(&record.device, &record.data);
        }
        requests.spawn(lean.send());
    }
    while requests.join_next().await.is_some() {}
}

/// Puts chunks of records by calls of the library's service, without a producer: what it costs to encode records, write
/// bodies, let the SDK send them, and read the results.
async fn put_by_calls(service: &Arc<AwsKinesis>, records: &[Reading], count: usize) {
    let context = EncodeContext::at(SystemTime::UNIX_EPOCH);
    let mut requests = JoinSet::new();
    for request in 0..count / RECORDS_A_REQUEST {
        if requests.len() == IN_FLIGHT {
            requests.join_next().await;
        }
        let encoded = chunk(records, request)
            .iter()
            .map(|record| EncodedRecord::of(record, None, &context).expect("it is encoded"));
        let call = PutRecords::new("bench-2048".into(), encoded.collect());
        let service = Arc::clone(service);
        requests.spawn(async move {
            let answer = service.put_records(call).await.expect("an answer");
            assert_eq!(answer.results.len(), RECORDS_A_REQUEST);
        });
    }
    while requests.join_next().await.is_some() {}
}

/// Makes a producer with as much memory as the plain loop needs.
fn producer(client: &Client, aggregate: bool) -> Producer<Reading> {
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
    builder.build().expect("options in range")
}

async fn put_with_the_producer(producer: &Producer<Reading>, records: &[Reading], count: usize) {
    for record in records.iter().cycle().take(count) {
        let pending = producer.put(record).await.expect("there is room");
        drop(pending);
    }
    producer.flush().await.expect("all are stored");
}

/// Returns the CPU time since `start`.
fn micros_a_record(start: Duration, count: usize) -> f64 {
    let time = cpu_time().saturating_sub(start);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let count = count as f64;
    time.as_secs_f64() * 1e6 / count
}
