//! Any bytes are read and passed over by the CBOR scanner as by `ciborium`, or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|cbor: &[u8]| kinesis_pipeline::__private::cbor_agrees(cbor));
