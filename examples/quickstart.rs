//! From a struct to a stream and back, on the embedded Kinesis: no AWS account, no network.
//!
//! The earthquakes of a week go to 4 shards, while a reader follows from the latest position. Half way, the busiest
//! shard is split. At the end every quake must have come back once, in order for each network.
//!
//! ```text
//! cargo run --example quickstart
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    process::ExitCode,
    time::Duration,
};

use kinesis_pipeline::{
    KinesisRecord, KinesisStream, LocalKinesis, Record, SequenceNumber, ShardId,
    service::SplitShard,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
struct Earthquake {
    id: String,
    time: String,
    /// The network that measured the quake. Quakes of one network go to one shard, and so keep their order.
    #[kinesis(partition_key)]
    network: String,
    magnitude: Option<f64>,
    place: String,
    longitude: f64,
    latitude: f64,
    depth_km: f64,
}

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let quakes = include_str!("data/earthquakes.jsonl")
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<Earthquake>, _>>()?;
    let stream: KinesisStream<Earthquake> = LocalKinesis::start()
        .await?
        .stream("earthquakes", 4)
        .await?;

    // Each shard's position is fixed when this returns. So a record that is put later is always read.
    let mut records = stream.iter_from_latest().await?;
    let expected = quakes.len();
    let reader = tokio::spawn(async move {
        let mut received: Vec<Record<Earthquake>> = Vec::with_capacity(expected);
        while received.len() < expected {
            // A quake that does not come back within 10 s is missing.
            match tokio::time::timeout(Duration::from_secs(10), records.next()).await {
                Ok(Some(record)) => received.push(record?),
                Ok(None) | Err(_) => break,
            }
        }
        Ok::<_, kinesis_pipeline::GetError>(received)
    });

    let (first_half, second_half) = quakes.split_at(expected / 2);
    put(&stream, first_half).await?;
    let split = split_busiest_shard(&stream, first_half).await?;
    put(&stream, second_half).await?;

    let received = reader.await??;
    println!("put {expected} earthquakes into 4 shards, and split {split} half way\n");
    print_shards(&received);
    print_strongest(&received);
    Ok(verdict(&quakes, &received))
}

/// Puts the quakes, 250 at a time. A request starts when the one before is stored, which keeps the order.
async fn put(
    stream: &KinesisStream<Earthquake>,
    quakes: &[Earthquake],
) -> Result<(), Box<dyn Error>> {
    for chunk in quakes.chunks(250) {
        let results = stream.put_all(chunk).await;
        results.ok().map_err(|failure| failure.error)?;
    }
    Ok(())
}

/// Splits the shard with most of the `quakes` in the middle of its key range.
async fn split_busiest_shard(
    stream: &KinesisStream<Earthquake>,
    quakes: &[Earthquake],
) -> Result<ShardId, Box<dyn Error>> {
    let mut shards = stream.shards().await?;
    shards.sort_by_key(|shard| {
        quakes
            .iter()
            .filter(|quake| {
                shard
                    .hash_key_range
                    .contains(kinesis_pipeline::HashKey::of_partition_key(&quake.network))
            })
            .count()
    });
    let busiest = shards.pop().ok_or("the stream has no shards")?;
    let middle = busiest.hash_key_range.middle();
    let call = SplitShard::new(stream.id().clone(), busiest.id.clone(), middle);
    stream.service().split_shard(call).await?;
    Ok(busiest.id)
}

fn print_shards(received: &[Record<Earthquake>]) {
    let mut shards: BTreeMap<&ShardId, Vec<&SequenceNumber>> = BTreeMap::new();
    for record in received {
        let position = record.position();
        shards
            .entry(&position.shard_id)
            .or_default()
            .push(&position.sequence_number);
    }
    println!(
        "{:<20} {:>7}  {:<56}  last",
        "shard", "records", "first sequence number"
    );
    for (shard_id, numbers) in shards {
        let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
        println!("{shard_id:<20} {:>7}  {first}  {last}", numbers.len());
    }
}

fn print_strongest(received: &[Record<Earthquake>]) {
    let mut quakes: Vec<_> = received.iter().map(|record| &record.data).collect();
    quakes.sort_by(|a, b| {
        b.magnitude
            .unwrap_or(0.0)
            .total_cmp(&a.magnitude.unwrap_or(0.0))
    });
    println!("\nstrongest:");
    for quake in quakes.iter().take(3) {
        println!(
            "  {:.1}  {}  {}",
            quake.magnitude.unwrap_or(0.0),
            quake.time,
            quake.place
        );
    }
}

/// Reports whether each quake came back once and, for each network, in the order of the puts.
fn verdict(put: &[Earthquake], received: &[Record<Earthquake>]) -> ExitCode {
    let by_network = |quakes: &mut dyn Iterator<Item = &Earthquake>| {
        let mut networks: HashMap<String, Vec<String>> = HashMap::new();
        for quake in quakes {
            networks
                .entry(quake.network.clone())
                .or_default()
                .push(quake.id.clone());
        }
        networks
    };
    let sent = by_network(&mut put.iter());
    let back = by_network(&mut received.iter().map(|record| &record.data));
    let networks = sent.len();
    if sent == back {
        println!(
            "\nall {} came back once, in order for each of the {networks} networks",
            received.len()
        );
        return ExitCode::SUCCESS;
    }
    println!(
        "\nmissing, repeated or out of order: {} of {} came back",
        received.len(),
        put.len()
    );
    ExitCode::FAILURE
}
