use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use aws_sdk_dynamodb::Client;
use futures_util::future::try_join_all;

use super::{assigned::find_assigned, report::Leaders};
use crate::{
    Clock, ConnectError,
    fleet::{
        LeaseError,
        expression::Expression,
        lease::{
            FleetLead, Lease, LeaseChange, LeaseFuture, LeaseStore, LeaseStoreError, LeaseWrite,
            LeaseWritten, WorkerId,
        },
        row::{decode, encode},
        table::LeaseTable,
        write::Outcome,
    },
    service::aws::ConnectOptions,
};

/// The number of rows for each segment of a parallel scan, by the row count of the last scan.
const SEGMENT_ROWS: usize = 1_000;
const SEGMENTS_MAX: u8 = 10;

/// Leases in DynamoDB, in the table of the Java Kinesis Client Library (KCL), with its attributes and its conditions.
/// The guide sets both [side by side](crate::guide::from_kcl).
///
/// The table has the application's name unless [`table_name`](Self::table_name) gives another. It is created if it is
/// absent, with on-demand billing. Rows that KCL 3.5 keeps in the same table for other purposes are left alone. Three
/// attributes are this library's own, and KCL leaves them alone: `kinesisPipelineOwner`, which marks an owner that
/// hands over when asked to, `kinesisPipelineBegunAt`, and `kinesisPipelineCurrent`, the time up to which the shard is
/// finished: it holds only while no KCL worker has moved the checkpoint or held the lease since. Cheap to clone; clones
/// are one store.
///
/// # Several streams
///
/// For a worker of [several streams](crate::WorkerBuilder::and_stream) the rows are those of KCL's multi-stream mode:
/// the key is `account:stream:creationEpoch:shardId` ([`StreamIdentifier`](crate::StreamIdentifier)), and the
/// attributes `streamName` and `shardId` are added. A table has rows of one kind: a worker that finds the other kind
/// ends with [`WorkerError::KeysOfOtherKind`](crate::WorkerError::KeysOfOtherKind), before it writes anything. One
/// table may have up to 1 million rows.
///
/// # Beside KCL 3
///
/// If a KCL 3 worker leads the fleet, it shares the leases out, and workers of this library follow it. They write their
/// row of metrics to the table that the leader reads: `<app>-WorkerMetricStats`, or from KCL 3.5 on the lease table
/// itself. They write the throughput of each lease with its renewals, as the leader balances by it. They take the
/// leases that it assigns to them. The attribute `kinesisPipelineWorker` in the metrics row is this library's own. In a
/// fleet without a leader, workers look for one each minute. A worker of this library never leads Java workers.
///
/// # Rights
///
/// On the table: `dynamodb:Scan`, `PutItem`, `UpdateItem` and `DeleteItem`, and `DescribeTable` and `CreateTable` if it
/// is to be created. Beside KCL 3 also `BatchGetItem` on the table, `Query` on its index `LeaseOwnerToLeaseKeyIndex`,
/// `BatchGetItem` on `<app>-CoordinatorState`, and `Scan`, `UpdateItem` and `DeleteItem` on `<app>-WorkerMetricStats`.
#[derive(Clone, Debug)]
pub struct DynamoDbLeases {
    client: Client,
    table_name: Option<Arc<str>>,
    creates_table: bool,
    /// The number of rows in the last scan.
    rows: Arc<AtomicUsize>,
    pub(super) leaders: Arc<Leaders>,
}

impl DynamoDbLeases {
    /// Makes a store on your own client. No call is made.
    #[must_use]
    pub fn with_client(client: Client) -> Self {
        Self {
            client,
            table_name: None,
            creates_table: true,
            rows: Arc::default(),
            leaders: Arc::default(),
        }
    }

    /// Makes a store on AWS: credentials, region and endpoint come from the environment, as for every AWS tool.
    ///
    /// # Errors
    /// [`ConnectError`]: there is no region, or there are no credentials.
    pub async fn connect() -> Result<Self, ConnectError> {
        Self::connect_with(ConnectOptions::new()).await
    }

    /// Makes a store on AWS with these options. An endpoint among them is that of DynamoDB.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_with(options: ConnectOptions) -> Result<Self, ConnectError> {
        let config = options.load().await?;
        Ok(Self::with_client(Client::new(&config)))
    }

    /// Sets the table's name. Default: the application's name, as in KCL.
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

    /// Checks that the application's table exists and is a lease table. Nothing is written or created.
    ///
    /// Needs the right `dynamodb:DescribeTable`. Waits up to 25 s for a table that is being created. Dropping the
    /// future changes nothing.
    ///
    /// # Errors
    /// [`LeaseError::InvalidTableName`], [`LeaseError::MissingTable`], [`LeaseError::NotALeaseTable`],
    /// [`LeaseError::NotActive`], or [`LeaseError::Service`].
    pub async fn check(&self, app: &str) -> Result<(), LeaseError> {
        self.table(app).ensure(false, &Clock::system()).await
    }

    pub(super) fn table<'a>(&'a self, app: &'a str) -> LeaseTable<'a> {
        LeaseTable {
            client: &self.client,
            name: self.table_name.as_deref().unwrap_or(app),
        }
    }

    async fn scan(&self, table: &LeaseTable<'_>) -> Result<Vec<Lease>, LeaseError> {
        let segments = segments_of(self.rows.load(Ordering::Relaxed));
        let scans = (0..segments).map(|segment| table.scan_segment(segment, segments));
        match try_join_all(scans).await {
            Ok(rows) => {
                let leases: Vec<_> = rows.into_iter().flatten().map(|row| row.lease).collect();
                self.rows.store(leases.len(), Ordering::Relaxed);
                Ok(leases)
            }
            Err(error) if error.says_not_found() && self.creates_table => Ok(Vec::new()),
            Err(error) if error.says_not_found() => Err(LeaseError::MissingTable),
            Err(error) => Err(error),
        }
    }

    /// Makes a write. Creates the table first if there is none.
    async fn write_or_create(
        &self,
        table: &LeaseTable<'_>,
        write: &LeaseWrite,
    ) -> Result<LeaseWritten, LeaseError> {
        match write_once(table, write).await {
            Err(error) if error.says_not_found() => {}
            written => return written,
        }
        table.ensure(self.creates_table, &Clock::system()).await?;
        write_once(table, write).await
    }
}

/// Returns the number of segments for a parallel scan of this many rows.
fn segments_of(rows: usize) -> u8 {
    let segments = u8::try_from(rows / SEGMENT_ROWS + 1);
    segments.map_or(SEGMENTS_MAX, |segments| segments.min(SEGMENTS_MAX))
}

async fn write_once(
    table: &LeaseTable<'_>,
    write: &LeaseWrite,
) -> Result<LeaseWritten, LeaseError> {
    let (seen, key) = (&write.seen, write.seen.shard_id.as_str());
    let outcome = match write.change {
        LeaseChange::Create => table.create_row(encode(seen)).await?,
        LeaseChange::Delete => table.delete_row(key, Expression::of(write)).await?,
        _ => table.update_row(key, Expression::of(write)).await?,
    };
    Ok(match outcome {
        Outcome::Done(None) => LeaseWritten::Done(write.changed(seen.clone())),
        Outcome::Done(Some(item)) => match decode(&item)? {
            Some(lease) => LeaseWritten::Done(lease),
            None => LeaseWritten::Done(write.changed(seen.clone())),
        },
        Outcome::Refused(item) => {
            let found = item.as_ref().map_or(Ok(None), decode)?;
            if write.was_done(found.as_ref()) {
                LeaseWritten::Done(found.unwrap_or_else(|| seen.clone()))
            } else {
                LeaseWritten::Refused(found)
            }
        }
    })
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
            let listed = self.scan(&table).await;
            listed.map_err(|error| failed(table.name, error))
        })
    }

    fn write<'a>(&'a self, app: &'a str, write: LeaseWrite) -> LeaseFuture<'a, LeaseWritten> {
        let table = self.table(app);
        Box::pin(async move {
            let written = self.write_or_create(&table, &write).await;
            written.map_err(|error| failed(table.name, error))
        })
    }

    fn report<'a>(&'a self, app: &'a str, worker: &'a WorkerId) -> LeaseFuture<'a, FleetLead> {
        let table = self.table(app);
        Box::pin(async move {
            let reported = self.report_to_leader(app, &table, worker).await;
            reported.map_err(|error| failed(table.name, error))
        })
    }

    fn assigned<'a>(&'a self, app: &'a str, worker: &'a WorkerId) -> LeaseFuture<'a, Vec<Lease>> {
        let table = self.table(app);
        Box::pin(async move {
            let found = match find_assigned(&table, worker).await {
                Ok(Some(found)) => Ok(found),
                Ok(None) => self.scan(&table).await.map(|mut leases| {
                    leases.retain(|lease| lease.owner.as_ref() == Some(worker));
                    leases
                }),
                Err(error) => Err(error),
            };
            found.map_err(|error| failed(table.name, error))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_added_for_each_thousand_rows_up_to_ten() {
        let segments = [0, 999, 1_000, 2_100, 9_999, 1_000_000].map(segments_of);
        assert_eq!(segments, [1, 1, 2, 3, 10, 10]);
    }
}
