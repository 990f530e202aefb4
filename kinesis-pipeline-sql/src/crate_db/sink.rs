use std::{fmt, sync::Arc};

use kinesis_pipeline::{KinesisRecord, Record, ShardId, Worker, WorkerError, WorkerReport};
use serde::Serialize;

use super::{
    CrateDbProcessor, builder::CrateDbSinkBuilder, bulk::PartLimits, client::SqlClient,
    dialect::TableName, error::CrateDbError, positions::Positions,
};
use crate::row::Columns;

/// Rows of records in a table of CrateDB, and the positions up to which they are there.
///
/// A batch's rows are stored first, then the shard's position is moved, in a table of its own
/// (`kinesis_pipeline_checkpoint`). CrateDB has no transactions: after a crash between the two the same rows are
/// stored again. That changes nothing, because each has a key:
///
/// - [`append`](CrateDbSinkBuilder::append), the default: the key is the record's position, in the columns `shard_id`,
///   `sequence_number` and `sub_sequence_number`. A row that is there stays. A table is for the records of one stream.
/// - [`upsert`](CrateDbSinkBuilder::upsert): the key is one of yours. A row is replaced only by a record with a later
///   position, which stands in the column `kinesis_version`; so neither a repeated batch nor a worker that has lost
///   its lease brings an old row back. Positions of different shards compare by their sequence numbers: let the key
///   decide the partition key, so that all records of a key come in order.
///
/// The position of the table wins over the lease's when a shard begins. It is moved by compare and set, and every
/// worker that takes a lease claims it first: the worker before it, if it still works, finds its position moved and
/// drops the lease.
///
/// # Failures
///
/// Each row has an answer of its own, and only those that failed are sent again. A row that is refused for good, by a
/// value that does not fit its column, is a bad record for the fleet's [`ErrorPolicy`](kinesis_pipeline::ErrorPolicy):
/// with one that puts dead letters it becomes one, with the server's words; else the shard waits for it. A database
/// that does not answer, or a table that lacks a column, fails no record: the shard waits, with warnings in the log,
/// and [`is_available`](Self::is_available) is false.
///
/// # Tried against
///
/// No CrateDB server could be run where this is developed. Tested are: every statement, by CrateDB's own grammar
/// (`cratedb-sqlparse`); and the sink, against a stand-in of `/_sql` that was written from CrateDB's documentation. Try
/// it with your server before you rely on it.
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
    /// Whether the mode is upsert: then two columns follow those of the rows.
    pub(super) is_upsert: bool,
    /// Whether positions are claimed from later leases, too.
    pub(super) is_sole: bool,
    pub(super) delete: Option<Box<IsDelete<R>>>,
    pub(super) statement: String,
    pub(super) probe: String,
    pub(super) limits: PartLimits,
    /// Statements that make the tables, if that is asked for.
    pub(super) create: Vec<String>,
    pub(super) positions: TableName,
    pub(super) positions_probe: String,
}

impl<R> Shared<R> {
    /// The key in the mode upsert, as indexes of the columns.
    pub(super) fn upsert_key(&self) -> Option<&[usize]> {
        self.is_upsert.then(|| self.columns.key_indexes())
    }

    pub(super) fn is_delete(&self, record: &Record<R>) -> bool {
        self.delete
            .as_ref()
            .is_some_and(|is_delete| is_delete(record))
    }
}

/// A worker that cannot run with a sink.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CrateDbSinkError {
    /// The tables cannot be made, or are not as they must be.
    #[error("the tables are not ready")]
    Table(#[from] CrateDbError),
    /// Several processors are to work on one shard; a shard has one position.
    #[error("build the worker with a concurrency of 1: a shard has one position")]
    Concurrency,
    /// The worker has several streams, whose shards have the same ids; a position is that of a shard.
    #[error(
        "build a worker for each stream, with an application of its own: a sink keeps positions of one stream"
    )]
    SeveralStreams,
    /// The worker ended.
    #[error("the worker ended")]
    Worker(#[from] WorkerError),
}

impl<R> CrateDbSink<R> {
    /// A builder of a sink for a table (`table` or `schema.table`), through the node at this URL, as in
    /// `http://localhost:4200`.
    pub fn builder(url: impl Into<String>, table: impl Into<String>) -> CrateDbSinkBuilder<R> {
        CrateDbSinkBuilder::new(url.into(), table.into())
    }

    /// Whether the last call came to the database and back: a signal for a health check. True before the first.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.shared.client.is_available()
    }

    /// Makes the tables if that was [asked for](CrateDbSinkBuilder::create_table), and checks that they have the
    /// columns. [`run`](Self::run) begins with it.
    ///
    /// # Errors
    /// [`CrateDbError`]: [`UnknownTable`](CrateDbError::UnknownTable) and
    /// [`UnknownColumn`](CrateDbError::UnknownColumn) tell what is absent.
    pub async fn prepare(&self) -> Result<(), CrateDbError> {
        let shared = &self.shared;
        let probes = [&shared.probe, &shared.positions_probe];
        for statement in shared.create.iter().chain(probes) {
            shared.client.execute(statement, &[]).await?;
        }
        Ok(())
    }

    /// A processor for a shard, for [`Worker::run`] with more around it: after [`prepare`](Self::prepare), with one
    /// processor per shard.
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
    /// Dropping the call is as if the machine went down: the worker that goes on begins at the table's position.
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
