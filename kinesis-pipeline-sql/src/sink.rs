use std::{fmt, sync::Arc, time::Duration};

use deadpool_postgres::{Pool, PoolError};
use kinesis_pipeline::{KinesisRecord, Worker, WorkerReport};
use serde::Serialize;

use crate::{
    Health, SqlError, SqlProcessor,
    health::Pulse,
    postgres::{
        ConnectOptions, Described, Fault, PositionLayout, PositionTable, Writer, connect, create,
        create_positions, describe, fault_of,
    },
    processor::Shared,
    row::Columns,
    table::{Mode, Statements, TableName, checked},
};

const CONNECTIONS_MAX: usize = 16;
const TRANSACTION_MAX: Duration = Duration::from_mins(5);
/// The first pause before another try to open the database; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);

pub(crate) type Deletes<R> = Arc<dyn Fn(&R) -> bool + Send + Sync>;

/// A sink that writes a stream to a table of Postgres with a fleet of workers, each record exactly once.
///
/// The rows of a batch and the position behind them are written in one transaction. The position is moved by compare
/// and set: a worker that has lost its shard without knowing it writes nothing. Reading begins at the position in the
/// table `kinesis_pipeline_checkpoint`, not at the lease's checkpoint, which follows later.
///
/// The worker's settings [`batch_records_max`](kinesis_pipeline::WorkerBuilder::batch_records_max) and
/// [`batch_wait_max`](kinesis_pipeline::WorkerBuilder::batch_wait_max) set the size of a batch. Ten thousand records
/// and one second are a good start.
///
/// A record that does not fit its table is handled alone, by the worker's
/// [`ErrorPolicy`](kinesis_pipeline::ErrorPolicy); the others of its batch are written. While the database is down,
/// batches are retried without end, with pauses of up to 30 s; [`Health`] shows it.
///
/// ```no_run
/// use kinesis_pipeline::{KinesisRecord, KinesisStream, LocalKinesis, MemoryLeases, StartAt};
/// use kinesis_pipeline_sql::{SqlSink, row::Columns};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, KinesisRecord)]
/// struct Reading {
///     #[kinesis(partition_key)]
///     device: String,
///     temperature: f64,
///     humidity: f64,
/// }
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<Reading> = LocalKinesis::start().await?.stream("readings", 1).await?;
/// let worker = stream.worker("to-postgres").leases(MemoryLeases::new()).start(StartAt::TrimHorizon);
/// let worker = worker.batch_records_max(10_000).build()?;
///
/// let sink = SqlSink::postgres("postgres://postgres@localhost/test").table("readings");
/// let sink = sink.columns(Columns::of::<Reading>()?.with_position()).create_table();
/// sink.run(worker).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a sink does nothing until it runs"]
pub struct SqlSink<R> {
    connect: ConnectOptions,
    schema: Option<String>,
    table: Option<String>,
    columns: Option<Columns>,
    creates: bool,
    mode: Mode,
    deletes: Option<Deletes<R>>,
    positions: PositionLayout,
    transaction_max: Duration,
    start_wait_max: Option<Duration>,
    is_sole: bool,
}

impl<R> SqlSink<R> {
    /// Makes a sink in the Postgres database at this URL, or with these `key=value` settings. Its `sslmode` decides
    /// about TLS.
    ///
    /// With TLS the server's certificate is checked, against the authorities of the system or those of the file that
    /// `SSL_CERT_FILE` names.
    ///
    /// `PgBouncer` may stand between, in its transaction mode: no setting and no prepared statement outlives a
    /// transaction. Only its version 1.18 was tested. There a `COPY` that the database refuses leaves the connection
    /// without answers, so a refused row holds its shard up until it is removed by hand. Version 1.22.1 fixes errors of
    /// `COPY`, and was not tested.
    pub fn postgres(url: impl Into<String>) -> Self {
        Self {
            connect: ConnectOptions {
                url: url.into(),
                connections_max: CONNECTIONS_MAX,
            },
            schema: None,
            table: None,
            columns: None,
            creates: false,
            mode: Mode::Append,
            deletes: None,
            positions: PositionLayout::Own,
            transaction_max: TRANSACTION_MAX,
            start_wait_max: None,
            is_sole: false,
        }
    }

    /// Sets the table's name, at most 63 bytes. Required. A dot in it is part of the name: see [`schema`](Self::schema).
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = Some(name.into());
        self
    }

    /// Sets the table's schema. The first one of the connection's `search_path` by default.
    pub fn schema(mut self, name: impl Into<String>) -> Self {
        self.schema = Some(name.into());
        self
    }

    /// Sets the columns and the sources of their values. By default all columns of the table, each from the record's
    /// field of the same name. The types of the table take precedence over the types given here.
    pub fn columns(mut self, columns: Columns) -> Self {
        self.columns = Some(columns);
        self
    }

    /// Makes the table if it is absent, with the [`columns`](Self::columns) and their key. An existing table is not
    /// changed.
    pub fn create_table(mut self) -> Self {
        self.creates = true;
        self
    }

    /// Writes each record as a row of its own. The default, and the fastest: records are copied directly into the
    /// table.
    pub fn append(mut self) -> Self {
        self.mode = Mode::Append;
        self
    }

    /// Keeps one row for each key: that of its last record. The table needs a unique index on the key's columns, see
    /// [`Columns::key`].
    pub fn upsert(mut self) -> Self {
        self.mode = Mode::Upsert;
        self
    }

    /// Keeps one row for each key: that of its first record. This drops records that were put twice. The table needs a
    /// unique index on the key's columns, see [`Columns::key`].
    pub fn keep_first(mut self) -> Self {
        self.mode = Mode::KeepFirst;
        self
    }

    /// Sets which records delete the row of their key, in the mode [`upsert`](Self::upsert).
    pub fn delete_when(mut self, deletes: impl Fn(&R) -> bool + Send + Sync + 'static) -> Self {
        self.deletes = Some(Arc::new(deletes));
        self
    }

    /// Keeps the positions in the table `triton_checkpoint`, in the columns of Triton: `client` is the application's
    /// name. It is made, and the columns that it lacks are added, at the start. By default the positions are in
    /// `kinesis_pipeline_checkpoint`.
    ///
    /// The sink continues where a Triton client or a reader with [`PostgresCheckpoints`](crate::PostgresCheckpoints)
    /// stopped, and they continue where the sink stopped. With `TRIM_HORIZON`, the word before the first record,
    /// reading begins at the lease's checkpoint; any other word in place of a number is a
    /// [`SqlError::PositionUnreadable`]. For aggregates see that type.
    pub fn triton_positions(mut self) -> Self {
        self.positions = PositionLayout::Triton;
        self
    }

    /// Sets how many connections are open at most, at least one; the shards of a worker share them. 16 by default.
    pub fn connections_max(mut self, connections: usize) -> Self {
        self.connect.connections_max = connections.max(1);
        self
    }

    /// Sets the longest time of a transaction; after it the transaction is given up and retried. 5 min by default.
    pub fn transaction_max(mut self, time: Duration) -> Self {
        self.transaction_max = time;
        self
    }

    /// Declares that no other worker of the application works while this one does. The worker then takes over a
    /// position with any fencing token and keeps that token, so that a fleet can continue afterwards. For leases whose
    /// tokens begin anew at each start, such as [`MemoryLeases`](kinesis_pipeline::MemoryLeases). If another worker
    /// does work, no row is doubled: the two take the position from each other.
    pub fn sole_worker(mut self) -> Self {
        self.is_sole = true;
        self
    }

    /// Sets how long a start waits for a database that is down, before it fails with the database's last error. Without
    /// limit by default. Once the tables were found, there is never a limit.
    pub fn start_wait_max(mut self, time: Duration) -> Self {
        self.start_wait_max = Some(time);
        self
    }
}

impl<R> SqlSink<R>
where
    R: KinesisRecord + Serialize + Send + Sync + 'static,
{
    /// Writes the records that the worker reads until the worker is stopped.
    ///
    /// `worker.handle().run_until_stopped(sink.run(worker))` stops it at SIGTERM or Ctrl-C.
    ///
    /// # Errors
    /// [`SqlError`]: errors of the settings and the table before any record is read, later only errors of the worker.
    pub async fn run(self, worker: Worker<R>) -> Result<WorkerReport, SqlError> {
        let open = self.open(&worker).await?;
        let run = worker.run(move |_| open.processor()).await;
        run.map_err(SqlError::of_worker)
    }

    /// Opens the database for this worker, for use with [`Worker::run_until`] and the like. Waits while the database is
    /// down, for at most [`start_wait_max`](Self::start_wait_max).
    ///
    /// # Errors
    /// [`SqlError`]: errors of the settings and the table.
    pub async fn open(self, worker: &Worker<R>) -> Result<OpenSink<R>, SqlError> {
        let lanes = worker.concurrency();
        if lanes != 1 {
            return Err(SqlError::Lanes { lanes });
        }
        let streams = worker.streams().len();
        if streams > 1 {
            return Err(SqlError::SeveralStreams { streams });
        }
        let mut table = TableName::new(self.table.clone().ok_or(SqlError::TableUnset)?)?;
        if let Some(schema) = self.schema.clone() {
            table = table.in_schema(schema)?;
        }
        self.check()?;
        let pool = connect(&self.connect)?;
        let pulse = Pulse::new();
        let (described, positions) = self.prepare(&pool, &table, &pulse).await?;
        let statements = Statements::new(&table, &described.columns, self.mode);
        Ok(OpenSink {
            shared: Arc::new(Shared {
                app: worker.app().to_owned(),
                stream: worker.stream().name().to_owned(),
                described,
                is_staged: self.mode != Mode::Append,
                is_sole: self.is_sole,
                deletes: self.deletes,
                writer: Writer {
                    pool,
                    statements,
                    positions,
                    transaction_max: self.transaction_max,
                },
                pulse,
            }),
        })
    }

    fn check(&self) -> Result<(), SqlError> {
        if let Some(columns) = &self.columns {
            columns.check()?;
            for column in columns {
                checked(column.name().to_owned())?;
            }
        }
        let has_key = self
            .columns
            .as_ref()
            .is_some_and(|columns| !columns.key_indexes().is_empty());
        match self.mode {
            _ if self.creates && self.columns.is_none() => Err(SqlError::ColumnsUnset),
            Mode::Upsert | Mode::KeepFirst if !has_key => Err(SqlError::NoKey),
            Mode::Append | Mode::KeepFirst if self.deletes.is_some() => {
                Err(SqlError::DeletesWithoutUpsert)
            }
            _ => Ok(()),
        }
    }

    /// Makes and describes the tables. Retries while the database is down, for at most `start_wait_max`.
    async fn prepare(
        &self,
        pool: &Pool,
        table: &TableName,
        pulse: &Pulse,
    ) -> Result<(Described, PositionTable), SqlError> {
        let mut last = None;
        let preparing = self.prepare_at_last(pool, table, pulse, &mut last);
        let Some(time) = self.start_wait_max else {
            return preparing.await;
        };
        if let Ok(prepared) = tokio::time::timeout(time, preparing).await {
            return prepared;
        }
        let no_answer = || {
            let seconds = time.as_secs_f64();
            SqlError::database("connect", format!("no answer came within {seconds} s"))
        };
        Err(last.unwrap_or_else(no_answer))
    }

    /// Makes and describes the tables. Retries while the database is down, without a limit; `last` keeps the last
    /// error.
    async fn prepare_at_last(
        &self,
        pool: &Pool,
        table: &TableName,
        pulse: &Pulse,
        last: &mut Option<SqlError>,
    ) -> Result<(Described, PositionTable), SqlError> {
        let mut pause = PAUSE_MIN;
        loop {
            let error = match self.try_prepare(pool, table).await {
                Ok(prepared) => {
                    pulse.up();
                    return Ok(prepared);
                }
                Err(error) if is_passing(&error) => error,
                Err(error) => return Err(error),
            };
            warn_of_absence(&error);
            pulse.down(&error.to_string());
            *last = Some(error);
            tokio::time::sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn try_prepare(
        &self,
        pool: &Pool,
        table: &TableName,
    ) -> Result<(Described, PositionTable), SqlError> {
        let failed = |error| SqlError::database("make the tables", error);
        let mut client = pool
            .get()
            .await
            .map_err(|error| SqlError::database("connect", error))?;
        let client: &mut tokio_postgres::Client = &mut client;
        let transaction = client.transaction().await.map_err(failed)?;
        let created = self.columns.as_ref().filter(|_| self.creates);
        create(&transaction, table, created).await.map_err(failed)?;
        let positions = create_positions(&transaction, self.positions).await?;
        let described = describe(&transaction, table, self.columns.as_ref()).await?;
        transaction.commit().await.map_err(failed)?;
        Ok((described, positions))
    }
}

/// Whether an error of the database passes by itself.
fn is_passing(error: &SqlError) -> bool {
    let SqlError::Database { source, .. } = error else {
        return false;
    };
    let of_postgres = |error| fault_of(error) == Fault::Passing;
    if let Some(error) = source.downcast_ref() {
        return of_postgres(error);
    }
    match source.downcast_ref() {
        Some(PoolError::Backend(error)) => of_postgres(error),
        Some(PoolError::Timeout(_)) => true,
        _ => false,
    }
}

/// A sink with an open database, whose table was found. Cheap to clone.
pub struct OpenSink<R> {
    shared: Arc<Shared<R>>,
}

impl<R: Serialize + Send + Sync> OpenSink<R> {
    /// Returns a processor for a shard.
    pub fn processor(&self) -> SqlProcessor<R> {
        SqlProcessor::new(self.shared.clone())
    }

    /// Returns the state of the database.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.pulse.health()
    }
}

impl<R> Clone for OpenSink<R> {
    fn clone(&self) -> Self {
        let shared = self.shared.clone();
        Self { shared }
    }
}

impl<R> fmt::Debug for OpenSink<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSink")
            .field("app", &self.shared.app)
            .field("stream", &self.shared.stream)
            .finish_non_exhaustive()
    }
}

/// Leaves out the URL, which may hold a password.
impl<R> fmt::Debug for SqlSink<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlSink")
            .field("table", &self.table)
            .field("columns", &self.columns)
            .field("mode", &self.mode)
            .finish_non_exhaustive()
    }
}

/// Logs that the database is not available, with the cause.
fn warn_of_absence(error: &SqlError) {
    let cause = std::error::Error::source(error).map(tracing::field::display);
    tracing::warn!(%error, cause, "the database is not there; trying again");
}
