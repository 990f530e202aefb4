//! Fuzzes deliveries: any body is read without a panic, and survives being written and read again.
#![no_main]

use kinesis_pipeline::firehose::endpoint::{Delivery, decompress};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let _ = decompress(body);
    if let Ok(delivery) = Delivery::parse(body) {
        assert_eq!(
            Delivery::parse(&delivery.to_json()).expect("it was written"),
            delivery
        );
        for record in &delivery.records {
            let _ = record.decode::<String>();
        }
    }
});
