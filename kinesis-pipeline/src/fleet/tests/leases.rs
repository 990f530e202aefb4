//! Tests of the lease store on the embedded DynamoDB.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
        },
    },
    error::BoxError,
};

use super::{database::Database, vectors};
use crate::{
    DynamoDbLeases, Lease, LeaseChange, LeaseCheckpoint, LeaseStore, LeaseWrite, LeaseWritten,
    PendingCheckpoint, StreamIdentifier,
    fleet::{
        lease::{MultiStreamLeases, conformance},
        row::{Item, encode, text},
    },
};

fn lease(shard: &str) -> Lease {
    Lease::new(shard.into(), LeaseCheckpoint::TrimHorizon)
}

async fn done(store: &DynamoDbLeases, write: LeaseWrite) -> Lease {
    match store.write("app", write).await.unwrap() {
        LeaseWritten::Done(lease) => lease,
        refused @ LeaseWritten::Refused(_) => panic!("{refused:?}"),
    }
}

#[tokio::test]
async fn a_store_in_dynamodb_conforms() {
    let database = Database::start().await;
    conformance::check(&DynamoDbLeases::with_client(database.client.clone())).await;
}

#[tokio::test]
async fn leases_beside_rows_of_other_kinds_are_read_and_the_others_left_alone() {
    let database = Database::start().await;
    let store = DynamoDbLeases::with_client(database.client.clone());
    let created = done(&store, LeaseWrite::create(lease("s"))).await;
    let metrics = [
        ("leaseKey", "worker-1"),
        ("entityType", "WORKER_METRIC_STATS"),
    ];
    let metrics = metrics.map(|(name, value)| (name.to_owned(), text(value)));
    database.put("app", metrics.clone().into()).await;
    assert_eq!(store.list("app").await.unwrap(), [created]);
    let kept = database.item("app", "worker-1").await.unwrap();
    assert_eq!(kept, metrics.into());
}

/// The rows are about something else than leases: all kinds that KCL 3.5 keeps in the lease table, and an unknown one.
#[tokio::test]
async fn no_write_touches_a_row_of_another_kind() {
    let database = Database::start().await;
    let store = DynamoDbLeases::with_client(database.client.clone());
    done(&store, LeaseWrite::create(lease("first"))).await;
    let kinds = [
        "STREAM",
        "LEADER",
        "CLIENT_VERSION_MIGRATION",
        "TABLE_MIGRATION",
        "WORKER_METRIC_STATS",
        "SOMETHING_NEW",
    ];
    for kind in kinds {
        let row = [("leaseKey", "s"), ("entityType", kind), ("checkpoint", "?")];
        let row = row.map(|(name, value)| (name.to_owned(), text(value)));
        let row = Item::from(row);
        database.put("app", row.clone()).await;
        for change in [
            LeaseChange::Create,
            LeaseChange::Take("a".into()),
            LeaseChange::Renew,
            LeaseChange::Delete,
            LeaseChange::HandOver("b".into()),
        ] {
            let mut seen = lease("s");
            seen.owner = Some("a".into());
            let write = LeaseWrite::new(seen.clone(), change);
            // There is no lease with this key, so it counts as deleted.
            let expected = match write.change {
                LeaseChange::Delete => LeaseWritten::Done(seen),
                _ => LeaseWritten::Refused(None),
            };
            assert_eq!(store.write("app", write).await.unwrap(), expected, "{kind}");
        }
        assert_eq!(store.list("app").await.unwrap().len(), 1, "{kind}");
        assert_eq!(database.item("app", "s").await, Some(row), "{kind}");
    }
}

/// An interceptor that notes the segments of scans, each with the total number.
#[derive(Clone, Debug, Default)]
struct Segments(Arc<Mutex<Vec<(u64, u64)>>>);

impl Intercept for Segments {
    fn name(&self) -> &'static str {
        "Segments"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.request().body().bytes().ok_or("a body in memory")?;
        let body: serde_json::Value = serde_json::from_slice(body)?;
        let number = |name: &str| body[name].as_u64();
        let segment = number("Segment").unwrap_or(0);
        let of = number("TotalSegments").unwrap_or(1);
        self.0.lock().unwrap().push((segment, of));
        Ok(())
    }
}

#[tokio::test]
async fn a_large_table_is_scanned_in_segments_at_the_same_time_and_each_lease_found_once() {
    const ROWS: usize = 2_100;
    let database = Database::with_leases("app", Vec::new()).await;
    let ids: Vec<_> = (0..ROWS)
        .map(|number| format!("shardId-{number:012}"))
        .collect();
    for chunk in ids.chunks(100) {
        let puts = chunk
            .iter()
            .map(|id| database.put("app", encode(&lease(id))));
        futures_util::future::join_all(puts).await;
    }
    let segments = Segments::default();
    let store = database.leases_through(segments.clone(), 1);
    for expected in [vec![(0, 1)], vec![(0, 3), (1, 3), (2, 3)]] {
        segments.0.lock().unwrap().clear();
        let leases = store.list("app").await.unwrap();
        let mut found: Vec<_> = leases
            .iter()
            .map(|lease| lease.shard_id.to_string())
            .collect();
        found.sort();
        assert_eq!(found, ids);
        let mut scanned = segments.0.lock().unwrap().clone();
        scanned.sort_unstable();
        scanned.dedup();
        assert_eq!(scanned, expected);
    }
}

#[tokio::test]
async fn attributes_of_others_stay_as_they_are() {
    let database = Database::start().await;
    let store = DynamoDbLeases::with_client(database.client.clone());
    done(&store, LeaseWrite::create(lease("s"))).await;
    let mut item = database.item("app", "s").await.unwrap();
    item.insert("throughputKBps".to_owned(), text("7"));
    database.put("app", item).await;
    let taken = done(&store, LeaseWrite::take(lease("s"), "a".into())).await;
    done(
        &store,
        LeaseWrite::checkpoint(taken, LeaseCheckpoint::ShardEnd),
    )
    .await;
    let item = database.item("app", "s").await.unwrap();
    assert_eq!(item["throughputKBps"], text("7"));
}

#[tokio::test]
async fn the_time_of_a_lease_is_not_valid_after_kcl_has_moved_or_held_it() {
    let time = crate::clock::from_epoch_millis(9);
    for renewals in [1, 20] {
        let database = Database::start().await;
        let store = DynamoDbLeases::with_client(database.client.clone());
        let mut ours = lease("s");
        ours.current_at = Some(time);
        done(&store, LeaseWrite::create(ours.clone())).await;
        database.kcl_updates("app", "s", "take", 0).await;
        for counter in 1..=renewals {
            database.kcl_updates("app", "s", "renew", counter).await;
        }
        let current_at = async || store.list("app").await.unwrap().remove(0).current_at;
        assert_eq!(current_at().await, (renewals == 1).then_some(time));
        let checkpoint = database.kcl_updates("app", "s", "checkpoint", renewals + 1);
        checkpoint.await;
        assert_eq!(current_at().await, None);
        let item = database.item("app", "s").await.unwrap();
        assert!(item.contains_key("kinesisPipelineCurrent"), "it stays");
        let found = store.list("app").await.unwrap().remove(0);
        let taken = done(&store, LeaseWrite::take(found, "a".into())).await;
        assert_eq!(taken.current_at, None);
    }
}

#[tokio::test]
async fn a_reader_goes_on_with_the_time_of_the_worker_before_it() {
    let database = Database::start().await;
    let leases = DynamoDbLeases::with_client(database.client.clone());
    let time = crate::clock::from_epoch_millis(9);
    let created = done(&leases, LeaseWrite::create(lease("s"))).await;
    let to = LeaseCheckpoint::After {
        sequence_number: 7.into(),
        sub_sequence_number: 0,
    };
    let write = LeaseWrite::checkpoint(created, to).with_current_at(Some(time));
    done(&leases, write).await;
    let checkpoints = crate::CheckpointStore::load(&database.store(), "app", "s").await;
    let checkpoint = checkpoints.unwrap().remove(0);
    assert_eq!(checkpoint.current_at, Some(time));
}

#[tokio::test]
async fn every_row_that_kcl_wrote_is_read_and_can_be_taken() {
    for (moment, rows) in vectors::tables() {
        let count = rows.len();
        let database = Database::with_leases("app", rows).await;
        let store = DynamoDbLeases::with_client(database.client.clone());
        let leases = store.list("app").await.unwrap();
        assert!(leases.len() <= count, "{moment}");
        for lease in leases {
            assert!(lease.hash_key_range.is_some(), "{moment}: {lease:?}");
            let counter = lease.counter;
            let taken = done(&store, LeaseWrite::take(lease, "a".into())).await;
            assert_eq!(taken.counter, counter + 1, "{moment}");
        }
    }
}

/// An interceptor that loses the answer to each write: the write is carried out, but the client gets status 503. The
/// answer to the second attempt arrives.
#[derive(Clone, Debug, Default)]
struct Losing {
    is_write: Arc<AtomicBool>,
    was_lost: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
}

impl Intercept for Losing {
    fn name(&self) -> &'static str {
        "Losing"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target");
        let target = target.ok_or("every request has a target")?;
        let is_write = ["PutItem", "UpdateItem", "DeleteItem"]
            .iter()
            .any(|write| target.ends_with(write));
        self.is_write.store(is_write, Ordering::Relaxed);
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if !self.is_write.load(Ordering::Relaxed) {
            return Ok(());
        }
        let is_first = !self.was_lost.fetch_xor(true, Ordering::Relaxed);
        if is_first {
            assert!(context.response().status().is_success(), "it was done");
            self.count.fetch_add(1, Ordering::Relaxed);
            *context.response_mut().status_mut() = 503.try_into()?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn every_write_whose_answer_is_lost_counts_as_done() {
    let (database, losing) = (Database::start().await, Losing::default());
    let plain = DynamoDbLeases::with_client(database.client.clone());
    done(&plain, LeaseWrite::create(lease("first"))).await;
    let client = database.store_through(losing.clone()).client;
    let store = DynamoDbLeases::with_client(client);
    let both =
        async |seen: Lease, change: LeaseChange| done(&store, LeaseWrite::new(seen, change)).await;
    let pending = PendingCheckpoint::new(LeaseCheckpoint::ShardEnd, Some("state".into()));
    let end = LeaseChange::Checkpoint {
        to: LeaseCheckpoint::ShardEnd,
        children: vec!["c".into()],
    };
    let mut lease = both(lease("s"), LeaseChange::Create).await;
    for change in [
        LeaseChange::Take("a".into()),
        LeaseChange::Renew,
        LeaseChange::Prepare(pending),
        end,
        LeaseChange::HandOver("b".into()),
        LeaseChange::FinishHandOver,
        LeaseChange::Evict,
        LeaseChange::Delete,
    ] {
        lease = both(lease, change).await;
    }
    assert_eq!(losing.count.load(Ordering::Relaxed), 9);
    assert_eq!(plain.list("app").await.unwrap().len(), 1);
}

/// Returns KCL's rows after a split, in the form of its multi-stream mode: the stream is in the keys and in an
/// attribute, but not in the ids of parents and children.
fn multi_stream_rows(stream: &str) -> Vec<Item> {
    let mut tables = vectors::tables().into_iter();
    let (_, mut rows) = tables
        .find(|(name, _)| name == "2x_03_after_split")
        .unwrap();
    for row in &mut rows {
        let shard_id = row["leaseKey"].clone();
        let key = format!("{stream}:{}", shard_id.as_s().unwrap());
        row.insert("leaseKey".to_owned(), text(&key));
        row.insert("streamName".to_owned(), text(stream));
        row.insert("shardId".to_owned(), shard_id);
    }
    rows
}

#[tokio::test]
async fn rows_of_kcls_multi_stream_mode_are_read_and_written_as_it_does() {
    let stream = "123456789012:readings:1700000000";
    let rows = multi_stream_rows(stream);
    let database = Database::with_leases("app", rows.clone()).await;
    let table = DynamoDbLeases::with_client(database.client.clone());
    let leases = MultiStreamLeases(Arc::new(table));
    let listed = leases.list("app").await.unwrap();
    assert_eq!(listed.len(), rows.len());
    let relatives = listed.iter().flat_map(|lease| {
        let relatives = lease.parents.iter().chain(&lease.children);
        relatives.chain([&lease.shard_id])
    });
    let streams: Vec<_> = relatives
        .map(|key| StreamIdentifier::of_lease_key(key).unwrap().0.to_string())
        .collect();
    assert!(streams.len() > rows.len(), "some have parents or children");
    assert!(streams.iter().all(|name| name == stream), "{streams:?}");

    for lease in listed {
        let key = lease.shard_id.to_string();
        let before = database.item("app", &key).await.unwrap();
        let renewed = LeaseWrite::new(lease.clone(), LeaseChange::Renew);
        let renewed = leases.write("app", renewed).await.unwrap();
        let LeaseWritten::Done(renewed) = renewed else {
            panic!("{renewed:?}");
        };
        let mut after = database.item("app", &key).await.unwrap();
        after.insert("leaseCounter".to_owned(), before["leaseCounter"].clone());
        assert_eq!(after, before, "only the counter differs");
        // The row is deleted by hand, and made again by its holder.
        let delete = LeaseWrite::new(renewed.clone(), LeaseChange::Delete);
        leases.write("app", delete).await.unwrap();
        let created = LeaseWrite::create(renewed);
        leases.write("app", created).await.unwrap();
        let made = database.item("app", &key).await.unwrap();
        for name in ["streamName", "shardId", "parentShardId", "childShardIds"] {
            assert_eq!(made.get(name), before.get(name), "{name} of {key}");
        }
    }
}

#[tokio::test]
async fn a_table_of_several_streams_in_dynamodb_conforms() {
    let database = Database::start().await;
    let table = DynamoDbLeases::with_client(database.client.clone());
    conformance::check(&MultiStreamLeases(Arc::new(table))).await;
}
