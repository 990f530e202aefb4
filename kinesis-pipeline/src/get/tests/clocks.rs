//! A reader whose machine's clock differs from the service's.

use std::time::Duration;

use bytes::Bytes;

use super::{checkpoints::Store, rest, service::TestKinesis, take};
use crate::{CheckpointPlace, CheckpointStore as _, GetError, Reader, StartAt, Until};

/// Seconds that a clock is ahead of the service's.
const BORNE: [i64; 7] = [-60, -3, 0, 1, 3, 30, 60];

fn reader(service: &TestKinesis, seconds_ahead: i64, store: &Store) -> Reader<Bytes> {
    let stream = service.stream_of_clock::<Bytes>(seconds_ahead);
    stream.reader().checkpoints(store.clone(), "app")
}

#[tokio::test(start_paused = true)]
async fn what_follows_latest_is_read_after_a_restart_whatever_the_clock_says() {
    for seconds_ahead in BORNE {
        for pause in [0, 4, 400] {
            let (service, store) = (TestKinesis::new(1), Store::default());
            let records = reader(&service, seconds_ahead, &store)
                .open()
                .await
                .unwrap();
            service.put(0, "1");
            // A crash right after the first save, before a record was finished.
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(records);
            tokio::time::sleep(Duration::from_secs(pause)).await;
            service.put(0, "2");
            let rows = store.load("app", "test").await.unwrap();
            assert!(matches!(rows[0].place, CheckpointPlace::Timestamp(_)));
            let again = reader(&service, seconds_ahead, &store).until(Until::Tip);
            let texts = rest(&mut again.open().await.unwrap()).await;
            assert_eq!(
                texts,
                ["1", "2"],
                "{seconds_ahead} s ahead, {pause} s later"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_set_in_between_loses_nothing() {
    for (before, after) in [(30, -30), (-30, 30), (60, 0), (0, 60)] {
        let (service, store) = (TestKinesis::new(1), Store::default());
        let records = reader(&service, before, &store).open().await.unwrap();
        service.put(0, "1");
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(records);
        let mut records = reader(&service, after, &store).open().await.unwrap();
        assert_eq!(take(&mut records, 1).await, ["1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_of_an_earlier_version_whose_clock_was_ahead_is_no_error() {
    let (service, store) = (TestKinesis::new(1), Store::default());
    let ahead = service.clock().now() + Duration::from_secs(40);
    let row = crate::Checkpoint::new(
        "shardId-000000000000".into(),
        CheckpointPlace::Timestamp(ahead),
    );
    store.save("app", "test", vec![row]).await.unwrap();
    let mut records = reader(&service, 0, &store).open().await.unwrap();
    service.put(0, "1");
    assert_eq!(take(&mut records, 1).await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn reading_from_now_on_loses_nothing_whatever_the_clock_says() {
    for seconds_ahead in BORNE {
        let service = TestKinesis::new(2);
        let stream = service.stream_of_clock::<Bytes>(seconds_ahead);
        let now = stream.target.clock.now();
        let mut records = stream.iter_from_timestamp(now).await.unwrap();
        service.put(0, "1");
        assert_eq!(take(&mut records, 1).await, ["1"], "{seconds_ahead}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_holds_what_was_there_whatever_the_clock_says() {
    for seconds_ahead in BORNE {
        let service = TestKinesis::new(2);
        for count in 0..1000 {
            service.put(count % 2, count.to_string());
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        let stream = service.stream_of_clock::<Bytes>(seconds_ahead);
        let reader = || {
            let reader = stream.reader().start(StartAt::TrimHorizon);
            reader.page_records_max(100)
        };
        let mut records = reader().until(Until::Tip).open().await.unwrap();
        assert_eq!(rest(&mut records).await.len(), 1000, "{seconds_ahead}");

        let now = service.clock().now();
        let until = Until::Timestamp(now + Duration::from_secs(5));
        let mut records = reader().until(until).open().await.unwrap();
        // The service's clock decides, and it has not come so far.
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            service.put(0, "in time");
        }
        assert_eq!(rest(&mut records).await.len(), 1008, "{seconds_ahead}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_ahead_by_more_than_a_minute_is_named() {
    let service = TestKinesis::new(1);
    let stream = service.stream_of_clock::<Bytes>(600);
    let now = stream.target.clock.now();
    let timestamp = stream.iter_from_timestamp(now).await.unwrap_err();
    let latest = reader(&service, 600, &Store::default()).open().await;
    for error in [timestamp, latest.unwrap_err()] {
        let GetError::ClockSkew {
            ahead_min,
            ahead_max,
            ..
        } = &error
        else {
            panic!("{error:?}");
        };
        let ahead = Duration::from_mins(10);
        assert!((*ahead_min..=*ahead_max).contains(&ahead), "{error}");
        assert!(error.to_string().contains("512"), "{error}");
    }
    // Without a checkpoint, LATEST needs no time.
    let mut records = stream.iter_from_latest().await.unwrap();
    service.fail("GetRecords", 0, "ExpiredIteratorException", 1);
    service.put(0, "1");
    assert_eq!(take(&mut records, 1).await, ["1"]);
}
