//! Fuzzes events: any event that can be read can be written and read back.
#![no_main]

use kinesis_pipeline::firehose::Event;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    if let Ok(event) = Event::parse(json) {
        let written = event.to_json();
        assert_eq!(Event::parse(&written).expect("it was written"), event);
        for record in &event.records {
            let _ = (
                record.bytes(),
                record.text(),
                record.json::<serde_json::Value>(),
            );
        }
    }
});
