//! Three workers share a stream. One is killed and a shard is split. A table shows which worker reads which shard.
//!
//! ```text
//! cargo run --example fleet
//! ```
//!
//! The leases are in memory here. With `FileLeases` the workers may be processes of one machine. With `DynamoDbLeases`
//! they may be on any number of machines, beside workers of the Java KCL.

use std::{
    collections::BTreeSet,
    error::Error,
    sync::{Arc, Mutex},
    time::Duration,
};

use kinesis_pipeline::{
    Batch, BoxError, Clock, KinesisRecord, KinesisStream, Lease, LeaseStore as _, LocalKinesis,
    MemoryLeases, StartAt, WorkerError, WorkerReport, service::SplitShard,
};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

const APP: &str = "fleet";
/// A short fail-over time, so that the example ends soon. 10 s is usual.
const FAILOVER: Duration = Duration::from_secs(1);
const WAIT_MAX: Duration = Duration::from_mins(1);

#[derive(Debug, Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    count: u32,
}

type Counts = Arc<Mutex<BTreeSet<u32>>>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let stream: KinesisStream<Reading> = LocalKinesis::start().await?.stream("readings", 6).await?;
    let (leases, counts) = (MemoryLeases::new(), Counts::default());
    put(&stream, 0..200).await?;

    let mut workers = Vec::new();
    for name in ["anna", "bert", "cleo"] {
        workers.push(start(&stream, &leases, name, &counts)?);
    }
    let even = |leases: &[Lease]| loads(leases).values().eq(&[2, 2, 2]);
    show("shared out", &leases, even).await?;

    workers.remove(0).abort(); // as if its machine went down: nothing is saved, nothing given back
    put(&stream, 200..400).await?;
    let taken = |leases: &[Lease]| loads(leases).values().eq(&[3, 3]);
    show("anna was killed", &leases, taken).await?;

    let shard = stream.shards().await?.remove(0);
    let middle = shard.hash_key_range.middle();
    let split = SplitShard::new(stream.id().clone(), shard.id, middle);
    stream.service().split_shard(split).await?;
    put(&stream, 400..600).await?;
    let followed = |leases: &[Lease]| loads(leases).values().sum::<usize>() == 7;
    show("a shard was split", &leases, followed).await?;

    let (clock, begun) = (Clock::system(), Clock::system().instant());
    while processed(&counts) < 600 && (clock.instant() - begun) < WAIT_MAX {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!("{} of 600 readings processed", processed(&counts));
    Ok(())
}

/// Starts a worker that notes the counts of its readings.
fn start(
    stream: &KinesisStream<Reading>,
    leases: &MemoryLeases,
    name: &str,
    counts: &Counts,
) -> Result<JoinHandle<Result<WorkerReport, WorkerError>>, Box<dyn Error>> {
    let worker = stream.worker(APP).leases(leases.clone()).id(name);
    let worker = worker
        .start(StartAt::TrimHorizon)
        .failover(FAILOVER)
        .build()?;
    let counts = counts.clone();
    Ok(tokio::spawn(worker.run_batches(
        move |batch: Batch<Reading>| {
            let counts = counts.clone();
            async move {
                let mut counts = counts.lock().map_err(|_| "another batch panicked")?;
                counts.extend(batch.into_iter().map(|record| record.data.count));
                Ok::<(), BoxError>(())
            }
        },
    )))
}

async fn put(
    stream: &KinesisStream<Reading>,
    counts: std::ops::Range<u32>,
) -> Result<(), Box<dyn Error>> {
    let reading = |count| Reading {
        device: format!("device-{count}"),
        count,
    };
    for receipt in stream.put_all(counts.map(reading)).await {
        receipt?;
    }
    Ok(())
}

fn processed(counts: &Counts) -> usize {
    counts.lock().map_or(0, |counts| counts.len())
}

/// Returns the number of shards that each worker reads.
fn loads(leases: &[Lease]) -> std::collections::BTreeMap<String, usize> {
    let mut loads = std::collections::BTreeMap::new();
    let open = leases.iter().filter(|lease| !lease.is_finished());
    for owner in open.filter_map(|lease| lease.owner.as_ref()) {
        *loads.entry(owner.to_string()).or_default() += 1;
    }
    loads
}

/// Waits until the leases are as expected, and prints them.
async fn show(
    what: &str,
    store: &MemoryLeases,
    is_so: impl Fn(&[Lease]) -> bool,
) -> Result<(), Box<dyn Error>> {
    let (clock, begun) = (Clock::system(), Clock::system().instant());
    let leases = loop {
        let leases = store.list(APP).await?;
        if is_so(&leases) || (clock.instant() - begun) > WAIT_MAX {
            break leases;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    println!(
        "{what}: after {:.1} s",
        (clock.instant() - begun).as_secs_f64()
    );
    for lease in leases {
        let owner = lease
            .owner
            .map_or("-".to_owned(), |owner| owner.to_string());
        println!("  {:22} {owner:6} {:?}", lease.shard_id, lease.checkpoint);
    }
    Ok(())
}
