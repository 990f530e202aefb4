//! A benchmark of KPL aggregates: ours beside prost's generated code, and beside the MD5 that every aggregate needs.
//!
//! ```text
//! cargo bench -p kinesis-pipeline-benches --bench wire
//! ```

use std::{hint::black_box, time::Instant};

use bytes::Bytes;
use kinesis_pipeline::{EncodedRecord, PartitionKey, wire::aggregate};
use kinesis_pipeline_benches::{median, prost_aggregate};
use md5::{Digest, Md5};

const RECORDS: usize = 500;
const AGGREGATES: usize = 400;
const ROUNDS: usize = 15;
/// The number of aggregates whose MD5s a reader computes at once.
const PAGE: usize = 8;
/// The bytes of the magic number before the protobuf body.
const MAGIC_BYTES: usize = 4;
const MD5_BYTES: usize = 16;

fn main() {
    for (data_bytes, keys) in [(100, 100), (100, RECORDS), (11, 100)] {
        let records = records(data_bytes, keys);
        println!("{RECORDS} records of {data_bytes} B under {keys} keys, ns a record:");
        encode(&records);
        decode(&records);
    }
}

fn records(data_bytes: usize, keys: usize) -> Vec<EncodedRecord> {
    let record = |index: usize| {
        let key = PartitionKey::new(format!("device-{:04}", index % keys)).expect("a key");
        EncodedRecord::new(key, Bytes::from(vec![b'x'; data_bytes]))
    };
    (0..RECORDS).map(record).collect()
}

fn encode(records: &[EncodedRecord]) {
    let ours = time(|| {
        let mut writer = aggregate::Writer::with_capacity(128 * RECORDS);
        for record in records {
            writer.push(record);
        }
        black_box(&writer);
    });
    let prost = time(|| {
        black_box(prost_aggregate::encode_body(records));
    });
    println!(
        "  encode without MD5      ours {ours:>6.1}   prost {prost:>6.1}   ratio {:.2}",
        ours / prost
    );
}

fn decode(records: &[EncodedRecord]) {
    let mut writer = aggregate::Writer::new();
    for record in records {
        writer.push(record);
    }
    let data = writer.finish();
    let body = MAGIC_BYTES..data.len() - MD5_BYTES;
    let md5 = time(|| {
        black_box(Md5::digest(&data[body.clone()]));
    });
    let ours = time(|| {
        let aggregate = aggregate::split(&data).expect("an aggregate");
        for record in &aggregate {
            black_box(record);
        }
    });
    let views = time(|| {
        let aggregate = aggregate::split(&data).expect("an aggregate");
        for record in aggregate.views() {
            black_box((record.data(), record.partition_key()));
        }
    });
    let page: Vec<_> = (0..PAGE).map(|_| Bytes::copy_from_slice(&data)).collect();
    let of_page = time_each(PAGE, || {
        for aggregate in aggregate::split_each(&page).iter().flatten() {
            for record in aggregate {
                black_box(record);
            }
        }
    });
    let views_of_page = time_each(PAGE, || {
        for aggregate in aggregate::split_each(&page).iter().flatten() {
            for record in aggregate.views() {
                black_box((record.data(), record.partition_key()));
            }
        }
    });
    for (name, ours) in [
        ("decode with MD5", ours),
        ("views of the records", views),
        ("decode, eight at once", of_page),
        ("views, eight at once", views_of_page),
    ] {
        println!(
            "  {name:<23} ours {ours:>6.1}   MD5   {md5:>6.1}   ratio {:.2}",
            ours / md5
        );
    }
}

/// Returns nanoseconds for each record, the median of some rounds.
fn time(work: impl FnMut()) -> f64 {
    time_each(1, work)
}

/// As [`time`], for work on this many aggregates.
#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn time_each(aggregates: usize, mut work: impl FnMut()) -> f64 {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..AGGREGATES / aggregates {
            work();
        }
        let records = RECORDS * AGGREGATES;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        rounds.push(start.elapsed().as_secs_f64() * 1e9 / records as f64);
    }
    median(rounds)
}
