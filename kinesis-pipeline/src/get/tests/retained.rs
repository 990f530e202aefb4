//! Checkpoints that are older than what the stream retains, with a service that moves such places silently.

use std::time::Duration;

use bytes::Bytes;

use super::{
    rest,
    service::TestKinesis,
    stores::{AnyStore, stores},
    take,
};
use crate::{CheckpointStore as _, GetError, OnTrimmed, Reader, StartAt, Until};

/// A little less than what the stream of these tests retains.
const WITHIN_RETENTION: Duration = Duration::from_hours(23);
const PAST_RETENTION: Duration = Duration::from_hours(25);
/// A virtual day of polling takes its time.
const POLL_INTERVAL: Duration = Duration::from_mins(1);

fn service() -> TestKinesis {
    let service = TestKinesis::new(1);
    service.state().moves_expired_places = true;
    service
}

fn reader(service: &TestKinesis, store: &AnyStore) -> Reader<Bytes> {
    let reader = service.stream::<Bytes>().reader();
    reader
        .checkpoints(store.clone(), "app")
        .poll_interval(POLL_INTERVAL)
}

/// Reads one record at once and goes away; the checkpoint has its time of arrival.
async fn read_one(service: &TestKinesis, store: &AnyStore) {
    let mut records = reader(service, store).open().await.unwrap();
    service.put(0, "1");
    take(&mut records, 1).await;
    records.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn records_that_expired_unread_are_noticed_though_the_service_says_nothing() {
    for store in stores() {
        let service = service();
        read_one(&service, &store).await;
        service.put(0, "2");
        tokio::time::advance(PAST_RETENTION).await;
        service.trim(0, false);
        service.put(0, "3");

        let error = reader(&service, &store).open().await.unwrap_err();
        assert!(matches!(error, GetError::Trimmed { .. }), "{error:?}");
        let told = error.to_string();
        assert!(told.contains("shardId-000000000000"), "{told}");
        assert!(told.contains("since 1970-01-01T00:16:40"), "{told}");

        let until_tip = |policy| {
            let reader = service.stream::<Bytes>().reader().on_trimmed(policy);
            reader.checkpoints(store.clone(), "app").until(Until::Tip)
        };
        let mut latest = until_tip(OnTrimmed::Latest).open().await.unwrap();
        assert_eq!(rest(&mut latest).await, Vec::<String>::new());
        assert_eq!(latest.stats().gaps, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn from_horizon_reads_what_is_left_and_counts_the_gap() {
    for store in stores() {
        let service = service();
        read_one(&service, &store).await;
        service.put(0, "2");
        tokio::time::advance(PAST_RETENTION).await;
        service.trim(0, false);
        service.put(0, "3");
        let reader = reader(&service, &store).on_trimmed(OnTrimmed::FromHorizon);
        let mut records = reader.until(Until::Tip).open().await.unwrap();
        assert_eq!(rest(&mut records).await, ["3"]);
        assert_eq!(records.stats().gaps, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_younger_checkpoint_stands_though_its_record_is_old() {
    for store in stores() {
        let service = service();
        read_one(&service, &store).await;
        service.put(0, "2");
        tokio::time::advance(WITHIN_RETENTION).await;
        let mut records = reader(&service, &store).open().await.unwrap();
        assert_eq!(take(&mut records, 1).await, ["2"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_shard_that_a_reader_stayed_at_the_tip_of_has_lost_nothing() {
    for store in stores() {
        let service = service();
        let tip = reader(&service, &store).poll_interval(Duration::from_mins(1));
        let mut records = tip.open().await.unwrap();
        service.put(0, "1");
        take(&mut records, 1).await;
        // The last record counts as finished once the next is asked for, and a reader that crashes tells nothing.
        let waits = tokio::time::timeout(2 * PAST_RETENTION, records.next());
        assert!(waits.await.is_err());
        drop(records);
        service.trim(0, false);
        tokio::time::advance(WITHIN_RETENTION).await;
        service.put(0, "2");
        let mut records = reader(&service, &store).open().await.unwrap();
        assert_eq!(take(&mut records, 1).await, ["2"]);
        assert_eq!(records.stats().gaps, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn when_a_shard_was_current_is_kept_over_readers_that_get_nothing() {
    for store in stores() {
        let service = service();
        read_one(&service, &store).await;
        let arrived_at = store.load("app", "test").await.unwrap()[0].arrived_at;
        assert!(arrived_at.is_some());
        let mut records = reader(&service, &store).open().await.unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        records.stop();
        assert_eq!(rest(&mut records).await, Vec::<String>::new());
        let row = store.load("app", "test").await.unwrap().remove(0);
        assert_eq!(row.arrived_at, arrived_at);
        assert!(row.current_at.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_may_not_describe_the_stream_goes_on() {
    for store in stores() {
        let service = service();
        read_one(&service, &store).await;
        tokio::time::advance(PAST_RETENTION).await;
        service.put(0, "2");
        service.fail("DescribeStreamSummary", 0, "AccessDeniedException", 2);
        let mut records = reader(&service, &store).open().await.unwrap();
        assert_eq!(take(&mut records, 1).await, ["2"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_shard_can_be_opened_again_after_a_quiet_day() {
    for store in stores() {
        for is_ever_read in [true, false] {
            let service = service();
            let app = format!("app-{is_ever_read}");
            let open = || {
                let reader = service.stream::<Bytes>().reader().start(StartAt::Latest);
                let reader = reader.poll_interval(POLL_INTERVAL);
                reader.checkpoints(store.clone(), app.clone()).open()
            };
            let mut records = open().await.unwrap();
            if is_ever_read {
                service.put(0, "1");
                take(&mut records, 1).await;
            }
            let waits = tokio::time::timeout(PAST_RETENTION, records.next());
            assert!(waits.await.is_err());
            records.close().await.unwrap();
            service.trim(0, false);
            service.put(0, "2");
            let mut records = open().await.unwrap();
            assert_eq!(take(&mut records, 1).await, ["2"]);
            assert_eq!(records.stats().gaps, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_records_of_children_that_expired_after_their_parent_was_finished_are_a_gap() {
    for store in stores() {
        let service = service();
        let open = || reader(&service, &store).require_ack();
        service.put(0, "parent");
        let mut records = open().start(StartAt::TrimHorizon).open().await.unwrap();
        records.next().await.unwrap().unwrap().ack();
        let children = service.split(0);
        for child in children {
            service.put(child, "lost");
        }
        assert_eq!(take(&mut records, 2).await, ["lost", "lost"]);
        records.close().await.unwrap();
        tokio::time::advance(PAST_RETENTION).await;
        for child in children {
            service.trim(child, false);
        }
        service.put(children[0], "new");
        let error = open().open().await.unwrap_err();
        assert!(matches!(error, GetError::Trimmed { .. }), "{error:?}");
        let from_horizon = open().on_trimmed(OnTrimmed::FromHorizon);
        let mut records = from_horizon.open().await.unwrap();
        assert_eq!(take(&mut records, 1).await, ["new"]);
        assert_eq!(records.stats().gaps, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_does_not_open_without_the_retention_while_the_stream_may_still_tell_it() {
    for store in stores() {
        let service = service();
        read_one(&service, &store).await;
        service.put(0, "2");
        tokio::time::advance(PAST_RETENTION).await;
        service.trim(0, false);
        service.fail("DescribeStreamSummary", 0, "InternalFailure", usize::MAX);
        let error = reader(&service, &store).open().await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        let error = error.service_error().unwrap();
        assert_eq!(error.operation, "DescribeStreamSummary");
    }
}

#[tokio::test(start_paused = true)]
async fn batches_that_find_nothing_keep_a_quiet_shard_from_counting_as_unread() {
    for store in stores() {
        for needs_ack in [false, true] {
            let service = service();
            let app = format!("batches-{needs_ack}");
            let batch = async || {
                let reader = service.stream::<Bytes>().reader().until(Until::Tip);
                let reader = reader.start(StartAt::TrimHorizon);
                let mut reader = reader.checkpoints(store.clone(), app.clone());
                if needs_ack {
                    reader = reader.require_ack();
                }
                let mut records = reader.open().await.unwrap();
                let mut texts = Vec::new();
                while let Some(record) = records.next().await {
                    let record = record.unwrap();
                    record.ack();
                    texts.push(super::text(Some(Ok(record))));
                }
                records.close().await.unwrap();
                texts
            };
            service.put(0, "1");
            tokio::time::advance(WITHIN_RETENTION).await;
            assert_eq!(batch().await, ["1"]);
            for _ in 0..3 {
                tokio::time::advance(WITHIN_RETENTION / 2).await;
                assert_eq!(batch().await, Vec::<String>::new());
            }
            service.trim(0, false);
            service.put(0, "2");
            tokio::time::advance(WITHIN_RETENTION).await;
            assert_eq!(batch().await, ["2"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_an_end_in_time_leaves_what_it_did_not_read_unread() {
    for store in stores() {
        let service = service();
        let until = service.clock().now() + Duration::from_secs(5);
        service.put(0, "1");
        tokio::time::advance(Duration::from_secs(10)).await;
        service.put(0, "2");
        let reader = || reader(&service, &store).start(StartAt::TrimHorizon);
        let mut records = reader()
            .until(Until::Timestamp(until))
            .open()
            .await
            .unwrap();
        assert_eq!(rest(&mut records).await, ["1"]);
        tokio::time::advance(PAST_RETENTION).await;
        service.trim(0, false);
        let error = reader().open().await.unwrap_err();
        assert!(matches!(error, GetError::Trimmed { .. }), "{error:?}");
    }
}
