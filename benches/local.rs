//! The embedded Kinesis beside ferrokinesis, each in its own process, in turn, under one bare client.
//!
//! ```text
//! cargo bench -p kinesis-pipeline-benches --bench local
//! ```

use std::time::{Duration, Instant};

use base64::Engine as _;
use bytes::Bytes;
use kinesis_pipeline::{
    EncodedRecord, LocalKinesis, PartitionKey,
    service::{GetRecords, GetShardIterator, IteratorStart, Kinesis, PutRecords, StreamId},
};
use kinesis_pipeline_benches::{BareClient, Kind, ServerProcess, median, rate, serve_if_asked};
use serde_json::{Value, json};

const CONNECTIONS: usize = 4;
const RECORDS_A_REQUEST: usize = 500;
const ROUNDS: usize = 5;
const PUTS_A_ROUND: usize = 40;
const GETS_A_ROUND: usize = 100;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    serve_if_asked().await;
    over_http().await;
    in_process().await;
}

/// Records a second over HTTP: both servers in turn, the middle of some rounds.
async fn over_http() {
    let mut figures = Vec::new();
    for kind in [Kind::Embedded, Kind::Ferrokinesis] {
        let mut puts = Vec::new();
        let mut gets = Vec::new();
        for _ in 0..ROUNDS {
            let server = ServerProcess::start(kind);
            let round = Round::prepare(&server).await;
            puts.push(round.put().await);
            gets.push(round.get().await);
        }
        figures.push((median(puts), median(gets)));
    }
    let [(our_puts, our_gets), (their_puts, their_gets)] = figures[..] else {
        return;
    };
    println!("records/s of 1 KiB over HTTP, 4 connections    embedded  ferrokinesis  ratio");
    println!(
        "PutRecords, 500 a request                    {our_puts:>10.0} {their_puts:>13.0} {:>6.2}",
        our_puts / their_puts
    );
    println!(
        "GetRecords, 1,000 a request                  {our_gets:>10.0} {their_gets:>13.0} {:>6.2}",
        our_gets / their_gets
    );
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

    /// Requests a second with one connection per body.
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

/// 500 records of 1 KiB, spread over the shards.
fn put_body() -> Bytes {
    let data = base64::engine::general_purpose::STANDARD.encode([b'x'; 1024]);
    let records: Vec<_> = (0..RECORDS_A_REQUEST)
        .map(|key| json!({ "Data": data, "PartitionKey": key.to_string() }))
        .collect();
    json!({ "StreamName": "bench", "Records": records })
        .to_string()
        .into()
}

/// Records a second in process, put and got by one task through the seam.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
async fn in_process() {
    const REQUESTS: usize = 2_000;
    let local = LocalKinesis::start()
        .await
        .expect("the embedded Kinesis starts");
    let stream = local
        .stream::<Bytes>("bench", 1)
        .await
        .expect("a new stream")
        .id()
        .clone();
    let service = local.service();
    let records: Vec<_> = (0..RECORDS_A_REQUEST)
        .map(|key| {
            let key = PartitionKey::new(key.to_string()).expect("a key");
            EncodedRecord::new(key, Bytes::from_static(&[b'x'; 100]))
        })
        .collect();

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
    println!("\nrecords/s of 100 B in process, one task: put {puts:.0}, get {gets:.0}");
}

async fn read_shard(service: &dyn Kinesis, stream: &StreamId) -> usize {
    let shard_id = "shardId-000000000000".into();
    let start = GetShardIterator::new(stream.clone(), shard_id, IteratorStart::TrimHorizon);
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
