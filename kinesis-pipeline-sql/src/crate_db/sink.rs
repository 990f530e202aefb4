use std::{fmt, sync::Arc};

use kinesis_pipeline::{KinesisRecord, Record, ShardId, Worker, WorkerError, WorkerReport};
use serde::Serialize;

use super::{
    CrateDbProcessor, builder::CrateDbSinkBuilder, bulk::PartLimits, client::SqlClient,
    dialect::TableName, error::CrateDbError, positions::Positions,
};
use crate::row::Columns;

/// A sink that writes the rows of records to a table of CrateDB, and their positions to another.
///
/// The rows of a batch are stored first, then the shard's position in the table `kinesis_pipeline_checkpoint`. CrateDB
/// has no transactions: after a crash between the two the same rows are stored again. That changes nothing, because
/// each row has a key:
///
/// - [`append`](CrateDbSinkBuilder::append), the default: the key is the record's position, in the columns `shard_id`,
///   `sequence_number` and `sub_sequence_number`. An existing row stays. A table holds the records of one stream.
/// - [`upsert`](CrateDbSinkBuilder::upsert): you choose the key. A row is replaced only by a record with a later
///   position, which is kept in the column `kinesis_version`. So neither a repeated batch nor a worker that has lost
///   its lease brings an old row back. Positions of different shards compare by their sequence numbers: derive the
///   partition key from the key, so that all records of a key come in order.
///
/// At the start of a shard, the position in the table takes precedence over the lease's checkpoint. It is moved by
/// compare and set, and every worker that takes a lease claims it first: a previous worker that still works finds the
/// position claimed and drops the lease.
///
/// # Failures
///
/// Each row has its own result, and only failed rows are sent again. A row that is refused for good, because a value
/// does not fit its column, is a bad record for the fleet's [`ErrorPolicy`](kinesis_pipeline::ErrorPolicy): a policy
/// with dead letters makes it one, with the server's message; otherwise the shard waits. A database that does not
/// answer, or a table that lacks a column, fails no record: the shard waits, with warnings in the log, and
/// [`is_available`](Self::is_available) is false.
///
/// # Tried against
///
/// This sink was never run against a CrateDB server. Two things are tested: every statement with CrateDB's own grammar
/// (`cratedb-sqlparse`), and the sink with a stand-in of `/_sql` that was written from CrateDB's documentation. Try it
/// with your server before you rely on it.
///
/// # Examples
///
/// ```no_run
/// use kinesis_pipeline::{KinesisRecord, KinesisStream, MemoryLeases};
/// use kinesis_pipeline_sql::{crate_db::CrateDbSink, row::Columns};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, KinesisRecord)]
/// struct Reading {
///     #[kinesis(partition_key)]
///     device: String,
///     temperature: f64,
/// }
///
/// # async fn journey(stream: KinesisStream<Reading>) -> Result<(), Box<dyn std::error::Error>> {
/// let sink = CrateDbSink::builder("http://localhost:4200", "doc.readings")
///     .columns(Columns::of::<Reading>()?.key(["device"])?)
///     .upsert()
///     .create_table(true)
///     .build()?;
/// let worker = stream.worker("readings-to-cratedb").leases(MemoryLeases::new()).build()?;
/// sink.run(worker).await?;
/// # Ok(())
/// # }
/// ```
pub struct CrateDbSink<R> {
    pub(super) shared: Arc<Shared<R>>,
}

/// A test of a record: whether its row is to be deleted.
pub(super) type IsDelete<R> = dyn Fn(&Record<R>) -> bool + Send + Sync;

/// The parts that all processors of a sink share.
pub(super) struct Shared<R> {
    pub(super) client: SqlClient,
    pub(super) columns: Columns,
    /// Whether the mode is upsert, in which two more columns follow those of the rows.
    pub(super) is_upsert: bool,
    /// Whether positions with later tokens are claimed too.
    pub(super) is_sole: bool,
    pub(super) delete: Option<Box<IsDelete<R>>>,
    pub(super) statement: String,
    pub(super) probe: String,
    pub(super) limits: PartLimits,
    /// Statements that make the tables; none unless `create_table` is set.
    pub(super) create: Vec<String>,
    pub(super) positions: TableName,
    pub(super) positions_probe: String,
}

impl<R> Shared<R> {
    /// Returns the key in the mode upsert, as indexes of the columns.
    pub(super) fn upsert_key(&self) -> Option<&[usize]> {
        self.is_upsert.then(|| self.columns.key_indexes())
    }

    pub(super) fn is_delete(&self, record: &Record<R>) -> bool {
        self.delete
            .as_ref()
            .is_some_and(|is_delete| is_delete(record))
    }
}

/// The error of a sink's run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrateDbSinkError {
    /// The tables cannot be made, or lack columns.
    #[error("the tables are not ready")]
    Table(#[from] CrateDbError),
    /// The worker's concurrency is above 1, but a shard has one position.
    #[error("build the worker with a concurrency of 1: a shard has one position")]
    Concurrency,
    /// The worker has several streams. Their shards have the same ids, and positions are stored by shard.
    #[error(
        "build a worker for each stream, with an application of its own: a sink keeps positions of one stream"
    )]
    SeveralStreams,
    /// The worker ended.
    #[error("the worker ended")]
    Worker(#[from] WorkerError),
}

impl<R> CrateDbSink<R> {
    /// Returns a builder of a sink for a table (`table` or `schema.table`), through the node at this URL, as in
    /// `http://localhost:4200`.
    pub fn builder(url: impl Into<String>, table: impl Into<String>) -> CrateDbSinkBuilder<R> {
        CrateDbSinkBuilder::new(url.into(), table.into())
    }

    /// Whether the last call got an answer of the database, for health checks. True before the first call.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.shared.client.is_available()
    }

    /// Makes the tables if that was [asked for](CrateDbSinkBuilder::create_table), and checks that they have the
    /// columns. [`run`](Self::run) begins with it.
    ///
    /// # Errors
    /// [`CrateDbError`]: [`UnknownTable`](CrateDbError::UnknownTable) and
    /// [`UnknownColumn`](CrateDbError::UnknownColumn) name the absent part.
    pub async fn prepare(&self) -> Result<(), CrateDbError> {
        let shared = &self.shared;
        let probes = [&shared.probe, &shared.positions_probe];
        for statement in shared.create.iter().chain(probes) {
            shared.client.execute(statement, &[]).await?;
        }
        Ok(())
    }

    /// Returns a processor for a shard, for use with [`Worker::run`] in place of [`run`](Self::run): after
    /// [`prepare`](Self::prepare), with one processor per shard.
    #[must_use]
    pub fn processor(&self, app: &str, stream: &str, shard: &ShardId) -> CrateDbProcessor<R> {
        CrateDbProcessor {
            sink: self.shared.clone(),
            positions: Positions {
                client: self.shared.client.clone(),
                table: self.shared.positions.clone(),
                app: app.to_owned(),
                stream: stream.to_owned(),
            },
            shard: shard.clone(),
            held: None,
        }
    }
}

impl<R> CrateDbSink<R>
where
    R: KinesisRecord + Serialize + Send + Sync + 'static,
{
    /// Works until the worker is [stopped](kinesis_pipeline::WorkerHandle::stop).
    ///
    /// `worker.handle().run_until_stopped(sink.run(worker))` stops it at SIGTERM or Ctrl-C.
    ///
    /// Dropping the future has the effect of a crash: the next worker begins at the position in the table.
    ///
    /// # Errors
    /// [`CrateDbSinkError`].
    pub async fn run(&self, worker: Worker<R>) -> Result<WorkerReport, CrateDbSinkError> {
        if worker.concurrency() > 1 {
            return Err(CrateDbSinkError::Concurrency);
        }
        if worker.streams().len() > 1 {
            return Err(CrateDbSinkError::SeveralStreams);
        }
        self.prepare().await?;
        let (app, stream) = (worker.app().to_owned(), worker.stream().name().to_owned());
        let report = worker.run(|shard| self.processor(&app, &stream, shard));
        Ok(report.await?)
    }
}

impl<R> Clone for CrateDbSink<R> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
        }
    }
}

impl<R> fmt::Debug for CrateDbSink<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrateDbSink")
            .field("client", &self.shared.client)
            .field("statement", &self.shared.statement)
            .finish_non_exhaustive()
    }
}
