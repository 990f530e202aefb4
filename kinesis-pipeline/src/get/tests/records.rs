//! What comes out of a reader.

use std::time::Duration;

use bytes::Bytes;

use super::{Good, service::TestKinesis, text};
use crate::{GetError, StartAt, Until};

#[tokio::test(start_paused = true)]
async fn a_record_tells_where_and_when_it_was_stored() {
    let service = TestKinesis::new(1);
    let number = service.put(0, "x");
    let at = service.clock().now();
    tokio::time::advance(Duration::from_secs(7)).await;
    let mut records = service.stream::<Bytes>().iter_from_all().await.unwrap();
    let record = records.next().await.unwrap().unwrap();
    assert_eq!(
        record.position().to_string(),
        format!("shardId-000000000000:{number}")
    );
    assert_eq!((record.arrived_at, &*record.partition_key), (at, "key-0"));
    assert_eq!(record.behind_latest, Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_is_one_error_item_and_the_next_follows() {
    let service = TestKinesis::new(1);
    for text in ["one", "bad", "two"] {
        service.put(0, text);
    }
    let stream = service.stream::<Good>();
    let mut records = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip)
        .open()
        .await
        .unwrap();
    assert_eq!(
        records.next().await.unwrap().unwrap().data,
        Good("one".into())
    );
    let error = records.next().await.unwrap().unwrap_err();
    assert!(!error.ends_the_stream());
    match error {
        GetError::Decode { raw, position, .. } => {
            assert_eq!((&*raw, position.sequence_number), (&b"bad"[..], 2.into()));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        records.next().await.unwrap().unwrap().data,
        Good("two".into())
    );
    assert!(records.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_next_loses_nothing() {
    let service = TestKinesis::new(1);
    let mut records = service.stream::<Bytes>().iter_from_latest().await.unwrap();
    for count in 0..20 {
        service.put(0, count.to_string());
        let wait = Duration::from_millis(173);
        while tokio::time::timeout(wait, records.next())
            .await
            .map_or(true, |item| {
                assert_eq!(text(item), count.to_string());
                false
            })
        {}
    }
}
