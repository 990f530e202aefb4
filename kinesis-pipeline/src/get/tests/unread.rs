//! Readers that are not read from while their records expire, with a service that passes over these silently.

use std::time::Duration;

use bytes::Bytes;

use super::{is_silent, service::TestKinesis};
use crate::{GetError, OnTrimmed, Reader, Records, StartAt};

const DAY: Duration = Duration::from_hours(24);
const PAST_RETENTION: Duration = Duration::from_hours(25);

fn service(shards: usize) -> TestKinesis {
    let service = TestKinesis::new(shards);
    service.state().moves_expired_places = true;
    service
}

/// A reader that has two records of each shard on their way at most.
fn reader(service: &TestKinesis, policy: OnTrimmed) -> Reader<Bytes> {
    let reader = service.stream::<Bytes>().reader().on_trimmed(policy);
    // Days of quiet are as many calls as there are minutes.
    let reader = reader.poll_interval(Duration::from_mins(1));
    reader.start(StartAt::TrimHorizon).page_records_max(1)
}

/// Records that come within an hour.
async fn take(records: &mut Records<Bytes>, count: usize) -> Vec<String> {
    let texts = super::take(records, count);
    let texts = tokio::time::timeout(Duration::from_hours(1), texts);
    texts.await.expect("records that come")
}

/// Eleven records came, of which two were fetched when the others expired.
async fn left_alone(service: &TestKinesis, policy: OnTrimmed) -> Records<Bytes> {
    let mut records = reader(service, policy).open().await.unwrap();
    for count in 0..11 {
        service.put(0, count.to_string());
    }
    assert_eq!(take(&mut records, 1).await, ["0"]);
    tokio::time::sleep(PAST_RETENTION).await;
    service.trim(0, false);
    service.put(0, "new");
    records
}

#[tokio::test(start_paused = true)]
async fn records_that_expire_while_nobody_reads_end_the_reader_after_those_that_were_fetched() {
    let service = service(1);
    let mut records = left_alone(&service, OnTrimmed::Fail).await;
    assert_eq!(take(&mut records, 1).await, ["1"]);
    let error = records.next().await.unwrap().unwrap_err();
    assert!(matches!(error, GetError::Trimmed { .. }), "{error:?}");
    let told = error.to_string();
    assert!(told.contains("shardId-000000000000"), "{told}");
    assert!(told.contains("since 1970-01-01T00:16:"), "{told}");
    assert!(records.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_gap_while_running_is_counted_and_reading_goes_on_where_the_policy_says() {
    let service = service(1);
    let mut records = left_alone(&service, OnTrimmed::FromHorizon).await;
    assert_eq!(records.stats().gaps, 0);
    assert_eq!(take(&mut records, 2).await, ["1", "new"]);
    assert_eq!(records.stats().gaps, 1);
    service.put(0, "newer");
    assert_eq!(take(&mut records, 1).await, ["newer"]);

    let service = self::service(1);
    let mut records = left_alone(&service, OnTrimmed::Latest).await;
    // LATEST that is taken up again begins up to a minute earlier, for the sake of clocks.
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(take(&mut records, 1).await, ["1"]);
    // An iterator that expires before the first record is no new gap.
    service.fail("GetRecords", 0, "ExpiredIteratorException", 1);
    assert!(is_silent(&mut records).await);
    assert_eq!(records.stats().gaps, 1);
    service.put(0, "newer");
    assert_eq!(take(&mut records, 1).await, ["newer"]);
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_latest_cannot_be_read_is_read() {
    let service = service(1);
    let mut records = left_alone(&service, OnTrimmed::Latest).await;
    // LATEST that is taken up again begins up to a minute earlier, for the sake of clocks.
    tokio::time::sleep(Duration::from_mins(2)).await;
    service.fail(
        "GetRecords",
        0,
        "ProvisionedThroughputExceededException",
        40,
    );
    assert_eq!(take(&mut records, 1).await, ["1"]);
    assert!(
        tokio::time::timeout(Duration::from_secs(20), records.next())
            .await
            .is_err()
    );
    service.put(0, "meanwhile");
    service.fail("GetRecords", 0, "ExpiredIteratorException", 1);
    assert_eq!(take(&mut records, 1).await, ["meanwhile"]);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_quiet_for_longer_than_the_retention_has_no_gap() {
    let service = service(1);
    let mut records = reader(&service, OnTrimmed::Fail).open().await.unwrap();
    service.put(0, "1");
    take(&mut records, 1).await;
    let quiet = tokio::time::timeout(2 * PAST_RETENTION, records.next());
    assert!(quiet.await.is_err());
    service.trim(0, false);
    service.put(0, "2");
    assert_eq!(take(&mut records, 1).await, ["2"]);
    assert_eq!(records.stats().gaps, 0);
    assert!(service.calls_of("DescribeStreamSummary", 0).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_retains_records_for_longer_has_no_gap() {
    let service = service(1);
    service.state().retention = Some(7 * DAY);
    let mut records = reader(&service, OnTrimmed::Fail).open().await.unwrap();
    for count in 0..8 {
        service.put(0, count.to_string());
    }
    take(&mut records, 1).await;
    tokio::time::sleep(6 * DAY).await;
    assert_eq!(
        take(&mut records, 7).await,
        ["1", "2", "3", "4", "5", "6", "7"]
    );
    assert_eq!(service.calls_of("DescribeStreamSummary", 0).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_may_not_be_described_is_read_on() {
    let service = service(1);
    service.fail("DescribeStreamSummary", 0, "AccessDeniedException", 9);
    let mut records = left_alone(&service, OnTrimmed::Fail).await;
    assert_eq!(take(&mut records, 2).await, ["1", "new"]);
    assert_eq!(service.calls_of("DescribeStreamSummary", 0).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_begins_at_the_oldest_record_may_lose_the_race_with_the_retention() {
    let service = service(1);
    for count in 0..9 {
        service.put(0, count.to_string());
    }
    tokio::time::sleep(Duration::from_secs(24 * 3600 - 1)).await;
    let mut records = reader(&service, OnTrimmed::Fail).open().await.unwrap();
    assert_eq!(take(&mut records, 9).await.len(), 9);
    assert_eq!(records.stats().gaps, 0);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_is_slower_than_its_records_expire_is_told_though_its_iterators_are_good() {
    let service = service(1);
    for count in 0..99 {
        service.put(0, count.to_string());
    }
    tokio::time::sleep(Duration::from_mins(24 * 60 - 8)).await;
    let mut records = reader(&service, OnTrimmed::Fail).open().await.unwrap();
    let mut given = 0;
    let error = loop {
        tokio::time::sleep(Duration::from_mins(2)).await;
        match records.next().await.unwrap() {
            Ok(_) => given += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, GetError::Trimmed { .. }), "{error:?}");
    assert!((3..10).contains(&given), "{given}");
    assert_eq!(service.calls_of("GetShardIterator", 0).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_records_of_a_child_may_expire_while_its_parent_is_not_read_to_its_end() {
    for (policy, gaps) in [(OnTrimmed::Fail, None), (OnTrimmed::FromHorizon, Some(2))] {
        let service = service(1);
        let mut records = reader(&service, policy).open().await.unwrap();
        service.put(0, "parent");
        let [left, right] = service.split(0);
        service.put(left, "lost");
        tokio::time::sleep(PAST_RETENTION).await;
        service.trim(left, false);
        service.put(left, "left");
        service.put(right, "right");
        assert_eq!(take(&mut records, 1).await, ["parent"]);
        match gaps {
            None => {
                let error = records.next().await.unwrap().unwrap_err();
                assert!(matches!(error, GetError::Trimmed { .. }), "{error:?}");
            }
            Some(gaps) => {
                let mut texts = take(&mut records, 2).await;
                texts.sort();
                assert_eq!(texts, ["left", "right"]);
                assert_eq!(records.stats().gaps, gaps);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_child_of_a_shard_that_was_read_in_time_has_no_gap() {
    let service = service(1);
    let mut records = reader(&service, OnTrimmed::Fail).open().await.unwrap();
    service.put(0, "parent");
    take(&mut records, 1).await;
    // It is quiet, and polled, until it is split.
    let quiet = tokio::time::timeout(2 * PAST_RETENTION, records.next());
    assert!(quiet.await.is_err());
    let [left, _] = service.split(0);
    service.put(left, "child");
    assert_eq!(take(&mut records, 1).await, ["child"]);
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_though_the_stream_cannot_be_described_for_a_while() {
    for code in [
        "InternalFailure",
        "LimitExceededException",
        "ExpiredTokenException",
    ] {
        let service = service(1);
        service.fail("DescribeStreamSummary", 0, code, 25);
        let mut records = left_alone(&service, OnTrimmed::Fail).await;
        assert_eq!(take(&mut records, 1).await, ["1"]);
        let error = records.next().await.unwrap().unwrap_err();
        assert!(
            matches!(error, GetError::Trimmed { .. }),
            "{code} {error:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_cannot_be_described_for_longer_than_an_outage_ends_the_reader() {
    let service = service(1);
    service.fail("DescribeStreamSummary", 0, "InternalFailure", usize::MAX);
    let mut records = left_alone(&service, OnTrimmed::FromHorizon).await;
    assert_eq!(take(&mut records, 1).await, ["1"]);
    let error = records.next().await.unwrap().unwrap_err();
    assert!(error.is_retryable(), "{error:?}");
    let error = error.service_error().unwrap();
    assert_eq!(error.operation, "DescribeStreamSummary");
}
