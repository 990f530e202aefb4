use kinesis_pipeline::{
    KinesisRecord,
    record::row::{RowContext, RowReader},
};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
struct Reading {
    device: String,
}

fn main() {
    RowReader::<Reading>::new(RowContext::default());
}
