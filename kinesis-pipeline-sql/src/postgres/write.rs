use std::{ops::Range, pin::pin, time::Duration};

use bytes::Bytes;
use deadpool_postgres::{Object, Pool, PoolError};
use futures_util::SinkExt as _;
use kinesis_pipeline::{BoxError, Position};
use tokio_postgres::{Error, Transaction};

use super::{
    encode::{FrozenRows, HEADER, TRAILER},
    fault::{Fault, fault_of},
    position::{Claimed, PositionKey},
    position_table::PositionTable,
};
use crate::table::Statements;

/// The limit of an idle transaction: a worker that is paused inside one blocks the next owner of its shard for at most
/// this long.
const IDLE_MAX: Duration = Duration::from_secs(10);
const LOCK_MAX: Duration = Duration::from_secs(30);
/// The size of a copy's messages: Postgres reads each message as a whole.
const CHUNK_BYTES: usize = 256 * 1024;

/// Writes batches and their positions.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) pool: Pool,
    pub(crate) statements: Statements,
    pub(crate) positions: PositionTable,
    pub(crate) transaction_max: Duration,
}

/// Result of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Committed,
    /// The position was not at the expected place: nothing was written.
    Moved,
}

/// An error of a write. Nothing was written, unless the connection broke at the commit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error("no connection")]
    Pool(#[from] PoolError),
    #[error("the database failed")]
    Database(#[from] Error),
    #[error("the transaction took more than {0:?}")]
    TooLong(Duration),
    #[error("{} row(s) are refused", .0.len())]
    Rows(Vec<(usize, BoxError)>),
}

impl Writer {
    /// Claims the position of a shard.
    pub(crate) async fn claim(&self, key: &PositionKey) -> Result<Claimed, WriteError> {
        let claim = async |client: &mut Object| {
            let transaction = begin(client).await?;
            let claimed = key.claim(&self.positions, &transaction).await?;
            transaction.commit().await?;
            Ok(claimed)
        };
        self.in_time(claim).await
    }

    /// Writes rows and moves the position behind them, both or nothing.
    pub(crate) async fn write(
        &self,
        rows: &FrozenRows,
        key: &PositionKey,
        from: Option<&Position>,
        to: &Position,
    ) -> Result<Written, WriteError> {
        let write = async |client: &mut Object| {
            let written = self.try_write(client, rows, key, from, to).await;
            match written {
                Err(WriteError::Database(error)) if fault_of(&error) == Fault::Rows => {
                    // An error that no single row shows, such as a constraint that is checked at the commit, is an
                    // error of the whole batch.
                    let bad = self.bisect(client, rows).await?;
                    if bad.is_empty() {
                        return Err(WriteError::Database(error));
                    }
                    Err(WriteError::Rows(bad))
                }
                written => written,
            }
        };
        self.in_time(write).await
    }

    /// Runs work on a connection within the time limit. A connection that is still busy then is closed.
    async fn in_time<T>(
        &self,
        act: impl AsyncFnOnce(&mut Object) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        let mut client = self.pool.get().await?;
        let max = self.transaction_max;
        if let Ok(result) = tokio::time::timeout(max, act(&mut client)).await {
            return result;
        }
        drop(Object::take(client));
        Err(WriteError::TooLong(max))
    }

    async fn try_write(
        &self,
        client: &mut Object,
        rows: &FrozenRows,
        key: &PositionKey,
        from: Option<&Position>,
        to: &Position,
    ) -> Result<Written, WriteError> {
        let transaction = begin(client).await?;
        if rows.len() > 0 {
            self.stage(&transaction).await?;
            self.load(&transaction, rows, &(0..rows.len())).await?;
        }
        // The last statement before the commit, because the next owner of the shard waits for this row lock.
        let moved = key.advance(&self.positions, &transaction, from, to);
        if !moved.await? {
            transaction.rollback().await?;
            return Ok(Written::Moved);
        }
        transaction.commit().await?;
        Ok(Written::Committed)
    }

    async fn stage(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        match &self.statements.stage {
            Some(stage) => transaction.batch_execute(stage).await,
            None => Ok(()),
        }
    }

    /// Loads some rows into the table.
    async fn load(
        &self,
        transaction: &Transaction<'_>,
        rows: &FrozenRows,
        part: &Range<usize>,
    ) -> Result<(), Error> {
        let statements = &self.statements;
        let copy = transaction.copy_in::<_, Bytes>(&*statements.copy).await?;
        let mut copy = pin!(copy);
        let mut bytes = rows.part(part);
        copy.feed(Bytes::from_static(HEADER)).await?;
        while !bytes.is_empty() {
            let chunk = bytes.split_to(bytes.len().min(CHUNK_BYTES));
            copy.feed(chunk).await?;
        }
        copy.feed(Bytes::from_static(TRAILER)).await?;
        copy.finish().await?;
        if rows.has_deletions
            && let Some(delete) = &statements.delete
        {
            transaction.batch_execute(delete).await?;
        }
        match &statements.merge {
            Some(merge) => transaction.batch_execute(merge).await,
            None => Ok(()),
        }
    }

    /// Finds the rows that the database refuses by bisection: halves of a refused part are tried again. Accepted rows
    /// stay until the end, so that the second of two rows with one key is refused too. At most two tries per row.
    async fn bisect(
        &self,
        client: &mut Object,
        rows: &FrozenRows,
    ) -> Result<Vec<(usize, BoxError)>, WriteError> {
        let transaction = begin(client).await?;
        self.stage(&transaction).await?;
        let mut bad = Vec::new();
        let all = 0..rows.len();
        let mut parts = vec![all];
        while let Some(part) = parts.pop() {
            transaction.batch_execute("SAVEPOINT part").await?;
            let loaded = self.load(&transaction, rows, &part).await;
            match loaded {
                Ok(()) => {
                    if let Some(clear) = &self.statements.clear {
                        transaction.batch_execute(clear).await?;
                    }
                    transaction.batch_execute("RELEASE SAVEPOINT part").await?;
                }
                Err(error) if fault_of(&error) != Fault::Rows => return Err(error.into()),
                Err(error) => {
                    let back = "ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part";
                    transaction.batch_execute(back).await?;
                    if part.len() == 1 {
                        bad.push((part.start, error.into()));
                    } else {
                        let middle = part.start + part.len() / 2;
                        parts.extend([middle..part.end, part.start..middle]);
                    }
                }
            }
        }
        transaction.rollback().await?;
        Ok(bad)
    }
}

/// Begins a transaction with its limits, none of which outlives it. Dropping it rolls it back.
async fn begin(client: &mut Object) -> Result<Transaction<'_>, Error> {
    // The pool's own transaction type would cache prepared statements for the connection.
    let client: &mut tokio_postgres::Client = client;
    let transaction = client.transaction().await?;
    let (idle, lock) = (IDLE_MAX.as_millis(), LOCK_MAX.as_millis());
    let limits = format!(
        "SET LOCAL idle_in_transaction_session_timeout = {idle}; SET LOCAL lock_timeout = {lock}"
    );
    transaction.batch_execute(&limits).await?;
    Ok(transaction)
}
