//! Tests of answers that are lost after DynamoDB has carried out the call.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
};

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef,
        },
        retry::RetryConfig,
    },
    error::BoxError,
};

use super::database::{Database, after, failed, lease_error};
use crate::{CheckpointStore, DynamoDbCheckpoints, LeaseError, fleet::row::count};

/// An interceptor that loses the given number of answers: the write is carried out, but the client gets status 503. It
/// expects one call at a time.
#[derive(Clone, Debug, Default)]
struct Losing {
    left: Arc<AtomicUsize>,
    is_write: Arc<AtomicBool>,
}

impl Losing {
    fn next(&self, answers: usize) {
        self.left.store(answers, Ordering::Relaxed);
    }

    fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }
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
        let is_done = context.response().status().is_success();
        if is_done && self.is_write.load(Ordering::Relaxed) && self.left() > 0 {
            self.next(self.left() - 1);
            *context.response_mut().status_mut() = 503.try_into()?;
        }
        Ok(())
    }
}

/// Returns two stores that lose answers: with the SDK's own retries and without.
fn stores(database: &Database, losing: &Losing) -> [DynamoDbCheckpoints; 2] {
    let retrying = database.store_through(losing.clone());
    let config = retrying.client.config().to_builder();
    let config = config.retry_config(RetryConfig::disabled()).build();
    let once = DynamoDbCheckpoints::with_client(aws_sdk_dynamodb::Client::from_conf(config));
    [retrying, once]
}

async fn counter(database: &Database) -> Option<u64> {
    count(&database.item("app", "a").await?, "leaseCounter")
}

#[tokio::test]
async fn a_write_that_the_sdk_repeats_after_a_lost_answer_is_done_once() {
    let (database, losing) = (Database::start().await, Losing::default());
    let [store, _] = stores(&database, &losing);
    for (number, expected) in (1..4).zip(0..) {
        losing.next(1);
        let rows = vec![after("a", number)];
        store.save("app", "s", rows.clone()).await.unwrap();
        assert_eq!(losing.left(), 0);
        assert_eq!(counter(&database).await, Some(expected));
        assert_eq!(store.load("app", "s").await.unwrap(), rows);
    }
    losing.next(1);
    store.remove("app", "s", vec!["a".into()]).await.unwrap();
    assert_eq!((losing.left(), counter(&database).await), (0, None));
}

#[tokio::test]
async fn a_save_goes_on_from_one_whose_answer_never_came() {
    let (database, losing) = (Database::start().await, Losing::default());
    let [_, store] = stores(&database, &losing);
    for number in 1..4 {
        // Two saves arrive one after the other, and the answers to both are lost.
        for row in [after("a", 100 * number), after("a", 100 * number + 1)] {
            losing.next(1);
            let error = failed(store.save("app", "s", vec![row.clone()]).await);
            assert!(
                matches!(lease_error(&error), LeaseError::Service { .. }),
                "{error}"
            );
            assert!(error.is_retryable());
        }
        let row = after("a", 100 * number + 2);
        store.save("app", "s", vec![row.clone()]).await.unwrap();
        assert_eq!(database.store().load("app", "s").await.unwrap(), [row]);
    }
}

#[tokio::test]
async fn a_save_that_is_dropped_half_way_leaves_old_or_new_and_the_next_one_gets_through() {
    let database = Database::start().await;
    let store = database.store();
    let rows = |number| vec![after("a", number), after("b", number)];
    store.save("app", "s", rows(0)).await.unwrap();
    let mut number = 0;
    for polls in 1..40 {
        let older = number;
        number += 1;
        let mut save = store.save("app", "s", rows(number));
        for _ in 0..polls {
            let poll = poll_fn(|context| Poll::Ready(save.as_mut().poll(context)));
            if poll.await.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(save);
        for row in database.store().load("app", "s").await.unwrap() {
            let shard = row.shard_id.as_str();
            assert!(
                row == after(shard, older) || row == after(shard, number),
                "{row:?}"
            );
        }
        number += 1;
        store.save("app", "s", rows(number)).await.unwrap();
    }
    let mut loaded = database.store().load("app", "s").await.unwrap();
    loaded.sort_by(|a, b| a.shard_id.cmp(&b.shard_id));
    assert_eq!(loaded, rows(number));
}
