//! A delivery to a local disk, beside `dd` and `gzip -6` of the same bytes, and its memory at 1, 100 and 10,000 folders.
//!
//! ```text
//! cargo bench -p kinesis-pipeline-delivery --bench deliver            # 200 MB
//! cargo bench -p kinesis-pipeline-delivery --bench deliver -- 1000    # so many MB
//! ```

use std::{path::Path, process::Command, time::Duration};

use bytes::Bytes;
use kinesis_pipeline::{
    Clock, EncodedRecord, KinesisStream, LocalKinesis, PartitionKey, Records, StartAt, Until,
    firehose::{Transform, Verdict},
};
use kinesis_pipeline_delivery::{Compression, Delivery, DeliveryReport, Location};

#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

const RECORD_BYTES: usize = 1024;
const PUT_RECORDS: usize = 4_000;
const BUFFER_BYTES: u64 = 32 << 20;

#[tokio::main]
async fn main() {
    let megabytes = std::env::args().find_map(|argument| argument.parse().ok());
    let records = megabytes.unwrap_or(200_usize) * 1_000_000 / RECORD_BYTES;
    let stream = filled(records).await;
    let dir = std::env::temp_dir().join(format!("bench-deliver-{}", std::process::id()));
    println!(
        "{records} records of {RECORD_BYTES} bytes, to {}",
        dir.display()
    );

    // What reading takes alone: the rest of a delivery's time is its own.
    let begun = Clock::system().instant();
    let mut reader = read(&stream).await;
    while let Some(record) = reader.next().await {
        record.expect("a record");
    }
    let reading = Clock::system().instant() - begun;
    show("reading alone", records, reading, "");

    for compression in [
        Compression::None,
        Compression::Gzip,
        Compression::Zstd,
        Compression::Snappy,
    ] {
        let folder = dir.join(format!("{compression:?}"));
        let delivery = |to: Delivery| to.compression(compression);
        let (report, time) = deliver(&stream, &folder, delivery).await;
        assert_eq!(report.kept, records as u64);
        let own = time.saturating_sub(reading);
        let name = format!("deliver, {compression:?}");
        show(
            &name,
            records,
            time,
            &format!("{:.0} MB/s without reading", speed(records, own)),
        );
    }
    beside(&dir, records);

    for folders in [1, 100, 10_000] {
        let folder = dir.join(format!("{folders} folders"));
        let keys = Transform::new().partition_keys(move |data: &Bytes| {
            let hash = data
                .iter()
                .take(8)
                .fold(0_usize, |sum, byte| sum * 31 + usize::from(*byte));
            [("k", (hash % folders).to_string())]
        });
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let delivery = |to: Delivery| {
            let to = to.prefix("k=!{partitionKeyFromLambda:k}/!{timestamp:yyyy}/");
            to.transform_with(keys, Verdict::<Bytes>::Keep)
        };
        let (report, time) = deliver(&stream, &folder, delivery).await;
        let peak = MEMORY.peak_usage().saturating_sub(before) >> 20;
        let memory = report.memory_bytes_most >> 20;
        let name = format!("{folders} folders");
        let rest = format!(
            "{} objects, open objects {memory} MiB, process {peak} MiB",
            report.objects_written
        );
        show(&name, records, time, &rest);
    }
    std::fs::remove_dir_all(dir).expect("it is there");
}

async fn filled(records: usize) -> KinesisStream<EncodedRecord> {
    let local = LocalKinesis::start().await.expect("it starts");
    let stream = local.stream("bench", 1).await.expect("a new stream");
    let mut rng = fastrand::Rng::with_seed(7);
    let mut left = records;
    while left > 0 {
        let count = left.min(PUT_RECORDS);
        left -= count;
        let put = std::iter::repeat_with(|| {
            // Hexadecimal digits: gzip halves them.
            let data: Vec<u8> = (0..RECORD_BYTES - 1)
                .map(|_| b"0123456789abcdef"[rng.usize(..16)])
                .collect();
            EncodedRecord::new(PartitionKey::new("key").expect("a key"), data.into())
        });
        for receipt in stream.put_all(put.take(count)).await {
            receipt.expect("it is stored");
        }
    }
    stream
}

async fn read(stream: &KinesisStream<EncodedRecord>) -> Records<EncodedRecord> {
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip);
    reader.open().await.expect("it opens")
}

async fn deliver(
    stream: &KinesisStream<EncodedRecord>,
    folder: &Path,
    set: impl FnOnce(Delivery) -> Delivery,
) -> (DeliveryReport, Duration) {
    let location = Location::parse(&folder.display().to_string()).expect("a folder");
    let delivery = Delivery::to_location(location).buffer(BUFFER_BYTES, Duration::from_hours(1));
    let records = read(stream).await;
    let begun = Clock::system().instant();
    let report = set(delivery).run(records).await.expect("it delivers");
    (report, Clock::system().instant() - begun)
}

/// The same bytes through `dd`, with a sync as the delivery has it, and through `gzip -6`.
fn beside(dir: &Path, records: usize) {
    let shell = |script: &str| {
        let begun = Clock::system().instant();
        let status = Command::new("sh")
            .arg("-c")
            .arg(script)
            .current_dir(dir)
            .status();
        assert!(status.expect("a shell").success(), "{script}");
        Clock::system().instant() - begun
    };
    shell("find None -type f -exec cat {} + > all");
    let time = shell("dd if=all of=copy bs=256K conv=fsync 2>/dev/null");
    show("dd bs=256K conv=fsync", records, time, "");
    let time = shell("gzip -6 < all > copy.gz");
    let size = |path: &str| std::fs::metadata(dir.join(path)).map_or(0, |meta| meta.len());
    show(
        "gzip -6",
        records,
        time,
        &format!("{} bytes", size("copy.gz")),
    );
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn speed(records: usize, time: Duration) -> f64 {
    (records * RECORD_BYTES) as f64 / 1e6 / time.as_secs_f64()
}

fn show(name: &str, records: usize, time: Duration, rest: &str) {
    println!("{name:<24} {:>7.0} MB/s  {rest}", speed(records, time));
}
