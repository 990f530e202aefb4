use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(codec = "jsn", compat, event_type = "reading.create", colour = "red")]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    #[kinesis(partition_key, codec = "json")]
    room: String,
    #[kinesis(explicit_hash_key = 7)]
    point: u128,
}

// One error per mistake: using the type adds none.
fn uses(reading: &Reading) {
    let _ = reading.partition_key();
}

fn main() {}
