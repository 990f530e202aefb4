//! Any text is read, refused and passed over by the JSON scanner as by `serde_json`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| kinesis_pipeline::__private::json_agrees(json));
