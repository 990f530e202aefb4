use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
struct Model {
    #[kinesis(pos = 0)]
    list: Vec<u8>,
    #[kinesis(pos = 1, max_length = 3)]
    number: u64,
    #[kinesis(pos = 2, format = "%Y")]
    text: String,
    #[kinesis(now)]
    now: u64,
    #[kinesis(uuid)]
    id: u64,
    #[kinesis(pos = 3, parse = parse)]
    parsed: u64,
    #[kinesis(pos = 4, validate = validate)]
    validated: u64,
    #[kinesis(pos = 5, anonymize = anonymize)]
    float: f64,
    #[kinesis(pos = 6, default = "x")]
    default: u64,
}

fn parse(_: &str) -> String {
    String::new()
}

fn validate(_: &str) -> u8 {
    0
}

fn anonymize(_: &str, _: &kinesis_pipeline::record::row::Seed) -> String {
    String::new()
}

fn main() {}
