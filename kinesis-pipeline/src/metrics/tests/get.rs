use std::time::Duration;

use bytes::Bytes;
use metrics_util::debugging::DebuggingRecorder;
use serde_json::Value;

use super::{STREAM, Seen, kinesis};
use crate::{
    EncodedRecord, KinesisStream, LocalKinesis, PartitionKey, ReaderStats, StartAt, Until,
    local::Fault, service::SplitShard,
};

/// Puts this number of records, in aggregates if several come together. Every tenth record is not JSON.
async fn put(stream: &KinesisStream<EncodedRecord>, count: u32) {
    let producer = stream.producer().aggregate(true).aggregate_bytes_max(1_024);
    let producer = producer.build().unwrap();
    for number in 0..count {
        let key = PartitionKey::new(format!("key-{number}")).unwrap();
        let text = if number % 10 == 0 { "{" } else { "{\"a\": 1}" };
        let record = EncodedRecord::new(key, Bytes::from_static(text.as_bytes()));
        producer.put(&record).await.unwrap();
    }
    producer.close().await.unwrap();
}

async fn split_first_shard(stream: &KinesisStream<EncodedRecord>) {
    let shard = stream.shards().await.unwrap().remove(0);
    let middle = shard.hash_key_range.middle();
    let call = SplitShard::new(stream.id().clone(), shard.id, middle);
    stream.service().split_shard(call).await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
}

/// Makes six calls for records fail, one after the other.
fn add_faults(local: &LocalKinesis) {
    let faults = [
        Fault::throttle().times(3),
        Fault::fail().after(3).times(2),
        Fault::expire_iterator().after(5),
    ];
    for fault in faults {
        local.faults().add(fault.on("GetRecords")).unwrap();
    }
}

fn check_totals(seen: &Seen, stats: &ReaderStats) {
    for (name, expected) in [
        ("records_processed_total", stats.user_records),
        ("decode_errors_total", stats.undecodable_records),
        ("kinesis_records_fetched_total", stats.records),
        ("data_processed_bytes_total", stats.data_bytes),
        ("pages_fetched_total", stats.pages),
        ("stray_records_total", stats.stray_records),
        ("gaps_total", stats.gaps),
        ("shards_ended_total", stats.shards_ended),
    ] {
        assert_eq!(seen.count(name), expected, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_readers_metrics_are_its_stats_and_what_was_read() {
    let local = kinesis().await;
    let raw = local.stream::<EncodedRecord>(STREAM, 2).await.unwrap();
    put(&raw, 300).await;
    split_first_shard(&raw).await;
    put(&raw, 100).await;
    add_faults(&local);

    let recorder = DebuggingRecorder::new();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let stream = local.stream::<Value>(STREAM, 2).await.unwrap();
    let reader = stream.reader().start(StartAt::TrimHorizon);
    let mut records = reader.until(Until::Tip).open().await.unwrap();
    let (mut good, mut bad) = (0, 0);
    while let Some(record) = records.next().await {
        match record {
            Ok(_) => good += 1,
            Err(error) => bad += u64::from(!error.ends_the_stream()),
        }
    }
    assert_eq!((good, bad), (360, 40));

    let (seen, stats) = (Seen::take(&recorder), records.stats());
    assert_eq!((stats.user_records, stats.undecodable_records), (400, 40));
    assert!(stats.records < 400 && stats.shards_ended == 1, "{stats:?}");
    check_totals(&seen, &stats);
    let errors = seen.by_label("get_errors_total");
    assert_eq!(errors["throttled"], stats.throttled_calls);
    assert_eq!(
        (
            errors["throttled"],
            errors["transient"],
            errors["iterator_expired"]
        ),
        (3, 2, 1)
    );
    assert_eq!(stats.failed_calls, 3);
    let calls = seen.samples("get_records_time_seconds").len() as u64;
    assert_eq!(calls, stats.pages + 6);
    assert_eq!(seen.level("open_shards", None), 0.0);
    assert_eq!(seen.level("prefetched_bytes", None), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_shard_is_behind_while_it_is_read_and_0_afterwards() {
    let local = kinesis().await;
    let raw = local.stream::<EncodedRecord>(STREAM, 1).await.unwrap();
    put(&raw, 300).await;
    tokio::time::sleep(Duration::from_mins(10)).await;
    put(&raw, 300).await;

    let recorder = DebuggingRecorder::new();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let reader = raw.reader().start(StartAt::TrimHorizon).page_records_max(1);
    let mut records = reader.open().await.unwrap();
    records.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let shard = Some("shardId-000000000000");
    let seen = Seen::take(&recorder);
    let behind = records.stats().behind_latest_max().unwrap().as_secs_f64();
    assert!(behind >= 600.0, "{behind}");
    assert_eq!(seen.level("behind_latest_seconds", shard), behind);
    assert_eq!(seen.level("open_shards", None), 1.0);
    assert!(seen.level("prefetched_bytes", None) > 0.0);

    drop(records);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let seen = Seen::take(&recorder);
    assert_eq!(seen.level("behind_latest_seconds", shard), 0.0);
    // Taking the values out of this recorder resets them to 0, so the levels are relative.
    assert_eq!(seen.level("open_shards", None), -1.0);
    assert!(seen.level("prefetched_bytes", None) < 0.0);
}

#[tokio::test(start_paused = true)]
async fn records_of_a_page_that_is_dropped_half_way_count_as_far_as_they_were_given_out() {
    let local = kinesis().await;
    let raw = local.stream::<EncodedRecord>(STREAM, 1).await.unwrap();
    put(&raw, 30).await;
    let recorder = DebuggingRecorder::new();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let mut records = raw.iter_from_all().await.unwrap();
    for _ in 0..7 {
        records.next().await.unwrap().unwrap();
    }
    drop(records);
    assert_eq!(Seen::take(&recorder).count("records_processed_total"), 7);
}
