use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(event_type = "reading.create", produced_by = "demo", metadata = meta)]
struct Reading {
    device: String,
}

fn meta(_: &Reading, _: &kinesis_pipeline::record::EncodeContext) -> u8 {
    1
}

fn main() {}
