//! Puts `{"device": "foo", "temperature": 42.42, "humidity": 84.84}` once a second, or at another rate.
//!
//! It puts to the embedded Kinesis, or to AWS if a stream's name is given. Credentials and region then come from the
//! environment (build with `--features aws`).
//!
//! ```text
//! cargo run --example publish -- [COUNT] [RECORDS_A_SECOND] [STREAM]
//! ```

use std::{env, error::Error, time::Duration};

use kinesis_pipeline::{KinesisRecord, KinesisStream, LocalKinesis};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    temperature: f64,
    humidity: f64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let count: u64 = arguments.next().map_or(Ok(10), |count| count.parse())?;
    let a_second: u32 = arguments.next().map_or(Ok(1), |rate| rate.parse())?;
    let stream = open(arguments.next().as_deref()).await?;

    let reading = Reading {
        device: "foo".to_owned(),
        temperature: 42.42,
        humidity: 84.84,
    };
    let mut turns = tokio::time::interval(Duration::from_secs(1) / a_second.max(1));
    for _ in 0..count {
        turns.tick().await;
        let receipt = stream.put(&reading).await?;
        let json = serde_json::to_string(&reading)?;
        println!("{json} in {}", receipt.shard_id);
    }
    println!("put {count} records");
    Ok(())
}

/// Opens a stream of AWS by its name, or one on the embedded Kinesis.
async fn open(name: Option<&str>) -> Result<KinesisStream<Reading>, Box<dyn Error>> {
    match name {
        #[cfg(feature = "aws")]
        Some(name) => Ok(KinesisStream::connect(name).await?),
        #[cfg(not(feature = "aws"))]
        Some(_) => Err("build with `--features aws` to put to a stream of AWS".into()),
        None => {
            let local = LocalKinesis::start().await?;
            Ok(local.stream("testdrive-stream", 2).await?)
        }
    }
}
