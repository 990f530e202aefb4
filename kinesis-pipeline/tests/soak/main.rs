//! A soak test of ten minutes of virtual time at the full speed of four shards: a producer's memory does not grow.
//!
//! The stream keeps no data, so any growth is the producer's.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(
    clippy::cast_precision_loss,
    reason = "counts far below where a float loses them"
)]

mod hollow;

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use hollow::{Conditions, Hollow, SHARD_BYTES, SHARDS, Stored};
use kinesis_pipeline::{Clock, EncodedRecord, KinesisStream, PartitionKey, PendingReceipt};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MINUTES: u32 = 10;
const MINUTE: Duration = Duration::from_mins(1);
/// The limit of receipts that are held at a time.
const RECEIPTS_HELD_MAX: usize = 50_000;
/// The producer's memory limit for records.
const IN_FLIGHT_BYTES_MAX: usize = 8 << 20;
/// The limit of growth: the most allocated bytes in a later minute, above those of the second minute. Keeping a single
/// byte of each aggregated record, or eight of each other one, would exceed it.
const GROWTH_BYTES_MAX: usize = 4 << 20;
/// The growth limit of resident memory. It is less strict, as the allocator decides when to return pages to the system.
const RESIDENT_GROWTH_BYTES_MAX: usize = 16 << 20;
const KEYS: usize = 1_000;
/// The share of the full speed. Unoptimized code would need minutes of real time for its 25 million records.
const AGGREGATES_SHARE: f64 = if cfg!(debug_assertions) { 0.25 } else { 1.0 };

/// A lock that allows one load at a time, as the allocator counts for the whole process.
static TURN: Mutex<()> = Mutex::new(());

struct Load {
    aggregate: bool,
    data_bytes: usize,
    conditions: Conditions,
    /// The share of the speed that the shards leave to the producer that it must reach, at least.
    speed_min: f64,
}

#[test]
fn memory_is_flat_over_ten_minutes_of_aggregates() {
    hold_against_bounds(&Load {
        aggregate: true,
        data_bytes: 100,
        conditions: Conditions {
            share: AGGREGATES_SHARE,
            throttled_percent: 0,
            lost_percent: 0,
        },
        speed_min: 0.85,
    });
}

#[test]
fn memory_is_flat_over_ten_minutes_of_throttled_entries_and_lost_answers() {
    hold_against_bounds(&Load {
        aggregate: false,
        data_bytes: 1_024,
        conditions: Conditions {
            share: 1.0,
            throttled_percent: 2,
            lost_percent: 1,
        },
        // The pacer tolerates random throttling, once it has found that a lower rate does not help.
        speed_min: 0.75,
    });
}

fn hold_against_bounds(load: &Load) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let (minutes, stored) = runtime.unwrap().block_on(run(load));
    println!("{stored:?}");
    for (number, minute) in minutes.iter().enumerate() {
        println!("minute {number}: {minute:?}");
    }
    let bytes_left = SHARD_BYTES * load.conditions.share * f64::from(SHARDS);
    let speed = stored.bytes as f64 / (bytes_left * 60.0 * f64::from(MINUTES));
    assert!(speed >= load.speed_min, "{speed:.2} of the shards' speed");

    // The first minute is a warm-up.
    let settled = &minutes[1];
    for (number, minute) in minutes.iter().enumerate().skip(2) {
        let grown = minute.live_bytes_max.saturating_sub(settled.live_bytes_max);
        assert!(
            grown <= GROWTH_BYTES_MAX,
            "minute {number} held {grown} bytes more than the second"
        );
        let (Some(resident), Some(before)) = (minute.resident_bytes, settled.resident_bytes) else {
            continue;
        };
        let grown = resident.saturating_sub(before);
        assert!(
            grown <= RESIDENT_GROWTH_BYTES_MAX,
            "after minute {number} {grown} bytes more were resident than after the second"
        );
    }
}

/// The memory in a minute of virtual time.
#[derive(Debug)]
struct Minute {
    /// The most bytes that were allocated at a time.
    live_bytes_max: usize,
    /// The resident bytes at the minute's end, if the system reports them.
    resident_bytes: Option<usize>,
}

async fn run(load: &Load) -> (Vec<Minute>, Stored) {
    let clock = Clock::tokio(SystemTime::UNIX_EPOCH);
    let service = Hollow::start(clock.clone(), load.conditions, 7);
    let stream = KinesisStream::with_service(service.clone(), "soak").with_clock(clock.clone());
    let producer = stream.producer().aggregate(load.aggregate);
    let producer = producer.in_flight_bytes_max(IN_FLIGHT_BYTES_MAX).build();
    let producer = producer.unwrap();
    let records: Vec<_> = (0..KEYS).map(|key| record(key, load.data_bytes)).collect();

    let mut minutes = Vec::with_capacity(MINUTES as usize);
    let mut receipts = VecDeque::with_capacity(RECEIPTS_HELD_MAX + 1);
    let mut minute_end = clock.instant() + MINUTE;
    for record in records.iter().cycle() {
        receipts.push_back(producer.put(record).await.unwrap());
        take_ready(&mut receipts).await;
        if clock.instant() >= minute_end {
            minutes.push(end_of_minute());
            minute_end += MINUTE;
        }
        if minutes.len() == MINUTES as usize {
            break;
        }
    }
    let stored = service.stored();
    for receipt in receipts {
        receipt.await.unwrap();
    }
    producer.close().await.unwrap();
    (minutes, stored)
}

/// Takes all receipts that are ready. Waits for one if too many are held.
async fn take_ready(receipts: &mut VecDeque<PendingReceipt>) {
    loop {
        let held = receipts.len();
        let Some(first) = receipts.front_mut() else {
            return;
        };
        if held > RECEIPTS_HELD_MAX {
            first.await.unwrap();
        } else if let Some(receipt) = first.now_or_never() {
            receipt.unwrap();
        } else {
            return;
        }
        receipts.pop_front();
    }
}

fn record(key: usize, data_bytes: usize) -> EncodedRecord {
    let key = PartitionKey::new(format!("device-{key}")).unwrap();
    EncodedRecord::new(key, Bytes::from(vec![b'x'; data_bytes]))
}

fn end_of_minute() -> Minute {
    let live_bytes_max = ALLOCATOR.peak_usage();
    ALLOCATOR.reset_peak_usage();
    Minute {
        live_bytes_max,
        resident_bytes: resident_bytes(),
    }
}

/// Returns the resident memory of this process. If the system does not report it, a line on standard error says that it
/// is not checked.
fn resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok();
    let resident = status.and_then(|status| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: usize = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    });
    if resident.is_none() {
        let told = b"skipped: resident memory: this system has no /proc/self/status\n";
        let _: std::io::Result<()> = std::io::Write::write_all(&mut std::io::stderr(), told);
    }
    resident
}
