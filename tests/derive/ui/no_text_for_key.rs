use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    temperature: f64,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
struct Placed {
    #[kinesis(explicit_hash_key)]
    point: i32,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(partition_key = all)]
struct Computed {
    device: String,
}

fn all(computed: &Computed) -> Vec<String> {
    vec![computed.device.clone()]
}

fn main() {}
