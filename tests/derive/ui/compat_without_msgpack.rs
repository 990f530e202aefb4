use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(compat)]
struct Default {
    device: String,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(codec = "json", compat)]
struct Json {
    device: String,
}

fn main() {}
