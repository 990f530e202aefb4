use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(KinesisRecord)]
#[kinesis(codec = "bytes", event_type = "line", produced_by = "demo")]
struct Line(String);

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(codec = MyCodec, event_type = "own", produced_by = "demo")]
struct Own {
    device: String,
}

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(event_type = "pair", produced_by = "demo")]
struct Pair(u8, u8);

fn main() {}
