use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

// A value that cannot be read is one mistake: nothing follows from it.
#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(codec = "mspack", compat, event_type = 5, produced_by = "demo")]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
}

fn main() {}
