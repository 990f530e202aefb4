use kinesis_pipeline::KinesisRecord;

#[derive(KinesisRecord)]
#[kinesis(codec = "bytes")]
struct Two(String, String);

#[derive(KinesisRecord)]
#[kinesis(codec = "bytes")]
enum Line {
    Text(String),
}

fn main() {}
