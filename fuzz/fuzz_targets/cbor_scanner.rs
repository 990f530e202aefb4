//! Fuzzes the CBOR scanner: it reads and skips any bytes as `ciborium` does, or refuses them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|cbor: &[u8]| kinesis_pipeline::__private::cbor_agrees(cbor));
