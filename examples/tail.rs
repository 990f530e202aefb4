//! Follows a stream from its latest position, and stops without losing fetched records.
//!
//! ```text
//! cargo run --example tail
//! ```

use std::{error::Error, time::Duration};

use kinesis_pipeline::{KinesisRecord, KinesisStream, LocalKinesis};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    count: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let stream: KinesisStream<Reading> = LocalKinesis::start().await?.stream("readings", 2).await?;
    let mut records = stream.iter_from_latest().await?;

    let writer = stream.clone();
    tokio::spawn(async move {
        for count in 1.. {
            let reading = Reading {
                device: format!("device-{}", count % 3),
                count,
            };
            if writer.put(&reading).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });

    // A signal handler would call `stop`. No more records are fetched, but fetched ones still come.
    let mut received = 0;
    while let Some(record) = records.next().await {
        let record = record?;
        println!("{} {:?}", record.position().shard_id, record.data);
        received += 1;
        if received == 5 {
            records.stop();
        }
    }
    println!("stopped after {received} records");
    Ok(())
}
