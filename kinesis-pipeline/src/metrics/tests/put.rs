use std::{future::Future, time::Duration};

use metrics_util::debugging::DebuggingRecorder;

use super::{STREAM, Seen, kinesis};
use crate::{
    EncodedRecord, KinesisStream, PartitionKey, Producer, PutError, PutOptions, Receipt, Record,
    StartAt, Until, local::Fault,
};

const THROTTLED: &str = "ProvisionedThroughputExceededException";

fn record(number: u32) -> EncodedRecord {
    let key = PartitionKey::new(format!("key-{}", number % 40)).unwrap();
    EncodedRecord::new(key, vec![0; 50 + number as usize % 100].into())
}

async fn put_all(
    producer: &Producer<EncodedRecord>,
    numbers: std::ops::Range<u32>,
) -> Vec<Result<Receipt, PutError>> {
    let mut pending = Vec::new();
    for number in numbers {
        pending.push(producer.put(&record(number)).await.unwrap());
    }
    let mut results = Vec::new();
    for receipt in pending {
        results.push(receipt.await);
    }
    results
}

/// Returns the Kinesis records of a stream as they are stored. The reader of this function records no metrics.
async fn stored(stream: &KinesisStream<EncodedRecord>) -> Vec<Record<EncodedRecord>> {
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .keep_aggregates();
    let mut records = unrecorded(reader.until(Until::Tip).open()).await.unwrap();
    let mut all = Vec::new();
    while let Some(record) = records.next().await {
        all.push(record.unwrap());
    }
    all
}

/// Runs the future so that handles made in it record nothing.
async fn unrecorded<T>(future: impl Future<Output = T>) -> T {
    let _guard = metrics::set_default_local_recorder(&metrics::NoopRecorder);
    future.await
}

/// Puts records while requests are throttled and fail, one time to live ends, and one put is refused.
async fn troubled_run(
    local: &crate::LocalKinesis,
    producer: &Producer<EncodedRecord>,
) -> Vec<Result<Receipt, PutError>> {
    let faults = local.faults();
    let throttle = Fault::throttle().each_entry();
    faults.add(throttle.after(3).times(7)).unwrap();
    let mut results = put_all(producer, 0..600).await;
    faults.add(Fault::fail().on("PutRecords")).unwrap();
    results.extend(put_all(producer, 600..900).await);
    assert!(results.iter().all(Result::is_ok));
    let throttle = Fault::throttle().on("PutRecords");
    faults.add(throttle.always()).unwrap();
    results.extend(put_all(producer, 900..950).await);
    faults.clear();
    faults.add(Fault::deny().on("PutRecords")).unwrap();
    results.extend(put_all(producer, 950..960).await);
    results
}

#[tokio::test(start_paused = true)]
async fn a_producers_metrics_are_its_stats_and_what_is_stored() {
    let recorder = DebuggingRecorder::new();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let local = kinesis().await;
    let stream = local.stream::<EncodedRecord>(STREAM, 2).await.unwrap();
    let producer = stream.producer().aggregate(true).aggregate_bytes_max(2_000);
    let producer = producer.record_ttl(Duration::from_secs(3)).build().unwrap();
    let results = troubled_run(&local, &producer).await;

    let seen = Seen::take(&recorder);
    let stats = producer.stats();
    assert_eq!(stats.records_accepted, 960);
    assert_eq!((stats.records_expired, stats.records_failed), (50, 60));
    for (name, expected) in [
        ("user_records_received_total", stats.records_accepted),
        ("user_records_put_total", stats.records_stored),
        ("user_records_data_put_bytes_total", stats.data_bytes_stored),
        ("user_records_failed_total", stats.records_failed),
        ("user_records_expired_total", stats.records_expired),
        ("user_records_put_again_total", stats.records_put_again),
        ("all_errors_total", stats.kinesis_records_failed),
    ] {
        assert_eq!(seen.count(name), expected, "{name}");
    }
    assert_eq!(seen.level("user_records_pending", None), 0.0);
    check_requests(&seen, &producer);
    check_receipts(&seen, &results);

    let stored = stored(&stream).await;
    let bytes = stored.iter().map(|record| record.data.size_bytes() as u64);
    assert_eq!(seen.count("kinesis_records_put_total"), stored.len() as u64);
    assert_eq!(
        seen.count("kinesis_records_data_put_bytes_total"),
        bytes.sum::<u64>()
    );
    assert_eq!(
        seen.samples("user_records_per_kinesis_record").len(),
        stored.len()
    );
}

fn check_requests(seen: &Seen, producer: &Producer<EncodedRecord>) {
    let stats = producer.stats();
    let per_request = "kinesis_records_per_put_records_request";
    let requests = stats.requests_sent;
    assert_eq!(seen.samples(per_request).len() as u64, requests);
    let times = seen.samples("request_time_seconds");
    assert_eq!(times.len() as u64, requests);
    assert_eq!(seen.sum(per_request), stats.kinesis_records_sent as f64);
    let errors = seen.by_label("errors_by_code_total");
    assert_eq!(errors.values().sum::<u64>(), stats.kinesis_records_failed);
    assert_eq!(errors[THROTTLED], stats.kinesis_records_throttled);
    assert!(errors["InternalFailureException"] > 0 && errors["AccessDeniedException"] > 0);
    assert_eq!(errors.len(), 3);
}

fn check_receipts(seen: &Seen, results: &[Result<Receipt, PutError>]) {
    let expired = |error: &&PutError| matches!(error, PutError::Expired { .. });
    let errors = results.iter().filter_map(|result| result.as_ref().err());
    let expired = errors.filter(expired).count();
    assert_eq!(seen.count("user_records_expired_total"), expired as u64);
    let receipts: Vec<_> = results.iter().flatten().collect();
    let oldest = receipts.iter().filter(|it| it.sub_sequence_number == 0);
    let retries = oldest.map(|receipt| f64::from(receipt.attempts - 1));
    let retries = retries.sum::<f64>();
    assert!(retries > 0.0);
    assert_eq!(seen.sum("retries_per_record"), retries);
    let per_kinesis_record = seen.sum("user_records_per_kinesis_record");
    assert_eq!(per_kinesis_record, receipts.len() as f64);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_pending_and_its_buffering_time_is_the_oldest_ones() {
    let recorder = DebuggingRecorder::new();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let local = kinesis().await;
    let stream = local.stream::<EncodedRecord>(STREAM, 1).await.unwrap();
    let late = Fault::delay(Duration::from_millis(700)).on("PutRecords");
    local.faults().add(late).unwrap();
    let producer = stream.producer().aggregate(true);
    let producer = producer.linger(Duration::from_millis(100)).build().unwrap();
    let first = producer.put(&record(0)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(40)).await;
    let second = producer.put(&record(1)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let seen = Seen::take(&recorder);
    assert_eq!(seen.level("user_records_pending", None), 2.0);
    let buffered = seen.samples("buffering_time_seconds");
    assert!(matches!(buffered[..], [time] if (0.1..0.11).contains(&time)));

    // Taking the values out of this recorder resets them to 0, so the level is relative.
    first.await.unwrap();
    second.await.unwrap();
    let seen = Seen::take(&recorder);
    assert_eq!(seen.level("user_records_pending", None), -2.0);
    assert_eq!(seen.samples("user_records_per_kinesis_record"), [2.0]);
    let request = seen.samples("request_time_seconds");
    assert!((0.7..0.71).contains(&request[0]), "{request:?}");
}

#[tokio::test(start_paused = true)]
async fn the_buffering_time_is_that_of_the_first_request_only() {
    let recorder = DebuggingRecorder::new();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let local = kinesis().await;
    let stream = local.stream::<EncodedRecord>(STREAM, 1).await.unwrap();
    let fail = Fault::fail().on("PutRecords");
    local.faults().add(fail.times(3)).unwrap();
    let producer = stream.producer().linger(Duration::from_millis(100));
    let producer = producer.build().unwrap();
    producer.put(&record(0)).await.unwrap().await.unwrap();
    let seen = Seen::take(&recorder);
    let buffered = seen.samples("buffering_time_seconds");
    assert!(
        matches!(buffered[..], [time] if (0.1..0.11).contains(&time)),
        "{buffered:?}"
    );
    assert_eq!(seen.samples("retries_per_record"), [3.0]);
    assert_eq!(seen.count("kinesis_records_put_total"), 1);
}

#[tokio::test(start_paused = true)]
async fn pipelines_of_one_stream_add_up_and_a_put_of_the_stream_counts() {
    let recorder = DebuggingRecorder::new();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let local = kinesis().await;
    let stream = local.stream::<EncodedRecord>(STREAM, 1).await.unwrap();
    let other = stream.clone().with_put_options(PutOptions::new()).unwrap();
    stream.put(&record(0)).await.unwrap();
    other.put(&record(1)).await.unwrap();
    let producer = stream.producer().build().unwrap();
    producer.put(&record(2)).await.unwrap().await.unwrap();
    let seen = Seen::take(&recorder);
    assert_eq!(seen.count("user_records_put_total"), 3);
    assert_eq!(seen.samples("request_time_seconds").len(), 3);
    let names: Vec<_> = seen.0.keys().map(|(name, _)| name.as_str()).collect();
    assert!(!names.contains(&"user_records_per_kinesis_record"));
}

#[test]
fn records_that_end_with_their_runtime_are_not_pending() {
    let recorder = DebuggingRecorder::new();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let local = kinesis().await;
        let stream = local.stream::<EncodedRecord>(STREAM, 1).await.unwrap();
        let late = Fault::delay(Duration::from_secs(9)).on("PutRecords");
        local.faults().add(late).unwrap();
        let producer = stream.producer().build().unwrap();
        drop(producer.put(&record(0)).await.unwrap());
        tokio::time::sleep(Duration::from_secs(1)).await;
    });
    drop(runtime);
    let seen = Seen::take(&recorder);
    assert_eq!(seen.count("user_records_failed_total"), 1);
    assert_eq!(seen.level("user_records_pending", None), 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_that_was_made_before_the_recorder_is_silent() {
    let local = kinesis().await;
    let stream = local.stream::<EncodedRecord>(STREAM, 1).await.unwrap();
    let producer = stream.producer().build().unwrap();
    let recorder = DebuggingRecorder::new();
    let _guard = metrics::set_default_local_recorder(&recorder);
    producer.put(&record(0)).await.unwrap().await.unwrap();
    assert!(recorder.snapshotter().snapshot().into_vec().is_empty());
}
