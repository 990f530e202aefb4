use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
#[kinesis(delimiter = "ab", table_name = "", drop_if_none = 1, null = 0, emit = "f")]
struct Model {
    #[kinesis(pos = -1)]
    a: String,
    #[kinesis(pos = "3", max_length = 0)]
    b: String,
    #[kinesis(column = name, null = [NULL])]
    c: String,
    #[kinesis(pos = 0, pos = 1, unique = true)]
    d: String,
    #[kinesis(pos = 2, parse = "read", default = [], replace = 1, anonymize)]
    e: String,
    #[kinesis(position = 3)]
    f: String,
    #[kinesis(table_name = "x")]
    g: String,
}

fn main() {}
