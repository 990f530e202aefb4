//! Reads all records since a point in time, up to the present end: a batch job.
//!
//! ```text
//! cargo run --example replay
//! ```

use std::{error::Error, time::Duration};

use kinesis_pipeline::{KinesisRecord, KinesisStream, LocalKinesis, StartAt, Until};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, KinesisRecord)]
struct Order {
    #[kinesis(partition_key)]
    id: u64,
    euros: u32,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let stream: KinesisStream<Order> = LocalKinesis::start().await?.stream("orders", 4).await?;
    for id in 1..=3 {
        stream.put(&Order { id, euros: 10 }).await?;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let since = stream.put(&Order { id: 4, euros: 20 }).await?;
    stream.put(&Order { id: 5, euros: 20 }).await?;

    // Starts at a record that another process named, and reads its shard from there.
    let start = StartAt::AtSequenceNumber(since.shard_id.clone(), since.sequence_number.clone());
    let mut records = stream
        .reader()
        .start(start)
        .until(Until::Tip)
        .open()
        .await?;
    let first = records
        .next()
        .await
        .ok_or("nothing at the receipt's position")??;
    println!("at the receipt: {:?}", first.data);

    // Starts at the record's arrival time, and reads every shard up to its end when the reader opened.
    let start = StartAt::Timestamp(first.arrived_at);
    let mut records = stream
        .reader()
        .start(start)
        .until(Until::Tip)
        .open()
        .await?;
    let mut euros = 0;
    while let Some(record) = records.next().await {
        euros += record?.data.euros;
    }
    println!("{euros} euros since then");
    Ok(())
}
