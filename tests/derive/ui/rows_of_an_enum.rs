use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(rows)]
enum Model {
    One { a: String },
}

#[derive(Serialize, Deserialize, KinesisRecord)]
struct Generic<T> {
    #[kinesis(pos = 0)]
    a: T,
}

fn main() {}
