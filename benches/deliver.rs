//! A benchmark of deliveries to a local disk, beside `dd` and `gzip -6` of the same bytes, and of their memory at 1,
//! 100 and 10,000 folders. Speed is by wall clock and by CPU time with the kernel's: "a core" is the speed of one busy
//! core. Ratios compare with the other program in the same run: above 1 the delivery is faster, or takes more memory.
//!
//! ```text
//! cargo bench -p kinesis-pipeline-delivery --bench deliver            # 200 MB
//! cargo bench -p kinesis-pipeline-delivery --bench deliver -- 1000    # so many MB
//! ```

use std::{
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use kinesis_pipeline::{
    Clock, EncodedRecord, GetError, PartitionKey, Position, Record,
    firehose::{Transform, Verdict},
};
use kinesis_pipeline_delivery::{Compression, Delivery, DeliveryReport, Location};

#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

const RECORD_BYTES: usize = 1024;
/// The number of different records. They are used again and again.
const POOL_RECORDS: usize = 16_384;
const BUFFER_BYTES: u64 = 32 << 20;

/// The times of a measured run.
#[derive(Clone, Copy)]
struct Cost {
    time: Duration,
    /// The CPU time of all threads, and of the programs that were run.
    cpu: Duration,
}

/// Starts a measurement. Calling the returned function ends it.
fn measure() -> impl FnOnce() -> Cost {
    let (begun, cpu) = (Clock::system().instant(), cpu_time());
    move || Cost {
        time: Clock::system().instant() - begun,
        cpu: cpu_time().saturating_sub(cpu),
    }
}

/// Returns the CPU time of this process and of its ended children, in steps of 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // The name of the program, in parentheses, may contain blanks. The times are the fields 14 to 17.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let times = fields.split_ascii_whitespace().skip(11).take(4);
    let ticks: u64 = times.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

#[tokio::main]
async fn main() {
    let megabytes = std::env::args().find_map(|argument| argument.parse().ok());
    let records = megabytes.unwrap_or(200_usize) * 1_000_000 / RECORD_BYTES;
    let pool = pool();
    let dir = std::env::temp_dir().join(format!("bench-deliver-{}", std::process::id()));
    println!(
        "{records} records of {RECORD_BYTES} bytes, to {}",
        dir.display()
    );

    let mut costs = Vec::new();
    for compression in [
        Compression::None,
        Compression::Gzip,
        Compression::Zstd,
        Compression::Snappy,
    ] {
        let folder = dir.join(format!("{compression:?}"));
        let delivery = |to: Delivery| to.compression(compression);
        let (report, cost) = deliver(&pool, records, &folder, delivery).await;
        assert_eq!(report.kept, records as u64);
        let name = format!("deliver, {compression:?}");
        show(&name, records, cost, &format!("{} bytes", report.bytes));
        costs.push(cost);
    }
    let [dd, gzip] = beside(&dir, records);
    ratio("speed, None, to dd", dd.time, costs[0].time);
    ratio("  a core", dd.cpu, costs[0].cpu);
    ratio("speed, Gzip, to gzip -6", gzip.time, costs[1].time);
    ratio("  a core", gzip.cpu, costs[1].cpu);

    let mut first = None;
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
        let (report, cost) = deliver(&pool, records, &folder, delivery).await;
        let peak = MEMORY.peak_usage().saturating_sub(before) >> 20;
        let memory = report.memory_bytes_most >> 20;
        let name = format!("{folders} folders");
        let rest = format!(
            "{} objects, open objects {memory} MiB, process {peak} MiB",
            report.objects_written
        );
        show(&name, records, cost, &rest);
        let (first_cpu, first_peak) = *first.get_or_insert((cost.cpu, peak.max(1)));
        ratio("  a core, to 1 folder", first_cpu, cost.cpu);
        #[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
        let memory = peak as f64 / first_peak as f64;
        println!("{:<24} {memory:>7.2}", "  memory to 1 folder");
    }
    std::fs::remove_dir_all(dir).expect("it is there");
}

/// Returns records of hexadecimal digits, which gzip halves.
fn pool() -> Vec<EncodedRecord> {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut record = || {
        let digits = (1..RECORD_BYTES).map(|_| b"0123456789abcdef"[rng.usize(..16)]);
        let data: Vec<u8> = digits.collect();
        EncodedRecord::new(PartitionKey::new("key").expect("a key"), data.into())
    };
    (0..POOL_RECORDS).map(|_| record()).collect()
}

/// Returns records as a reader does, but without the service's limit of 2 MiB a second.
fn read(
    pool: &[EncodedRecord],
    records: usize,
) -> impl Stream<Item = Result<Record<EncodedRecord>, GetError>> + Unpin {
    let at = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
    stream::iter((0..records).map(move |number| {
        let data = pool[number % pool.len()].clone();
        let position = Position::new("shardId-000000000000".into(), (number as u128).into());
        Ok(Record::new(
            data,
            PartitionKey::new("key").expect("a key"),
            position,
            at,
        ))
    }))
}

async fn deliver(
    pool: &[EncodedRecord],
    records: usize,
    folder: &Path,
    set: impl FnOnce(Delivery) -> Delivery,
) -> (DeliveryReport, Cost) {
    let location = Location::parse(&folder.display().to_string()).expect("a folder");
    let delivery = Delivery::to_location(location).buffer(BUFFER_BYTES, Duration::from_hours(1));
    let records = read(pool, records);
    let measured = measure();
    let report = set(delivery).run(records).await.expect("it delivers");
    (report, measured())
}

/// Writes the same bytes through `dd`, with a sync as in the delivery, and through `gzip -6`.
fn beside(dir: &Path, records: usize) -> [Cost; 2] {
    let shell = |script: &str| {
        let measured = measure();
        let status = Command::new("sh")
            .arg("-c")
            .arg(script)
            .current_dir(dir)
            .status();
        assert!(status.expect("a shell").success(), "{script}");
        measured()
    };
    shell("find None -type f -exec cat {} + > all");
    let dd = shell("dd if=all of=copy bs=256K conv=fsync 2>/dev/null");
    show("dd bs=256K conv=fsync", records, dd, "");
    let gzip = shell("gzip -6 < all > copy.gz");
    let size = |path: &str| std::fs::metadata(dir.join(path)).map_or(0, |meta| meta.len());
    show(
        "gzip -6",
        records,
        gzip,
        &format!("{} bytes", size("copy.gz")),
    );
    [dd, gzip]
}

/// Prints the ratio of two times.
fn ratio(name: &str, other: Duration, time: Duration) {
    let ratio = other.as_secs_f64() / time.as_secs_f64();
    println!("{name:<24} {ratio:>7.2}");
}

#[expect(clippy::cast_precision_loss, reason = "a figure to look at")]
fn speed(records: usize, time: Duration) -> f64 {
    (records * RECORD_BYTES) as f64 / 1e6 / time.as_secs_f64()
}

fn show(name: &str, records: usize, cost: Cost, rest: &str) {
    let (speed, a_core) = (speed(records, cost.time), speed(records, cost.cpu));
    println!("{name:<24} {speed:>7.0} MB/s {a_core:>7.0} MB/s a core  {rest}");
}
