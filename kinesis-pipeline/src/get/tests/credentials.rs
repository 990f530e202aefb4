//! A reader whose credentials fail for seconds.

use std::time::Duration;

use bytes::Bytes;

use super::{service::TestKinesis, take};
use crate::StartAt;

/// The session has expired for so many calls: with growing waits that is up to 12 seconds.
const CALLS: usize = 6;
const EXPIRED: &str = "ExpiredTokenException";

#[tokio::test(start_paused = true)]
async fn opening_waits_for_credentials_longer_than_for_a_connection() {
    for operation in ["ListShards", "GetShardIterator"] {
        let service = TestKinesis::new(1);
        service.put(0, "x");
        service.fail(operation, 0, EXPIRED, CALLS);
        let stream = service.stream::<Bytes>();
        let reader = stream.reader().start(StartAt::TrimHorizon);
        let begun = service.clock().instant();
        let mut records = reader.open().await.unwrap();
        assert_eq!(take(&mut records, 1).await, ["x"], "{operation}");
        let took = service.clock().instant() - begun;
        assert!(took > Duration::from_secs(5), "{operation}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_goes_on_after_its_credentials_are_renewed() {
    let service = TestKinesis::new(2);
    let mut records = service.stream::<Bytes>().iter_from_latest().await.unwrap();
    for operation in ["GetRecords", "ListShards", "GetShardIterator"] {
        service.fail(operation, 0, EXPIRED, 3 * CALLS);
    }
    service.put(0, "one");
    service.put(1, "two");
    let mut got = take(&mut records, 2).await;
    got.sort();
    assert_eq!(got, ["one", "two"]);
}
