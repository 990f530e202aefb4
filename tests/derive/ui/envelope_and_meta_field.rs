use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(event_type = "reading.create", produced_by = "demo")]
struct Reading {
    _meta: u8,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(event_type = "reading.create", produced_by = "demo")]
struct Renamed {
    #[serde(rename = "_meta")]
    about: u8,
}

fn main() {}
