use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(codec = "json", codec = "msgpack")]
#[kinesis(event_type = "a", produced_by = "b")]
#[kinesis(event_type = "c")]
struct Reading {
    #[kinesis(partition_key, partition_key)]
    device: String,
}

fn main() {}
