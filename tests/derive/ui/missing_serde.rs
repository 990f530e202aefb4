use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(KinesisRecord)]
struct Neither {
    device: String,
}

#[derive(Deserialize, KinesisRecord)]
struct NotWritten {
    device: String,
}

#[derive(Serialize, KinesisRecord)]
#[kinesis(event_type = "reading.create", produced_by = "demo")]
struct NotRead {
    device: String,
}

#[derive(Deserialize, KinesisRecord)]
#[kinesis(put_only, codec = "msgpack")]
struct Put {
    device: String,
}

#[derive(Serialize, KinesisRecord)]
#[kinesis(get_only)]
struct Get {
    device: String,
}

fn main() {}
