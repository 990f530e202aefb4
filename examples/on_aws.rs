//! Puts and gets on AWS. Credentials and region come from the environment, as for every AWS tool.
//!
//! ```text
//! cargo run --example on_aws --features aws -- STREAM
//! ```
//!
//! If `kinesis-pipeline local` is running and its variables are exported, that server is used.

use std::{error::Error, time::Duration};

use kinesis_pipeline::{KinesisRecord, KinesisStream};
use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize, KinesisRecord)]
struct Greeting {
    #[kinesis(partition_key)]
    from: String,
    text: String,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).ok_or("usage: on_aws STREAM")?;
    let stream = KinesisStream::<Greeting>::connect(&name).await?;
    let mut records = stream.iter_from_latest().await?;

    let greeting = Greeting {
        from: "on_aws".to_owned(),
        text: "hi mom".to_owned(),
    };
    let receipt = stream.put(&greeting).await?;
    println!("stored at {}", receipt.position());

    let wait = Duration::from_secs(30);
    let record = tokio::time::timeout(wait, records.next())
        .await?
        .ok_or("the stream ended")??;
    println!(
        "read back {:?}, {:?} behind",
        record.data, record.behind_latest
    );
    Ok(())
}
