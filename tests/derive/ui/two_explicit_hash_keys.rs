use kinesis_pipeline::KinesisRecord;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, KinesisRecord)]
struct Reading(
    #[kinesis(explicit_hash_key)] u128,
    #[kinesis(explicit_hash_key)] u128,
);

fn main() {}
