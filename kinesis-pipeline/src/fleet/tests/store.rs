//! Tests of the checkpoint store as a reader uses it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            BeforeDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
        },
    },
    error::BoxError,
};

use super::database::{Database, after, failed, lease_error};
use crate::{
    CheckpointStore, LeaseError,
    fleet::row::{Item, number, text},
    get::conformance,
};

#[tokio::test]
async fn a_store_in_dynamodb_conforms() {
    let database = Database::start().await;
    conformance::check(&database.store()).await;
}

#[tokio::test]
async fn a_new_store_reads_what_an_earlier_one_wrote() {
    let database = Database::start().await;
    let rows = conformance::one_of_each();
    database
        .store()
        .save("app", "s", rows.clone())
        .await
        .unwrap();
    let mut again = database.store().load("app", "s").await.unwrap();
    again.sort_by(|a, b| a.shard_id.cmp(&b.shard_id));
    assert_eq!(again, rows);
}

#[tokio::test]
async fn of_two_writers_one_is_told_that_it_was_overtaken_and_the_row_is_the_others() {
    let database = Database::start().await;
    database
        .store()
        .save("app", "s", vec![after("a", 1)])
        .await
        .unwrap();
    for round in 1..20 {
        let (one, two) = (database.store(), database.store());
        one.load("app", "s").await.unwrap();
        two.load("app", "s").await.unwrap();
        let (row_one, row_two) = (after("a", 10 * round), after("a", 10 * round + 1));
        let (result_one, result_two) = tokio::join!(
            one.save("app", "s", vec![row_one.clone()]),
            two.save("app", "s", vec![row_two.clone()]),
        );
        let (winner, loser, row) = match result_one {
            Ok(()) => (one, (two, result_two), row_one),
            Err(_) => (two, (one, result_one), row_two),
        };
        let error = failed(loser.1);
        assert!(
            matches!(lease_error(&error), LeaseError::Overtaken { .. }),
            "{error}"
        );
        assert_eq!(database.store().load("app", "s").await.unwrap(), [row]);
        // The loser does not write to the row again until it has read it.
        failed(loser.0.save("app", "s", vec![after("a", 5)]).await);
        winner.save("app", "s", vec![after("a", 6)]).await.unwrap();
        loser.0.load("app", "s").await.unwrap();
        loser.0.save("app", "s", vec![after("a", 7)]).await.unwrap();
    }
}

#[tokio::test]
async fn a_row_that_appeared_since_loading_is_somebody_elses() {
    let database = Database::start().await;
    let (one, two) = (database.store(), database.store());
    one.load("app", "s").await.unwrap();
    two.load("app", "s").await.unwrap();
    one.save("app", "s", vec![after("a", 1)]).await.unwrap();
    let rows = vec![after("a", 2), after("b", 2)];
    let error = failed(two.save("app", "s", rows).await);
    assert!(
        matches!(lease_error(&error), LeaseError::Overtaken { shard } if shard.as_str() == "a"),
        "{error}"
    );
    let rows = database.store().load("app", "s").await.unwrap();
    assert!(rows.contains(&after("a", 1)) && rows.contains(&after("b", 2)));
}

#[tokio::test]
async fn a_second_stream_is_refused_and_nothing_is_written() {
    let database = Database::start().await;
    let store = database.store();
    store.save("app", "s", vec![after("a", 1)]).await.unwrap();
    for store in [store, database.store()] {
        assert_eq!(store.load("app", "other").await.unwrap(), []);
        let error = failed(store.save("app", "other", vec![after("b", 1)]).await);
        assert!(
            matches!(lease_error(&error), LeaseError::OtherStream { stream, .. } if stream == "s"),
            "{error}"
        );
        store
            .remove("app", "other", vec!["a".into()])
            .await
            .unwrap();
        assert_eq!(store.load("app", "s").await.unwrap(), [after("a", 1)]);
    }
}

#[tokio::test]
async fn two_applications_in_a_table_of_one_name_are_told_apart() {
    let database = Database::start().await;
    let store = database.store().table_name("leases");
    store.save("app", "s", vec![after("a", 1)]).await.unwrap();
    assert!(database.item("leases", "a").await.is_some());
    assert_eq!(store.load("other", "s").await.unwrap(), []);
    let error = failed(store.save("other", "s", vec![after("a", 1)]).await);
    assert!(
        matches!(lease_error(&error), LeaseError::OtherStream { app, .. } if app == "app"),
        "{error}"
    );
}

#[tokio::test]
async fn a_row_that_was_deleted_by_hand_is_created_again() {
    let database = Database::start().await;
    let store = database.store();
    store.save("app", "s", vec![after("a", 1)]).await.unwrap();
    let delete = database.client.delete_item().table_name("app");
    delete.key("leaseKey", text("a")).send().await.unwrap();
    store.save("app", "s", vec![after("a", 2)]).await.unwrap();
    assert_eq!(store.load("app", "s").await.unwrap(), [after("a", 2)]);
}

#[tokio::test]
async fn a_table_of_many_pages_is_read_to_its_end_and_other_kinds_of_rows_are_passed_over() {
    let database = Database::with_leases("app", Vec::new()).await;
    for chunk in (0..1_100_u32).collect::<Vec<_>>().chunks(100) {
        let puts = chunk.iter().map(|shard| {
            let mut item = Item::from([
                ("leaseKey".to_owned(), text(&format!("shardId-{shard:012}"))),
                ("leaseCounter".to_owned(), number(0)),
                ("checkpoint".to_owned(), text("TRIM_HORIZON")),
            ]);
            if shard % 11 == 0 {
                item.insert("entityType".to_owned(), text("STREAM"));
            }
            database.put("app", item)
        });
        futures_util::future::join_all(puts).await;
    }
    let rows = database.store().load("app", "s").await.unwrap();
    assert_eq!(rows.len(), 1_000);
}

/// An interceptor that counts the requests in flight.
#[derive(Clone, Debug, Default)]
struct InFlight {
    now: Arc<AtomicUsize>,
    max: Arc<AtomicUsize>,
}

impl Intercept for InFlight {
    fn name(&self) -> &'static str {
        "InFlight"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.max.fetch_max(now, Ordering::Relaxed);
        Ok(())
    }

    fn read_after_transmit(
        &self,
        _: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.now.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }
}

#[tokio::test]
async fn many_shards_are_saved_eight_at_a_time() {
    let (database, in_flight) = (Database::start().await, InFlight::default());
    let store = database.store_through(in_flight.clone());
    let rows = |number| {
        (0..100)
            .map(|shard| after(&shard.to_string(), number))
            .collect()
    };
    store.save("app", "s", rows(1)).await.unwrap();
    store.save("app", "s", rows(2)).await.unwrap();
    assert_eq!(in_flight.max.load(Ordering::Relaxed), 8);
    let loaded = database.store().load("app", "s").await.unwrap();
    assert_eq!(loaded.len(), 100);
    assert!(loaded.iter().all(|row| row.place == after("0", 2).place));
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_an_error_that_may_pass() {
    let config = Database::start().await.client.config().to_builder();
    // The server of this endpoint was stopped when `Database` was dropped, above.
    let config = config.retry_config(aws_sdk_dynamodb::config::retry::RetryConfig::disabled());
    let client = aws_sdk_dynamodb::Client::from_conf(config.build());
    let store = crate::DynamoDbCheckpoints::with_client(client).owner_expiry(Duration::ZERO);
    let error = failed(store.load("app", "s").await);
    assert!(error.is_retryable());
    let LeaseError::Service { operation, .. } = lease_error(&error) else {
        panic!("{error:?}");
    };
    assert_eq!(*operation, "Scan");
}
