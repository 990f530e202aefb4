use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
enum Event {
    Made {
        #[kinesis(partition_key)]
        id: u8,
    },
    Sold {
        id: u8,
    },
    Closed,
}

fn main() {}
