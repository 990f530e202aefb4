use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(codec = "jsn")]
struct Misspelt {
    device: String,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(codec = "avro")]
struct Missing {
    device: String,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(codec = msgpack)]
struct Unquoted {
    device: String,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(codec = 1)]
struct Number {
    device: String,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(codec)]
struct Nothing {
    device: String,
}

fn main() {}
