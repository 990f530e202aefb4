//! Fuzzes Lambda's events of a Kinesis stream: any event is read without a panic, and a failure names one of its
//! records.
#![no_main]

use kinesis_pipeline::{Record, firehose::lambda::KinesisEvent};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|json: &[u8]| {
    let Ok(event) = KinesisEvent::parse(json) else {
        return;
    };
    let answer = event.process(|_: Record<Value>| Ok::<_, std::fmt::Error>(()));
    if let Some((sequence_number, _)) = answer.failure() {
        let mut records = event.records.iter();
        assert!(records.any(|record| record.sequence_number() == sequence_number));
    }
});
