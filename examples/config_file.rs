//! Named streams from a YAML file, as users of Triton have it. Untyped records take their key from it.
//!
//! ```text
//! AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test cargo run --example config_file --features config
//! ```

use std::error::Error;

use kinesis_pipeline::{LocalKinesis, StreamConfig};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The embedded Kinesis stands for AWS here. To reach the real service, leave out `endpoint_url`.
    let local = LocalKinesis::start().await?;
    let server = local.serve("127.0.0.1:0").await?;
    local.stream::<Value>("my_stream_v2", 2).await?;

    let yaml = format!(
        "my_stream:\n  name: my_stream_v2\n  partition_key: value\n  region: us-west-1\n  endpoint_url: {}\n",
        server.endpoint_url()
    );
    let path = std::env::temp_dir().join(format!("streams-{}.yaml", std::process::id()));
    std::fs::write(&path, yaml)?;
    let config = StreamConfig::load(&path)?;
    std::fs::remove_file(&path)?;

    let stream = config.stream::<Value>("my_stream").await?;
    let mut records = stream.iter_from_latest().await?;
    stream
        .put(&json!({ "value": "hi mom", "ts": 1_433_969_276.17 }))
        .await?;
    let record = records.next().await.ok_or("the stream ended")??;
    println!("{} under the key {}", record.data, record.partition_key);

    let error = config
        .stream::<Value>("your_stream")
        .await
        .err()
        .ok_or("it is not configured")?;
    println!("error: {error}");
    Ok(())
}
