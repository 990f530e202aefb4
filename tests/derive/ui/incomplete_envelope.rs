use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(event_type = "reading.create")]
struct NoProducer {
    device: String,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(produced_by = "demo")]
struct NoType {
    device: String,
}

fn main() {}
