use kinesis_pipeline::KinesisRecord;

#[derive(KinesisRecord)]
struct Reading {
    device: String,
}

fn main() {}
