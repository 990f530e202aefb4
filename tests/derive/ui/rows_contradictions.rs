use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(drop_if_none = [a, nmae, f, f, i], drop_non_unique, drop_not_validated, fail_not_validated)]
struct Model {
    #[kinesis(pos = 0, column = "a")]
    a: String,
    #[kinesis(pos = 1, required, default = "x")]
    b: String,
    #[kinesis(pos = 2, parse = read, map = MAP)]
    c: String,
    #[kinesis(pos = 3, now)]
    d: String,
    #[kinesis(uuid, parse = read)]
    e: String,
    #[kinesis(pos = 4, required)]
    f: String,
    #[kinesis(parse = read, validate = check)]
    name: String,
    #[kinesis(now, uuid)]
    g: String,
    #[kinesis(pos = 5, format = "%Y", parse = read)]
    h: String,
    #[kinesis(uuid)]
    i: String,
}

fn main() {}
