//! Fuzzes responses: any response that can be read can be written and read back.
#![no_main]

use kinesis_pipeline::firehose::OutputRecord;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    if let Ok(records) = OutputRecord::parse_all(json) {
        let written = OutputRecord::write_all(&records);
        let back = OutputRecord::parse_all(&written).expect("it was written");
        for (back, record) in back.iter().zip(&records) {
            assert_eq!(
                (&back.record_id, back.result),
                (&record.record_id, record.result)
            );
            if let Ok(data) = record.bytes() {
                assert_eq!(back.bytes().expect("the same data"), data);
            }
        }
    }
});
