//! Fuzzes the JSON scanner: it reads, refuses and skips any text as `serde_json` does.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| kinesis_pipeline::__private::json_agrees(json));
