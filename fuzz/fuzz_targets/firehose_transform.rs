//! Fuzzes transforms: every id of any event is answered once, and the response keeps its size limit.
#![no_main]

use std::collections::BTreeSet;

use kinesis_pipeline::firehose::{
    Event, InputRecord, OutputRecord, RESPONSE_BYTES_MAX, Verdict, transform,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let Ok(event) = Event::parse(json) else {
        return;
    };
    let response = transform(&event, |line: String| match line.len() % 4 {
        0 => Verdict::Drop,
        1 => Verdict::Fail("odd"),
        2 => Verdict::KeepAll(vec![line; 2]),
        _ => Verdict::Keep(line),
    });
    let answers = OutputRecord::parse_all(response.as_json()).expect("a response");
    let ids: BTreeSet<_> = event.records.iter().map(InputRecord::record_id).collect();
    let answered: BTreeSet<_> = answers.iter().map(|answer| &*answer.record_id).collect();
    assert_eq!(ids, answered);
    assert_eq!(answers.len(), answered.len());
    assert!(response.as_json().len() <= RESPONSE_BYTES_MAX);
});
