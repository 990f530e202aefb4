//! How often and how much a reader fetches.

use std::time::Duration;

use bytes::Bytes;

use super::{rest, service::TestKinesis, take};
use crate::{StartAt, Until};

#[tokio::test(start_paused = true)]
async fn an_idle_shard_is_polled_once_an_interval_and_a_record_comes_within_it() {
    let service = TestKinesis::new(1);
    let stream = service.stream::<Bytes>();
    let mut records = stream
        .reader()
        .poll_interval(Duration::from_secs(2))
        .open()
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let calls = service.calls_of("GetRecords", 0).len();
    assert!((29..=32).contains(&calls), "{calls}");
    let put_at = service.clock().instant();
    service.put(0, "x");
    take(&mut records, 1).await;
    assert!(service.clock().instant() - put_at <= Duration::from_millis(2_100));
}

#[tokio::test(start_paused = true)]
async fn a_quiet_shard_is_polled_seldom_and_a_record_comes_within_the_longest_interval() {
    let service = TestKinesis::new(1);
    let stream = service.stream::<Bytes>();
    let reader = stream.reader().poll_interval(Duration::from_secs(1));
    let reader = reader.poll_interval_max(Duration::from_secs(20));
    let mut records = reader.open().await.unwrap();
    tokio::time::sleep(Duration::from_mins(5)).await;
    let calls = service.calls_of("GetRecords", 0).len();
    // 5 at an interval of 1 s, 5 while it doubles, then one each 20 s: 300 without the longest interval.
    assert!((20..=27).contains(&calls), "{calls}");
    let put_at = service.clock().instant();
    service.put(0, "x");
    take(&mut records, 1).await;
    assert!(service.clock().instant() - put_at <= Duration::from_millis(20_100));

    // Awake again.
    let put_at = service.clock().instant();
    service.put(0, "y");
    take(&mut records, 1).await;
    assert!(service.clock().instant() - put_at <= Duration::from_millis(1_100));
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_read_within_five_calls_and_two_mebibytes_a_second() {
    let service = TestKinesis::new(1);
    for _ in 0..200 {
        service.put(0, "x".repeat(100 * 1024));
    }
    let stream = service.stream::<Bytes>();
    let start = service.clock().instant();
    let mut records = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip)
        .page_records_max(5)
        .open()
        .await
        .unwrap();
    assert_eq!(rest(&mut records).await.len(), 200);
    let took = service.clock().instant() - start;
    assert!(
        took >= Duration::from_secs(9) && took < Duration::from_secs(12),
        "{took:?}"
    );
    let calls = service.calls_of("GetRecords", 0);
    assert!(
        calls
            .windows(6)
            .all(|calls| calls[5] - calls[0] >= Duration::from_secs(1))
    );
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_does_not_take_holds_back_fetching() {
    let service = TestKinesis::new(1);
    for count in 0..100 {
        service.put(0, count.to_string());
    }
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .page_records_max(10);
    let mut records = reader.open().await.unwrap();
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(service.calls_of("GetRecords", 0).len(), 2);
    assert_eq!(take(&mut records, 100).await[99], "99");
}

#[tokio::test(start_paused = true)]
#[ignore = "takes long without optimization: see CONTRIBUTING.md"]
async fn a_thousand_shards_are_read_within_the_prefetch_budget() {
    let service = TestKinesis::new(1000);
    for shard in 0..1000 {
        for _ in 0..3 {
            service.put(shard, "x".repeat(400 * 1024));
        }
    }
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .prefetch_bytes_max(32 * 1024 * 1024);
    let mut records = reader.until(Until::Tip).open().await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let fetched = records.stats().data_bytes;
    assert!((16..=32).contains(&(fetched >> 20)), "{fetched}");
    assert_eq!(rest(&mut records).await.len(), 3000);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_shards_are_all_opened_at_once() {
    let service = TestKinesis::new(1000);
    for shard in 0..1000 {
        service.put(shard, "x");
    }
    let mut records = service.stream::<Bytes>().iter_from_all().await.unwrap();
    let all = tokio::time::timeout(Duration::from_millis(500), take(&mut records, 1000));
    assert_eq!(all.await.unwrap().len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_tiny_records_takes_as_long_as_the_pages_of_the_service() {
    let service = TestKinesis::new(2);
    for count in 0..100_000 {
        service.put(count % 2, "x");
    }
    for (ignores, most) in [(false, 1300), (true, 200)] {
        let reader = service
            .stream::<Bytes>()
            .reader()
            .start(StartAt::TrimHorizon);
        let reader = if ignores {
            reader.ignore_limits()
        } else {
            reader
        };
        let begun = service.clock().instant();
        let mut records = reader.until(Until::Tip).open().await.unwrap();
        let mut count = 0;
        while let Some(record) = records.next().await {
            record.unwrap();
            count += 1;
        }
        assert_eq!(count, 100_000);
        // Five pages of each shard, five a second.
        let millis = (service.clock().instant() - begun).as_millis();
        assert!(millis <= most, "{millis}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_shard_does_not_starve_the_others() {
    let service = TestKinesis::new(3);
    for count in 0..5_000 {
        service.put(0, count.to_string());
    }
    service.put(1, "one");
    service.put(2, "two");
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .page_records_max(100);
    let mut records = reader.open().await.unwrap();
    let first = take(&mut records, 302).await;
    assert!(first.contains(&"one".to_owned()) && first.contains(&"two".to_owned()));
}
