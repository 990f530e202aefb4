//! A benchmark of a fleet at rest: its requests to DynamoDB, beside those that KCL 2 would make, and the CPU time of a
//! worker with many leases.
//!
//! ```text
//! cargo bench -p kinesis-pipeline-benches --bench fleet
//! cargo bench -p kinesis-pipeline-benches --bench fleet -- requests    (or: cpu)
//! ```
//!
//! It takes some four minutes, nearly all of them waiting: no records are put, and time is real. The servers are in
//! another process, so the CPU time is that of the worker with its HTTP client. It needs Linux.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{
        BehaviorVersion, ConfigBag, Credentials, Intercept, Region, RuntimeComponents,
        interceptors::BeforeTransmitInterceptorContextRef,
    },
    error::BoxError as InterceptError,
};
use bytes::Bytes;
use kinesis_pipeline::{
    Batch, BoxError, DynamoDbLeases, KinesisStream, LeaseStore, LocalKinesis, MemoryLeases,
    StartAt, WorkerHandle,
};
use kinesis_pipeline_benches::{client, cpu_time};

const APP: &str = "bench";
/// The default of KCL and of this library.
const FAILOVER: Duration = Duration::from_secs(10);
/// The longest time until a fleet is at rest.
const SETTLE_MAX: Duration = Duration::from_mins(3);
const MEASURED: Duration = Duration::from_mins(1);

const FLEET_SHARDS: usize = 100;
const FLEET_WORKERS: usize = 4;
const MANY_SHARDS: usize = 1_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    if let Some(shards) = std::env::var("SERVE_FLEET")
        .ok()
        .and_then(|n| n.parse().ok())
    {
        return serve(shards).await;
    }
    let asked: Vec<_> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with('-'))
        .collect();
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|word| word == name);
    if is_asked("requests") {
        requests().await;
    }
    if is_asked("cpu") {
        cpu("in memory", |_| MemoryLeases::new()).await;
        let leases =
            |servers: &Servers| DynamoDbLeases::with_client(servers.dynamodb(Requests::default()));
        cpu("in DynamoDB", leases).await;
    }
}

/// An interceptor that counts requests by operation.
#[derive(Clone, Debug, Default)]
struct Requests(Arc<Mutex<BTreeMap<String, usize>>>);

impl Requests {
    /// Returns the counts since the last call.
    fn take(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut self.0.lock().expect("no panic before"))
    }
}

impl Intercept for Requests {
    fn name(&self) -> &'static str {
        "Requests"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), InterceptError> {
        let target = context.request().headers().get("x-amz-target");
        let operation = target.and_then(|target| target.rsplit('.').next());
        let operation = operation.unwrap_or("?").to_owned();
        *self
            .0
            .lock()
            .expect("no panic before")
            .entry(operation)
            .or_default() += 1;
        Ok(())
    }
}

/// Prints the requests in a minute of four workers that share a hundred shards, beside KCL 2's.
async fn requests() {
    let servers = Servers::start(FLEET_SHARDS);
    let requests = Requests::default();
    let leases = DynamoDbLeases::with_client(servers.dynamodb(requests.clone()));
    let workers: Vec<_> = (0..FLEET_WORKERS)
        .map(|n| start(&servers, leases.clone(), n))
        .collect();
    settle(&leases, FLEET_SHARDS / FLEET_WORKERS, FLEET_SHARDS).await;
    requests.take();
    tokio::time::sleep(MEASURED).await;
    let counts = requests.take();
    for worker in workers {
        worker.stop();
    }
    let ours: usize = counts.values().sum();
    let theirs = kcl_2();
    println!("{FLEET_SHARDS} shards, {FLEET_WORKERS} workers at rest, fail-over {FAILOVER:?}:");
    println!("  DynamoDB requests a minute: {ours} {counts:?}");
    println!("  KCL 2's pattern, computed:  {theirs}");
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark")]
    let part = ours as f64 / theirs as f64;
    println!("  {:.0} % of it (wanted: at most 50 %)", part * 100.0);
}

/// Returns the requests of KCL 2 in a minute, by its sources. Each lease is renewed after a third of the fail-over
/// time. Each worker reads the table after twice that time to look for leases to take, and once a minute to compare it
/// with the shards.
fn kcl_2() -> usize {
    let a_minute =
        |interval: Duration| 60_000 / usize::try_from(interval.as_millis()).expect("short");
    let renewals = FLEET_SHARDS * a_minute(FAILOVER / 3);
    let scans = FLEET_WORKERS * (a_minute(FAILOVER * 2) + 1);
    renewals + scans
}

/// Prints the CPU time of one worker that holds a thousand leases.
async fn cpu<S: LeaseStore + Clone>(place: &str, store: impl FnOnce(&Servers) -> S) {
    let servers = Servers::start(MANY_SHARDS);
    let store = store(&servers);
    let worker = start(&servers, store.clone(), 0);
    settle(&store, MANY_SHARDS, MANY_SHARDS).await;
    let before = cpu_time();
    tokio::time::sleep(MEASURED).await;
    let spent = cpu_time().saturating_sub(before);
    worker.stop();
    let part = spent.as_secs_f64() / MEASURED.as_secs_f64();
    println!("{MANY_SHARDS} leases {place}, one worker at rest:");
    println!("  {:.1} % of a core (wanted: under 10 %)", part * 100.0);
}

/// Starts a worker without records to process.
fn start(servers: &Servers, leases: impl LeaseStore, number: usize) -> WorkerHandle {
    let stream = KinesisStream::<Bytes>::with_client(servers.kinesis(), "bench");
    let worker = stream.worker(APP).id(format!("worker-{number}"));
    let worker = worker.leases(leases).failover(FAILOVER);
    let worker = worker
        .start(StartAt::Latest)
        .build()
        .expect("valid settings");
    let handle = worker.handle();
    tokio::spawn(async move {
        let report = worker.run_batches(async |_: Batch<Bytes>| Ok::<(), BoxError>(()));
        if let Err(error) = report.await {
            eprintln!("worker {number} ended: {error}");
        }
    });
    handle
}

/// Waits until every lease has an owner and no worker has more than its share.
async fn settle(store: &impl LeaseStore, share: usize, shards: usize) {
    let settled = async {
        loop {
            tokio::time::sleep(FAILOVER).await;
            let leases = store.list(APP).await.expect("the store answers");
            let mut owners = BTreeMap::<_, usize>::new();
            for lease in &leases {
                *owners.entry(lease.owner.clone()).or_default() += 1;
            }
            let is_shared = owners.values().all(|&count| count <= share);
            if leases.len() == shards && is_shared && !owners.contains_key(&None) {
                return;
            }
        }
    };
    let settled = tokio::time::timeout(SETTLE_MAX, settled).await;
    settled.expect("the leases are shared out within three minutes");
    // Empty pages slow the polling down after a while.
    tokio::time::sleep(FAILOVER).await;
}

/// An embedded Kinesis and DynamoDB in another process. They stop when this is dropped.
struct Servers {
    child: Child,
    urls: [String; 2],
}

impl Servers {
    fn start(shards: usize) -> Self {
        let binary = std::env::current_exe().expect("the benchmark has a path");
        let mut child = Command::new(binary)
            .env("SERVE_FLEET", shards.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the servers start");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let urls = [(); 2].map(|()| lines.next().expect("a line").expect("of text"));
        Self { child, urls }
    }

    fn kinesis(&self) -> aws_sdk_kinesis::Client {
        client(&self.urls[0])
    }

    fn dynamodb(&self, requests: Requests) -> Client {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "bench"))
            .endpoint_url(&self.urls[1])
            .interceptor(requests)
            .build();
        Client::from_conf(config)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn serve(shards: u32) {
    let local = LocalKinesis::builder().shard_limit(shards);
    let local = local.start().await.expect("the embedded Kinesis");
    let _stream: KinesisStream<Bytes> = local.stream("bench", shards).await.expect("a stream");
    let kinesis = local.serve("127.0.0.1:0").await.expect("a free port");
    let dynamodb = local
        .serve_dynamodb("127.0.0.1:0")
        .await
        .expect("a free port");
    println!("{}\n{}", kinesis.endpoint_url(), dynamodb.endpoint_url());
    std::future::pending::<()>().await;
}
