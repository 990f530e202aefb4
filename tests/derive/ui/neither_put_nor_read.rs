use kinesis_pipeline::KinesisRecord;

#[derive(KinesisRecord)]
#[kinesis(put_only, get_only)]
struct Reading {
    device: String,
}

fn main() {}
