use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(codek = "json", colour = red)]
struct Reading {
    #[kinesis(partition_kye)]
    device: String,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
enum Event {
    #[kinesis(partition)]
    Made { id: u8 },
}

fn main() {}
