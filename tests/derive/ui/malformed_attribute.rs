use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis]
#[kinesis = "json"]
#[kinesis("json")]
#[kinesis(codec = "json" compat)]
struct Reading {
    device: String,
}

fn main() {}
