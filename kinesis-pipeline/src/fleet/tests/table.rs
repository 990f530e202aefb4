//! Tests of tables that are absent, being created, or no lease tables.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::FinalizerInterceptorContextMut,
    },
    error::BoxError,
    operation::describe_table::DescribeTableOutput,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        TableDescription, TableStatus,
    },
};

use super::{
    database::{Database, after, failed, lease_error},
    vectors,
};
use crate::{CheckpointStore, LeaseError};

#[tokio::test]
async fn an_absent_table_is_created_at_the_first_save_as_kcl_creates_it() {
    let database = Database::start().await;
    let store = database.store();
    assert_eq!(store.load("app", "s").await.unwrap(), []);
    let tables = database.client.list_tables().send().await.unwrap();
    assert_eq!(tables.table_names(), [""; 0], "loading creates nothing");

    store.save("app", "s", vec![after("a", 1)]).await.unwrap();
    let described = database.client.describe_table().table_name("app");
    let table = described.send().await.unwrap().table.unwrap();
    let theirs = vectors::request("create_table");
    let key = &theirs["KeySchema"][0];
    assert_eq!(table.key_schema().len(), 1);
    assert_eq!(table.key_schema()[0].attribute_name(), key["AttributeName"]);
    assert_eq!(table.key_schema()[0].key_type().as_str(), key["KeyType"]);
    let definition = &theirs["AttributeDefinitions"][0];
    let ours = &table.attribute_definitions()[0];
    assert_eq!(ours.attribute_type().as_str(), definition["AttributeType"]);
    let billing = table
        .billing_mode_summary()
        .unwrap()
        .billing_mode()
        .unwrap();
    assert_eq!(billing.as_str(), theirs["BillingMode"]);
}

#[tokio::test]
async fn a_table_that_is_not_to_be_created_must_be_there() {
    let database = Database::start().await;
    let store = database.store().create_table(false);
    let error = failed(store.load("app", "s").await);
    assert!(
        matches!(lease_error(&error), LeaseError::MissingTable),
        "{error}"
    );
    let error = failed(store.save("app", "s", vec![after("a", 1)]).await);
    assert!(
        matches!(lease_error(&error), LeaseError::MissingTable),
        "{error}"
    );
    database
        .store()
        .save("app", "s", vec![after("a", 1)])
        .await
        .unwrap();
    assert_eq!(store.load("app", "s").await.unwrap(), [after("a", 1)]);
    store.save("app", "s", vec![after("a", 2)]).await.unwrap();
}

#[tokio::test]
async fn a_table_that_was_deleted_is_created_again_by_the_save_after_the_one_that_failed() {
    let database = Database::start().await;
    let store = database.store();
    store.save("app", "s", vec![after("a", 1)]).await.unwrap();
    let delete = database.client.delete_table().table_name("app");
    delete.send().await.unwrap();
    let error = failed(store.save("app", "s", vec![after("a", 2)]).await);
    assert!(error.is_retryable());
    store.save("app", "s", vec![after("a", 2)]).await.unwrap();
    assert_eq!(
        database.store().load("app", "s").await.unwrap(),
        [after("a", 2)]
    );
}

#[tokio::test]
async fn a_table_with_another_key_is_refused() {
    let database = Database::start().await;
    let key = KeySchemaElement::builder()
        .attribute_name("id")
        .key_type(KeyType::Hash);
    let definition = AttributeDefinition::builder()
        .attribute_name("id")
        .attribute_type(ScalarAttributeType::N);
    let create = database.client.create_table().table_name("app");
    create
        .key_schema(key.build().unwrap())
        .attribute_definitions(definition.build().unwrap())
        .billing_mode(BillingMode::PayPerRequest)
        .send()
        .await
        .unwrap();
    let store = database.store();
    let rows = vec![after("a", 1)];
    let failure = failed(save_unread(&store, rows).await);
    let LeaseError::NotALeaseTable { key } = lease_error(&failure) else {
        panic!("{failure:?}");
    };
    assert_eq!(key, "`id` (N)");
}

/// Saves rows after a load that found no table.
async fn save_unread(
    store: &crate::DynamoDbCheckpoints,
    rows: Vec<crate::Checkpoint>,
) -> Result<(), crate::CheckpointError> {
    let now = crate::Clock::system().instant();
    store.cache.on_loaded("app", None, now);
    store.save("app", "s", rows).await
}

/// An interceptor that reports the table as being created, the given number of times.
#[derive(Debug)]
struct Creating(Arc<AtomicUsize>);

impl Intercept for Creating {
    fn name(&self) -> &'static str {
        "Creating"
    }

    fn modify_before_completion(
        &self,
        context: &mut FinalizerInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let Some(Ok(output)) = context.output_or_error_mut() else {
            return Ok(());
        };
        if let Some(described) = output.downcast_mut::<DescribeTableOutput>() {
            let left = self
                .0
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(1)
                });
            if left.is_ok() {
                described.table = Some(being_created(described.table.take()));
            }
        }
        Ok(())
    }
}

fn being_created(table: Option<TableDescription>) -> TableDescription {
    let mut table = table.unwrap();
    table.table_status = Some(TableStatus::Creating);
    table
}

#[tokio::test]
async fn a_table_that_is_being_created_is_waited_for() {
    let database = Database::with_leases("app", Vec::new()).await;
    let left = Arc::new(AtomicUsize::new(2));
    let store = database.store_through(Creating(left.clone()));
    save_unread(&store, vec![after("a", 1)]).await.unwrap();
    assert_eq!(left.load(Ordering::Relaxed), 0);
    assert_eq!(store.load("app", "s").await.unwrap(), [after("a", 1)]);
}
