use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    #[kinesis(partition_key)]
    room: String,
}

fn main() {}
