use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

struct MyCodec;

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(codec = MyCodec)]
struct Reading {
    device: String,
}

fn main() {}
