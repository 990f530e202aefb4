//! Where a reader ends.

use std::time::Duration;

use bytes::Bytes;

use super::{rest, service::TestKinesis, take};
use crate::{StartAt, Until};

#[tokio::test(start_paused = true)]
async fn the_tip_is_what_was_in_the_stream_when_it_opened() {
    for hides in [false, true] {
        let service = TestKinesis::new(3);
        service.state().hides_behind_latest = hides;
        for count in 0..30_000 {
            service.put(count % 2, count.to_string());
        }
        let stream = service.stream::<Bytes>();
        let mut records = stream
            .reader()
            .start(StartAt::TrimHorizon)
            .until(Until::Tip)
            .open()
            .await
            .unwrap();
        let writer = tokio::spawn(async move {
            // More arrives all the time: the reader must not run after it.
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                service.put(0, "new");
            }
        });
        let texts = rest(&mut records).await;
        writer.abort();
        assert_eq!(texts.iter().filter(|text| *text != "new").count(), 30_000);
        assert!(records.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn until_a_time_ends_before_the_first_record_that_arrived_then() {
    let service = TestKinesis::new(2);
    service.put(0, "before");
    tokio::time::advance(Duration::from_secs(5)).await;
    let until = service.clock().now();
    service.put(0, "at");
    service.put(1, "at");
    let [left, _] = service.split(0);
    service.put(left, "child");
    let stream = service.stream::<Bytes>();
    let reader = || stream.reader().start(StartAt::TrimHorizon);
    let mut records = reader()
        .until(Until::Timestamp(until))
        .open()
        .await
        .unwrap();
    assert_eq!(rest(&mut records).await, ["before"]);

    let to_come = Until::Timestamp(until + Duration::from_mins(2));
    let mut records = reader().until(to_come).open().await.unwrap();
    let mut texts = take(&mut records, 4).await;
    texts.sort();
    assert_eq!(texts, ["at", "at", "before", "child"]);
    tokio::time::sleep(Duration::from_mins(1)).await;
    service.put(1, "in time");
    assert_eq!(take(&mut records, 1).await, ["in time"]);
    tokio::time::sleep(Duration::from_mins(2)).await;
    service.put(1, "too late");
    assert_eq!(rest(&mut records).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_reader_gives_out_what_was_fetched_and_fetches_no_more() {
    let service = TestKinesis::new(1);
    for count in 0..100 {
        service.put(0, count.to_string());
    }
    let mut records = service.stream::<Bytes>().iter_from_all().await.unwrap();
    take(&mut records, 1).await;
    let handle = records.stop_handle();
    tokio::spawn(async move { handle.stop() }).await.unwrap();
    service.put(0, "too late");
    assert_eq!(rest(&mut records).await.len(), 99);
    let calls = service.calls_of("GetRecords", 0).len();
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(service.calls_of("GetRecords", 0).len(), calls);
    assert!(records.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_reader_makes_no_more_calls() {
    let service = TestKinesis::new(1);
    let records = service.stream::<Bytes>().iter_from_all().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    drop(records);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let calls = service.calls_of("GetRecords", 0).len();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(service.calls_of("GetRecords", 0).len(), calls);
}
