use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(explicit_hash_key)]
struct Reading {
    #[kinesis(codec = "json")]
    device: String,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
enum Event {
    #[kinesis(partition_key)]
    Made { id: u8 },
    #[kinesis(event_type = "sold")]
    Sold { id: u8 },
}

fn main() {}
