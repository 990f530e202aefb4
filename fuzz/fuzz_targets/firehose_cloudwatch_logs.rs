//! Fuzzes envelopes of CloudWatch Logs: any of them is read without a panic.
#![no_main]

use kinesis_pipeline::{EncodedRecord, KinesisRecord, PartitionKey, firehose::CloudWatchLogs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: Vec<u8>| {
    let key = PartitionKey::new("key").expect("a key");
    let _ = CloudWatchLogs::decode(&EncodedRecord::new(key, data.into()));
});
