use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(event_type = create, produced_by = "")]
struct Text {
    device: String,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(event_type, produced_by("demo"))]
struct NoText {
    device: String,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(partition_key = "device_of", metadata = 5)]
struct NoPath {
    device: String,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(partition_key, metadata = "not a path")]
struct MorePath {
    device: String,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(codec = "msgpack", compat = true)]
struct Flag {
    #[kinesis(partition_key = device)]
    device: String,
    #[kinesis(explicit_hash_key("x"))]
    point: u128,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(crate = 1)]
struct Crate {
    device: String,
}

fn main() {}
