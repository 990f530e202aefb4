use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
struct Reading<'a> {
    #[kinesis(partition_key)]
    device: &'a str,
    #[serde(skip)]
    unit: &'static str,
}

fn main() {}
