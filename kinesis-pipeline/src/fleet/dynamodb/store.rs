use std::{
    collections::HashMap,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        delete_item::DeleteItemError, put_item::PutItemError, update_item::UpdateItemError,
    },
    types::{
        ReturnValue, ReturnValuesOnConditionCheckFailure, error::ConditionalCheckFailedException,
    },
};
use futures_util::future::try_join_all;

use super::{
    expression::Expression,
    item::{decode, encode},
};
use crate::{
    Clock, ConnectError,
    fleet::{
        LeaseError,
        lease::{
            Lease, LeaseChange, LeaseFuture, LeaseStore, LeaseStoreError, LeaseWrite, LeaseWritten,
        },
        row::{Item, LEASE_KEY, text},
        table::LeaseTable,
    },
    service::aws::ConnectOptions,
};

/// A segment of a parallel scan for so many rows of the last one.
const SEGMENT_ROWS: usize = 1_000;
const SEGMENTS_MAX: usize = 10;
/// The most pages of one segment: together more than a stream retains shards.
const PAGES_MAX: usize = 1_000;

/// Leases in DynamoDB, in the very table that the Java Kinesis Client Library (KCL) uses: its attributes, its
/// conditions. The guide sets both [side by side](crate::guide::from_kcl).
///
/// The table has the application's name unless [`table_name`](Self::table_name) gives another. It is created on
/// demand, with on-demand billing. Rows that KCL 3.5 keeps in the same table for other purposes are left alone. Two
/// attributes are this library's own, and KCL leaves them alone: `kinesisPipelineOwner`, by which workers know that
/// the owner hands over when it is asked to, and `kinesisPipelineBegunAt`. Cheap to clone; clones are one store.
///
/// It needs the rights `dynamodb:Scan`, `PutItem`, `UpdateItem` and `DeleteItem` on the table, and `DescribeTable`
/// and `CreateTable` if it is to be created.
#[derive(Clone, Debug)]
pub struct DynamoDbLeases {
    client: Client,
    table_name: Option<Arc<str>>,
    creates_table: bool,
    /// How many rows the last scan found.
    rows: Arc<AtomicUsize>,
}

impl DynamoDbLeases {
    /// A store behind a client of yours. No call is made.
    #[must_use]
    pub fn with_client(client: Client) -> Self {
        Self {
            client,
            table_name: None,
            creates_table: true,
            rows: Arc::default(),
        }
    }

    /// A store on AWS: credentials, region and endpoint come from the environment, as for every AWS tool.
    ///
    /// # Errors
    /// [`ConnectError`]: there is no region, or there are no credentials.
    pub async fn connect() -> Result<Self, ConnectError> {
        Self::connect_with(ConnectOptions::new()).await
    }

    /// A store on AWS, reached as the options say; an endpoint among them is that of DynamoDB.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(options: ConnectOptions) -> Result<Self, ConnectError> {
        let config = options.load().await?;
        Ok(Self::with_client(Client::new(&config)))
    }

    /// The table's name. That of the application by default, as in KCL.
    #[must_use]
    pub fn table_name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.table_name = Some(name.into());
        self
    }

    /// Whether to create the table when it is absent. Yes by default.
    #[must_use]
    pub fn create_table(mut self, creates: bool) -> Self {
        self.creates_table = creates;
        self
    }

    fn table<'a>(&'a self, app: &'a str) -> &'a str {
        self.table_name.as_deref().unwrap_or(app)
    }

    async fn scan(&self, table: &str) -> Result<Vec<Lease>, LeaseError> {
        let segments = self.rows.load(Ordering::Relaxed) / SEGMENT_ROWS + 1;
        let segments = segments.min(SEGMENTS_MAX);
        let scans = (0..segments).map(|segment| self.scan_segment(table, segment, segments));
        match try_join_all(scans).await {
            Ok(leases) => {
                let leases = leases.concat();
                self.rows.store(leases.len(), Ordering::Relaxed);
                Ok(leases)
            }
            Err(error) if error.says_not_found() && self.creates_table => Ok(Vec::new()),
            Err(error) if error.says_not_found() => Err(LeaseError::MissingTable),
            Err(error) => Err(error),
        }
    }

    async fn scan_segment(
        &self,
        table: &str,
        segment: usize,
        segments: usize,
    ) -> Result<Vec<Lease>, LeaseError> {
        let of = |number| i32::try_from(number).unwrap_or(i32::MAX);
        let mut leases = Vec::new();
        let mut next = None;
        for _ in 0..PAGES_MAX {
            let scan = self.client.scan().table_name(table).consistent_read(true);
            let scan = match segments {
                1 => scan,
                _ => scan.segment(of(segment)).total_segments(of(segments)),
            };
            let page = scan.set_exclusive_start_key(next).send().await;
            let page = page.map_err(|error| LeaseError::of_call("Scan", error))?;
            for item in page.items.unwrap_or_default() {
                leases.extend(decode(&item)?);
            }
            next = page.last_evaluated_key;
            if next.is_none() {
                return Ok(leases);
            }
        }
        Err(LeaseError::TooLarge {
            rows_max: (PAGES_MAX * SEGMENT_ROWS) as u64,
        })
    }

    /// Makes a write, in a new table if there is none.
    async fn write_or_create(
        &self,
        table: &str,
        write: &LeaseWrite,
    ) -> Result<LeaseWritten, LeaseError> {
        match self.write_once(table, write).await {
            Err(error) if error.says_not_found() => {}
            written => return written,
        }
        let name = table;
        let table = LeaseTable {
            client: &self.client,
            name,
        };
        table.ensure(self.creates_table, &Clock::system()).await?;
        self.write_once(name, write).await
    }

    async fn write_once(
        &self,
        table: &str,
        write: &LeaseWrite,
    ) -> Result<LeaseWritten, LeaseError> {
        let found = match write.change {
            LeaseChange::Create => self.create(table, write).await?,
            LeaseChange::Delete => self.delete(table, write).await?,
            _ => self.update(table, write).await?,
        };
        Ok(match found {
            Answer::Done(Some(lease)) => LeaseWritten::Done(lease),
            Answer::Done(None) => LeaseWritten::Done(write.changed(write.seen.clone())),
            Answer::Refused(found) if write.was_done(found.as_ref()) => {
                LeaseWritten::Done(found.unwrap_or_else(|| write.seen.clone()))
            }
            Answer::Refused(found) => LeaseWritten::Refused(found),
        })
    }

    async fn create(&self, table: &str, write: &LeaseWrite) -> Result<Answer, LeaseError> {
        let put = self.client.put_item().table_name(table);
        let put = put
            .set_item(Some(encode(&write.seen)))
            .condition_expression(format!("attribute_not_exists({LEASE_KEY})"))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let answer = put.send().await.map(|_| None);
        answered("PutItem", answer, |error| match error {
            PutItemError::ConditionalCheckFailedException(refused) => Some(refused),
            _ => None,
        })
    }

    async fn update(&self, table: &str, write: &LeaseWrite) -> Result<Answer, LeaseError> {
        let expression = Expression::of(write);
        let update = self.client.update_item().table_name(table);
        let update = update
            .key(LEASE_KEY, text(write.seen.shard_id.as_str()))
            .condition_expression(expression.condition())
            .update_expression(expression.update())
            .set_expression_attribute_values(Some(expression.values))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let answer = update.send().await.map(|answer| answer.attributes);
        answered("UpdateItem", answer, |error| match error {
            UpdateItemError::ConditionalCheckFailedException(refused) => Some(refused),
            _ => None,
        })
    }

    async fn delete(&self, table: &str, write: &LeaseWrite) -> Result<Answer, LeaseError> {
        let expression = Expression::of(write);
        let delete = self.client.delete_item().table_name(table);
        let delete = delete
            .key(LEASE_KEY, text(write.seen.shard_id.as_str()))
            .condition_expression(expression.condition())
            .set_expression_attribute_values(Some(expression.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let answer = delete.send().await.map(|_| None);
        answered("DeleteItem", answer, |error| match error {
            DeleteItemError::ConditionalCheckFailedException(refused) => Some(refused),
            _ => None,
        })
    }
}

/// What DynamoDB answered to a conditional write.
enum Answer {
    Done(Option<Lease>),
    /// The row as it is, if there is one.
    Refused(Option<Lease>),
}

fn answered<E>(
    operation: &'static str,
    answer: Result<Option<Item>, SdkError<E>>,
    refused: impl Fn(&E) -> Option<&ConditionalCheckFailedException>,
) -> Result<Answer, LeaseError>
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
{
    let lease = |item: Option<&HashMap<_, _>>| item.map_or(Ok(None), decode);
    match answer {
        Ok(item) => Ok(Answer::Done(lease(item.as_ref())?)),
        Err(error) => match error.as_service_error().and_then(refused) {
            Some(refused) => Ok(Answer::Refused(lease(refused.item.as_ref())?)),
            None => Err(LeaseError::of_call(operation, error)),
        },
    }
}

fn failed(table: &str, error: LeaseError) -> LeaseStoreError {
    let is_retryable = error.is_retryable();
    let error = LeaseStoreError::new(format!("the DynamoDB table `{table}`"), error);
    if is_retryable {
        error
    } else {
        error.not_retryable()
    }
}

impl LeaseStore for DynamoDbLeases {
    fn list<'a>(&'a self, app: &'a str) -> LeaseFuture<'a, Vec<Lease>> {
        let table = self.table(app);
        Box::pin(async move {
            let listed = self.scan(table).await;
            listed.map_err(|error| failed(table, error))
        })
    }

    fn write<'a>(&'a self, app: &'a str, write: LeaseWrite) -> LeaseFuture<'a, LeaseWritten> {
        let table = self.table(app);
        Box::pin(async move {
            let written = self.write_or_create(table, &write).await;
            written.map_err(|error| failed(table, error))
        })
    }
}
