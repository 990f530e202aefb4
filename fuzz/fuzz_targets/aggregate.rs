//! Fuzzes aggregates, with any bytes as they are and in a valid frame: no panic, no more records than bytes, and the
//! records survive being written and read again.
#![no_main]

use bytes::Bytes;
use kinesis_pipeline::wire::aggregate;
use libfuzzer_sys::fuzz_target;
use md5::{Digest, Md5};

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];

fuzz_target!(|body: &[u8]| {
    check(&Bytes::copy_from_slice(body));
    check(&[&MAGIC, body, &Md5::digest(body)[..]].concat().into());
});

fn check(data: &Bytes) {
    let Some(read) = aggregate::split(data) else {
        return;
    };
    assert!(read.iter().next().is_some() && read.len() <= data.len());
    let mut writer = aggregate::Writer::new();
    for record in &read {
        writer.push(&record);
    }
    let again = aggregate::split(&writer.finish()).expect("our own aggregate");
    assert!(read.iter().eq(again.iter()));
}
