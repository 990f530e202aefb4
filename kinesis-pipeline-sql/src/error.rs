use kinesis_pipeline::{BoxError, ProcessorError, WorkerError};

use crate::{
    row::{ColumnType, ColumnsError},
    table::NameError,
};

/// The refusal of one record's row, or of a batch in which no single row is at fault.
///
/// The server's message is only in the source: it may quote values, and this error's text goes to logs.
#[derive(Debug, thiserror::Error)]
#[error("the database refuses the row")]
pub(crate) struct RowRefused {
    source: BoxError,
}

impl RowRefused {
    pub(crate) fn new(source: impl Into<BoxError>) -> Self {
        let source = source.into();
        Self { source }
    }
}

/// An error of a sink.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// The URL is no URL of a database.
    #[error(
        "the URL is no address of Postgres: write it as in postgres://user:password@host:5432/database"
    )]
    #[non_exhaustive]
    Url {
        /// The reason.
        source: BoxError,
    },
    /// TLS cannot be set up.
    #[error("the connections cannot be set up")]
    #[non_exhaustive]
    Tls {
        /// The reason.
        source: BoxError,
    },
    /// The name of a table or column is not valid.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The columns are not valid for a table.
    #[error(transparent)]
    Columns(#[from] ColumnsError),
    /// No table is named.
    #[error("a sink needs a table: call `table`")]
    TableUnset,
    /// The table is to be made, but its columns are not given.
    #[error("to make the table, its columns must be given: call `columns`")]
    ColumnsUnset,
    /// There is no such table.
    #[error("there is no table {table}: make it, or call `create_table`")]
    #[non_exhaustive]
    NoTable {
        /// The table's name, quoted.
        table: String,
    },
    /// The table lacks a column.
    #[error("the table {table} has no column \"{column}\": its columns are {columns}")]
    #[non_exhaustive]
    NoColumn {
        /// The table's name, quoted.
        table: String,
        /// The column.
        column: String,
        /// The columns that the table has.
        columns: String,
    },
    /// A column's type cannot take the values that are meant for it.
    #[error("column \"{column}\" of {table} has the type {found}, which takes no {source_type}")]
    #[non_exhaustive]
    ColumnType {
        /// The table's name, quoted.
        table: String,
        /// The column.
        column: String,
        /// The column's type in the database.
        found: String,
        /// The type of the values.
        source_type: ColumnType,
    },
    /// A column has a type that this crate does not write.
    #[error(
        "column \"{column}\" of {table} has the type {found}, which is not written here: leave it out of the columns, or \
         make it text"
    )]
    #[non_exhaustive]
    UnsupportedType {
        /// The table's name, quoted.
        table: String,
        /// The column.
        column: String,
        /// The column's type in the database; an array's begins with `_`.
        found: String,
    },
    /// The mode needs a key, but the columns have none.
    #[error("rows by key need the key's columns: call `Columns::key`")]
    NoKey,
    /// Rows are to be deleted, but the mode is not upsert.
    #[error("rows can be deleted in the mode `upsert` alone")]
    DeletesWithoutUpsert,
    /// The worker has several streams. Their shards have the same ids, and positions are stored by shard.
    #[error(
        "the worker has {streams} streams, and a sink keeps positions of one: build a worker for each stream, with an \
         application of its own"
    )]
    #[non_exhaustive]
    SeveralStreams {
        /// The number of streams.
        streams: usize,
    },
    /// Several processors would work on one shard.
    #[error(
        "the worker's concurrency is {lanes}: a sink keeps one position per shard, and needs 1"
    )]
    #[non_exhaustive]
    Lanes {
        /// The concurrency.
        lanes: usize,
    },
    /// The database refused a request, and a person must correct the cause.
    #[error("the database refused to {action}")]
    #[non_exhaustive]
    Database {
        /// The action that was tried.
        action: &'static str,
        /// The reason.
        source: BoxError,
    },
    /// The position in the database belongs to a later lease.
    #[error(
        "the position of {shard} was claimed by a lease with token {theirs}, this one has {ours}: if the lease table \
         was made anew, set the token of its row of {table} to 0"
    )]
    #[non_exhaustive]
    Fenced {
        /// The table of positions.
        table: &'static str,
        /// The shard.
        shard: String,
        /// The token of this worker's lease.
        ours: i64,
        /// The token in the table.
        theirs: i64,
    },
    /// The position in the database is not where this worker left it.
    #[error("the position of {shard} was moved by somebody else: nothing was written")]
    #[non_exhaustive]
    Moved {
        /// The shard.
        shard: String,
    },
    /// The position of a shard in the database is not in the form that this crate writes: a person changed it. Nothing
    /// of the shard is written until it is corrected, which needs no restart. The worker's
    /// [`ErrorPolicy`](kinesis_pipeline::ErrorPolicy) decides how often the row is read again, without end by default.
    #[error(
        "the row of {table} of application `{app}`, stream `{stream}` and {shard} tells no position: {reason}. To mend \
         it, {remedy}"
    )]
    #[non_exhaustive]
    PositionUnreadable {
        /// The table of positions.
        table: &'static str,
        /// The application.
        app: Box<str>,
        /// The stream.
        stream: Box<str>,
        /// The shard.
        shard: Box<str>,
        /// The reason why it is no position.
        reason: Box<str>,
        /// The way to mend it.
        remedy: &'static str,
    },
    /// The worker ended with an error.
    #[error(transparent)]
    Worker(#[from] WorkerError),
}

impl SqlError {
    /// Returns the error that a worker ended with: the sink's own, if it wraps one.
    pub(crate) fn of_worker(error: WorkerError) -> Self {
        if let WorkerError::Processor { source, .. } = &error
            && let Some(ProcessorError::NeedsRepair { source }) = source.downcast_ref()
            && let Some(Self::PositionUnreadable {
                table,
                app,
                stream,
                shard,
                reason,
                remedy,
            }) = source.downcast_ref()
        {
            return Self::PositionUnreadable {
                table,
                app: app.clone(),
                stream: stream.clone(),
                shard: shard.clone(),
                reason: reason.clone(),
                remedy,
            };
        }
        Self::Worker(error)
    }

    pub(crate) fn database(action: &'static str, error: impl Into<BoxError>) -> Self {
        let source = error.into();
        Self::Database { action, source }
    }
}
