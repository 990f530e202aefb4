//! A Firehose workshop on a laptop. Events of all states go in, those of New York are filtered on the way, and files
//! are written by date and hour, for kept and for failed events.
//!
//! ```text
//! cargo run --example workshop --features delivery [-- FOLDER]
//! ```
//!
//! Two deliveries read the same stream, and both get all records. One writes the original records, under `raw/`. The
//! other writes the output of the filter, under `firehose/`. The filter is the function that a Lambda of the real
//! Firehose would run.

use std::{
    error::Error,
    path::{Path, PathBuf},
    time::Duration,
};

use kinesis_pipeline::{
    EncodedRecord, KinesisStream, LocalKinesis, MemoryLeases, PartitionKey, StartAt,
    firehose::Verdict,
};
use kinesis_pipeline_delivery::{Delivery, DeliveryHandle, DeliveryReport, Location};
use serde_json::{Map, Value};
use uuid::Uuid;

const RECORDS: usize = 1_000;
const STATES: &[&str] = &["NY", "AK", "AZ", "AR", "CA", "CO", "CT"];
/// Regions of France. An event from one of them is an error.
const REGIONS: &[&str] = &["IDF", "PACA"];
const BUFFER_BYTES: u64 = 50 << 20;
const BUFFER_AGE: Duration = Duration::from_mins(1);
const WAIT: Duration = Duration::from_millis(50);
const WAITS_MAX: usize = 1_200;

/// Keeps events of New York, drops those of other states, and fails the others.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a transform takes its record"
)]
fn filter(entry: String) -> Verdict<String> {
    let event: Map<String, Value> = serde_json::from_str(&entry).unwrap_or_default();
    let Some(state) = event.values().next().and_then(Value::as_str) else {
        return Verdict::Fail("no event");
    };
    match state {
        "NY" => Verdict::Keep(format!("New York State found !! for entry: {entry}")),
        state if STATES.contains(&state) => Verdict::Drop,
        _ => Verdict::Fail("not a state of the US"),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args()
        .nth(1)
        .map_or_else(temporary, PathBuf::from);
    let stream: KinesisStream<EncodedRecord> =
        LocalKinesis::start().await?.stream("workshop", 2).await?;
    generate(&stream).await?;

    let to = || -> Result<Delivery, Box<dyn Error>> {
        let location = Location::parse(&folder.display().to_string())?;
        let delivery = Delivery::to_location(location).name("workshop");
        // No other worker will continue, so open files are written at the end.
        Ok(delivery
            .buffer(BUFFER_BYTES, BUFFER_AGE)
            .flush_on_stop(true))
    };
    let raw = run(
        &stream,
        "raw",
        to()?.prefix("raw/good/").error_prefix("raw/bad/"),
    );
    let filtered = run(
        &stream,
        "filtered",
        to()?.prefix("firehose/").transform(filter),
    );
    let (raw, filtered) = tokio::try_join!(raw, filtered)?;

    println!("{}", folder.display());
    show(&folder, 1)?;
    println!("raw:      {} of {} delivered", raw.kept, raw.records);
    println!(
        "filtered: {} Ok, {} Dropped, {} ProcessingFailed of {}",
        filtered.kept, filtered.dropped, filtered.failed, filtered.records
    );
    Ok(())
}

fn temporary() -> PathBuf {
    std::env::temp_dir().join(format!("workshop-{}", std::process::id()))
}

/// Puts one object `{uuid: state}` in each record.
async fn generate(stream: &KinesisStream<EncodedRecord>) -> Result<(), Box<dyn Error>> {
    let places: Vec<&str> = STATES.iter().chain(REGIONS).copied().collect();
    let mut events = Vec::with_capacity(RECORDS);
    for number in 0..RECORDS {
        let uuid = Uuid::new_v4().to_string();
        let entry = format!("{{\"{uuid}\":\"{}\"}}", places[number % places.len()]);
        events.push(EncodedRecord::new(PartitionKey::new(uuid)?, entry.into()));
    }
    for receipt in stream.put_all(events).await {
        receipt?;
    }
    Ok(())
}

/// Runs a delivery with this application name until it has received all records.
async fn run(
    stream: &KinesisStream<EncodedRecord>,
    app: &str,
    delivery: Delivery,
) -> Result<DeliveryReport, Box<dyn Error>> {
    let fleet = stream
        .worker(app)
        .leases(MemoryLeases::new())
        .start(StartAt::TrimHorizon);
    let worker = delivery.worker(fleet)?;
    let handle = worker.handle();
    let (report, ()) = tokio::join!(worker.run(), stop_at_the_end(handle));
    Ok(report?)
}

async fn stop_at_the_end(handle: DeliveryHandle) {
    for _ in 0..WAITS_MAX {
        if handle.report().records >= RECORDS as u64 {
            break;
        }
        tokio::time::sleep(WAIT).await;
    }
    handle.stop();
}

/// Prints the tree of a folder, and the number of lines of each file.
fn show(folder: &Path, depth: usize) -> Result<(), Box<dyn Error>> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        let (indent, name) = ("  ".repeat(depth), name.to_string_lossy());
        if path.is_dir() {
            println!("{indent}{name}/");
            show(&path, depth + 1)?;
        } else {
            let lines = std::fs::read_to_string(&path)?.lines().count();
            println!("{indent}{name}  {lines} records");
        }
    }
    Ok(())
}
