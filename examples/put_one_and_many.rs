//! Puts one record, then many, and looks at the result of each.
//!
//! ```text
//! cargo run --example put_one_and_many
//! ```

use std::error::Error;

use kinesis_pipeline::{KinesisRecord, KinesisStream, LocalKinesis};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(event_type = "reading.create", produced_by = "example")]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    temperature: f64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let stream: KinesisStream<Reading> = LocalKinesis::start().await?.stream("readings", 2).await?;

    let reading = Reading {
        device: "attic".to_owned(),
        temperature: 21.5,
    };
    let receipt = stream.put(&reading).await?;
    println!(
        "stored in {} as {}",
        receipt.shard_id, receipt.sequence_number
    );

    // There is one result for each record, in the order of the input. A failed record is returned with its error.
    let devices = ["cellar", "kitchen", "", "roof"];
    let readings = devices.map(|device| Reading {
        device: device.to_owned(),
        temperature: 18.5,
    });
    for result in stream.put_all(readings).await {
        match result {
            Ok(receipt) => println!("stored in {}", receipt.shard_id),
            Err(failure) => {
                let cause = failure
                    .error
                    .source()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                println!(
                    "{} was not stored: {}: {cause}",
                    failure.record.temperature, failure.error
                );
            }
        }
    }
    Ok(())
}
