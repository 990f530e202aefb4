use kinesis_pipeline::KinesisRecord;

#[derive(KinesisRecord)]
#[kinesis(codec = "bytes", colour = "red")]
union Number {
    int: u32,
    float: f32,
}

fn main() {}
