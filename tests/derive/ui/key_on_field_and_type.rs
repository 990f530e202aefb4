use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(partition_key = room_of)]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
}

fn room_of(_: &Reading) -> String {
    String::new()
}

fn main() {}
