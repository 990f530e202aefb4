//! Tests of calls that DynamoDB throttles.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextMut,
        },
    },
    error::BoxError,
};

use super::{
    database::{Database, after},
    led::KclFleet,
};
use crate::{
    CheckpointStore, DynamoDbCheckpoints, DynamoDbLeases, Lease, LeaseChange, LeaseCheckpoint,
    LeaseStore, LeaseStoreError, LeaseWrite, LeaseWritten, PendingCheckpoint,
};

/// DynamoDB's error codes for throttling: of a table, of an account, and of the control plane.
const CODES: [&str; 3] = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingException",
];

/// An interceptor that throttles the given number of calls before they are carried out. It expects one call at a time.
#[derive(Clone, Debug, Default)]
struct Throttling {
    code: Arc<Mutex<&'static str>>,
    left: Arc<AtomicUsize>,
    is_throttled: Arc<AtomicBool>,
    operations: Arc<Mutex<Vec<String>>>,
}

impl Throttling {
    fn next(&self, code: &'static str, calls: usize) {
        *self.code.lock().unwrap() = code;
        self.left.store(calls, Ordering::Relaxed);
    }

    fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }
}

impl Intercept for Throttling {
    fn name(&self) -> &'static str {
        "Throttling"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let is_throttled = self.left() > 0;
        self.is_throttled.store(is_throttled, Ordering::Relaxed);
        if is_throttled {
            self.left.fetch_sub(1, Ordering::Relaxed);
            let headers = context.request_mut().headers_mut();
            let target = headers.insert("x-amz-target", "DynamoDB_20120810.Throttled");
            self.operations.lock().unwrap().extend(target);
        }
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if self.is_throttled.load(Ordering::Relaxed) {
            let code = *self.code.lock().unwrap();
            let body = format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}"}}"#);
            *context.response_mut().status_mut() = 400.try_into()?;
            *context.response_mut().body_mut() = body.into();
        }
        Ok(())
    }
}

/// Returns all changes of a lease, in an order in which each is allowed.
fn changes() -> Vec<LeaseChange> {
    let pending = PendingCheckpoint::new(LeaseCheckpoint::ShardEnd, None);
    let end = LeaseChange::Checkpoint {
        to: LeaseCheckpoint::ShardEnd,
        children: vec!["c".into()],
    };
    vec![
        LeaseChange::Create,
        LeaseChange::Take("a".into()),
        LeaseChange::Renew,
        LeaseChange::Prepare(pending),
        end,
        LeaseChange::HandOver("b".into()),
        LeaseChange::FinishHandOver,
        LeaseChange::Evict,
        LeaseChange::Delete,
    ]
}

/// Makes each call of the store, and passes each result to `each`, which returns whether the call succeeded.
async fn call_all(
    store: &DynamoDbLeases,
    mut before: impl FnMut(),
    mut each: impl FnMut(Result<(), LeaseStoreError>) -> bool,
) {
    let worker = "a".into();
    let mut lease = Lease::new("s".into(), LeaseCheckpoint::TrimHorizon);
    for change in changes() {
        loop {
            before();
            let write = LeaseWrite::new(lease.clone(), change.clone());
            let written = store.write("app", write).await.map(|written| {
                let LeaseWritten::Done(done) = written else {
                    panic!("{change:?}: {written:?}");
                };
                lease = done;
            });
            if each(written) {
                break;
            }
        }
    }
    loop {
        before();
        if each(store.list("app").await.map(drop)) {
            break;
        }
    }
    loop {
        before();
        if each(store.assigned("app", &worker).await.map(drop)) {
            break;
        }
    }
    loop {
        before();
        if each(store.report("app", &worker).await.map(drop)) {
            break;
        }
    }
}

#[tokio::test]
async fn every_call_of_the_leases_that_is_throttled_is_made_again_by_the_client() {
    let database = KclFleet::start().await.database;
    let throttling = Throttling::default();
    let store = database.leases_through(throttling.clone(), 3);
    for code in CODES {
        let next = || throttling.next(code, 2);
        call_all(&store, next, |result| {
            assert_eq!(throttling.left(), 0, "{code}");
            result.unwrap();
            true
        })
        .await;
    }
    let mut operations = throttling.operations.lock().unwrap().clone();
    operations.sort();
    operations.dedup();
    let operations: Vec<_> = operations
        .iter()
        .filter_map(|o| o.rsplit('.').next())
        .collect();
    assert_eq!(
        operations,
        [
            "BatchGetItem",
            "DeleteItem",
            "PutItem",
            "Query",
            "Scan",
            "UpdateItem"
        ]
    );
}

#[tokio::test]
async fn a_call_of_the_leases_that_stays_throttled_may_be_made_again_by_the_worker() {
    let database = KclFleet::start().await.database;
    let throttling = Throttling::default();
    let store = database.leases_through(throttling.clone(), 1);
    for code in CODES {
        let mut is_throttled = false;
        let mut refused = 0;
        let next = || {
            is_throttled = !is_throttled;
            throttling.next(code, usize::from(is_throttled));
        };
        call_all(&store, next, |result| match result {
            Ok(()) => true,
            Err(error) => {
                assert!(error.is_retryable(), "{code}: {error}");
                refused += 1;
                false
            }
        })
        .await;
        assert_eq!(refused, changes().len() + 3, "{code}: each call once");
    }
}

#[tokio::test]
async fn every_call_of_the_checkpoints_that_is_throttled_is_made_again() {
    let (database, throttling) = (Database::start().await, Throttling::default());
    let store = DynamoDbCheckpoints::with_client(database.client_through(throttling.clone(), 3));
    for (code, number) in CODES.into_iter().zip(1..) {
        for row in [after("a", number), after("a", number + 10)] {
            throttling.next(code, 2);
            store.save("app", "s", vec![row.clone()]).await.unwrap();
            throttling.next(code, 2);
            assert_eq!(store.load("app", "s").await.unwrap(), [row]);
            assert_eq!(throttling.left(), 0, "{code}");
        }
        throttling.next(code, 2);
        store.remove("app", "s", vec!["a".into()]).await.unwrap();
        assert_eq!(throttling.left(), 0, "{code}");
    }
}
