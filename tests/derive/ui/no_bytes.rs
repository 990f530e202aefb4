use kinesis_pipeline::KinesisRecord;

#[derive(KinesisRecord)]
#[kinesis(codec = "bytes")]
struct Line(f64);

fn main() {}
