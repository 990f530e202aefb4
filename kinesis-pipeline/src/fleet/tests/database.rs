//! An embedded DynamoDB with its client, and the requests that KCL sends.

use aws_credential_types::provider::ProvideCredentials;
use aws_sdk_dynamodb::{
    Client,
    config::{Builder, Intercept, retry::RetryConfig},
    types::{AttributeAction, AttributeValueUpdate, ExpectedAttributeValue},
};
use serde_json::Value;

use super::vectors;
use crate::{
    Checkpoint, CheckpointError, CheckpointPlace, Clock, DynamoDbCheckpoints, DynamoDbLeases,
    LeaseError, LocalKinesis,
    fleet::{
        row::{Item, number, text},
        table::LeaseTable,
    },
    local::LocalDynamoDb,
};

pub(super) struct Database {
    server: LocalDynamoDb,
    pub(super) client: Client,
}

impl Database {
    pub(super) async fn start() -> Self {
        let local = LocalKinesis::start().await.unwrap();
        let server = local.serve_dynamodb("127.0.0.1:0").await.unwrap();
        let client = Client::new(&server.sdk_config());
        Self { server, client }
    }

    pub(super) fn store(&self) -> DynamoDbCheckpoints {
        DynamoDbCheckpoints::with_client(self.client.clone())
    }

    /// Returns a store whose calls pass through this interceptor.
    pub(super) fn store_through(
        &self,
        interceptor: impl Intercept + 'static,
    ) -> DynamoDbCheckpoints {
        let config = Builder::from(&self.server.sdk_config()).interceptor(interceptor);
        DynamoDbCheckpoints::with_client(Client::from_conf(config.build()))
    }

    /// Returns a lease store whose calls pass through this interceptor, with this number of attempts for each.
    pub(super) fn leases_through(
        &self,
        interceptor: impl Intercept + 'static,
        tries: u32,
    ) -> DynamoDbLeases {
        DynamoDbLeases::with_client(self.client_through(interceptor, tries))
    }

    /// Returns a client whose calls pass through this interceptor, with this number of attempts for each, without
    /// pauses.
    pub(super) fn client_through(
        &self,
        interceptor: impl Intercept + 'static,
        tries: u32,
    ) -> Client {
        let retries = RetryConfig::standard().with_max_attempts(tries);
        let retries = retries.with_initial_backoff(std::time::Duration::ZERO);
        let config = Builder::from(&self.server.sdk_config()).interceptor(interceptor);
        Client::from_conf(config.retry_config(retries).build())
    }

    /// Returns a store whose calls are signed with credentials of this source.
    pub(super) fn store_signed_by(
        &self,
        source: impl ProvideCredentials + 'static,
    ) -> DynamoDbCheckpoints {
        let config = Builder::from(&self.server.sdk_config()).credentials_provider(source);
        DynamoDbCheckpoints::with_client(Client::from_conf(config.build()))
    }

    /// Starts a database with a lease table as KCL creates it, with these rows.
    pub(super) async fn with_leases(name: &str, rows: Vec<Item>) -> Self {
        let database = Self::start().await;
        let table = LeaseTable {
            client: &database.client,
            name,
        };
        table.ensure(true, &Clock::system()).await.unwrap();
        for row in rows {
            database.put(name, row).await;
        }
        database
    }

    pub(super) async fn put(&self, table: &str, item: Item) {
        let put = self.client.put_item().table_name(table);
        put.set_item(Some(item)).send().await.unwrap();
    }

    pub(super) async fn item(&self, table: &str, lease_key: &str) -> Option<Item> {
        let key = text(lease_key);
        let get = self.client.get_item().table_name(table);
        let get = get.key("leaseKey", key).consistent_read(true);
        get.send().await.unwrap().item
    }

    /// Sends a recorded update of KCL to this row, with other counters than the recorded ones.
    pub(super) async fn kcl_updates(&self, table: &str, lease_key: &str, name: &str, counter: u64) {
        let request = vectors::request(name);
        let mut update = self
            .client
            .update_item()
            .table_name(table)
            .key("leaseKey", text(lease_key));
        for (name, change) in request["AttributeUpdates"].as_object().unwrap() {
            let value = change.get("Value").map(vectors::value);
            let action = AttributeAction::from(change["Action"].as_str().unwrap());
            let value = match name.as_str() {
                "leaseCounter" if action == AttributeAction::Put => Some(number(counter + 1)),
                _ => value,
            };
            let change = AttributeValueUpdate::builder()
                .action(action)
                .set_value(value);
            update = update.attribute_updates(name, change.build());
        }
        for (name, condition) in request["Expected"].as_object().unwrap() {
            let expected = ExpectedAttributeValue::builder();
            let expected = match name.as_str() {
                "leaseCounter" => expected.value(number(counter)),
                // The recorded request is for another row.
                "leaseKey" => expected.value(text(lease_key)),
                _ => expected
                    .set_value(condition.get("Value").map(vectors::value))
                    .set_exists(condition.get("Exists").and_then(Value::as_bool)),
            };
            update = update.expected(name, expected.build());
        }
        update.send().await.unwrap();
    }
}

/// Returns the error of a call that must fail.
pub(super) fn failed<T: std::fmt::Debug>(result: Result<T, CheckpointError>) -> CheckpointError {
    let error = result.unwrap_err();
    assert!(error.place.contains("DynamoDB table"), "{error}");
    assert_eq!(error.is_retryable(), lease_error(&error).is_retryable());
    error
}

/// Returns the lease table's error that is the cause of this one.
pub(super) fn lease_error(error: &CheckpointError) -> &LeaseError {
    let source = std::error::Error::source(error).unwrap();
    source.downcast_ref().unwrap()
}

/// Returns a checkpoint behind this record.
pub(super) fn after(shard: &str, number: u128) -> Checkpoint {
    let place = CheckpointPlace::After {
        sequence_number: number.into(),
        sub_sequence_number: None,
    };
    Checkpoint::new(shard.into(), place)
}
