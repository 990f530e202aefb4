//! A test of a reader's memory while it splits a page of aggregates of tiny records. It has its own binary, for the
//! peak of the memory.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use kinesis_pipeline::{
    EncodedRecord, KinesisStream, LocalKinesis, PartitionKey, StartAt, Until, wire::aggregate,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MIB: usize = 1024 * 1024;
/// The number of aggregates, 700 KB each. They fit in one page.
const AGGREGATES: usize = 5;
/// The number of records in an aggregate. A tiny record takes some 10 bytes there, and 120 bytes or more as a Rust
/// value.
const RECORDS: usize = 100_000;

fn tiny(number: usize) -> EncodedRecord {
    let key = PartitionKey::new((number % 97).to_string()).unwrap();
    EncodedRecord::new(key, Bytes::from_static(b"x"))
}

#[tokio::test]
async fn a_page_of_aggregates_of_tiny_records_is_read_in_a_part_of_its_size() {
    let stream: KinesisStream<EncodedRecord> = LocalKinesis::start()
        .await
        .unwrap()
        .stream("tiny", 1)
        .await
        .unwrap();
    let mut bytes = 0;
    for _ in 0..AGGREGATES {
        let mut aggregate = aggregate::Writer::new();
        (0..RECORDS).for_each(|number| aggregate.push(&tiny(number)));
        let data = aggregate.finish();
        bytes += data.len();
        stream
            .put(&EncodedRecord::new(PartitionKey::new("a").unwrap(), data))
            .await
            .unwrap();
    }
    assert!(bytes > 3 * MIB, "{bytes} bytes are no large page");

    // The stream has the bytes of the records already. Only the reader's allocations are counted from here on.
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let reader = stream.reader().start(StartAt::TrimHorizon);
    let mut records = reader.until(Until::Tip).open().await.unwrap();
    let mut read = 0;
    while let Some(record) = records.next().await {
        assert_eq!(&record.unwrap().data.data[..], b"x");
        read += 1;
    }
    assert_eq!(read, AGGREGATES * RECORDS);
    let grown = ALLOCATOR.peak_usage() - before;
    println!("{bytes} bytes of aggregates, {grown} bytes more while they are read");
    assert!(grown < bytes / 20, "{grown} bytes for {bytes}");
}
