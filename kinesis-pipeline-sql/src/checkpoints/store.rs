use std::{
    collections::BTreeMap,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use deadpool_postgres::{Client, Pool};
use kinesis_pipeline::{
    BoxError, Checkpoint, CheckpointError, CheckpointFuture, CheckpointStore, ShardId,
};
use tokio::sync::OnceCell;
use tokio_postgres::{
    Row,
    types::{ToSql, Type},
};

use super::words::{Words, time};
use crate::{
    SqlError,
    postgres::{
        ConnectOptions, Fault, connect, fault_of,
        triton::{self, Updated},
    },
};

const PLACE: &str = "the table triton_checkpoint";
const CONNECTIONS_MAX: usize = 4;

const REMOVE: &str =
    "DELETE FROM triton_checkpoint WHERE client = $1 AND stream = $2 AND shard = ANY($3)";
/// Checkpoints of readers in a table of Postgres: `triton_checkpoint`, with the columns of Triton's own (`client`, the
/// application's name; `stream`, `shard`, `seq_num`, `updated`). Cheap to clone; clones share the connections.
///
/// A reader continues where a Triton client stopped. A Triton client continues where a reader stopped, once the reader
/// is past its first record: before that, and at a shard's end, `seq_num` holds a word of KCL (`TRIM_HORIZON`,
/// `AT_TIMESTAMP`, `SHARD_END`), which Triton does not know. Triton does not know aggregates either: after a
/// half-finished one it continues behind all of it. Times (in milliseconds) and the index in an aggregate are in
/// columns of their own.
///
/// The first call makes the table and adds the columns, unless [`create_table`](Self::create_table) is set to false. A
/// save is one statement: all of its checkpoints are stored, or none. Dropping a call's future leaves the old or the
/// new checkpoints.
///
/// ```no_run
/// use kinesis_pipeline::{KinesisStream, StartAt};
/// use kinesis_pipeline_sql::PostgresCheckpoints;
///
/// # async fn journey(stream: KinesisStream<bytes::Bytes>) -> Result<(), Box<dyn std::error::Error>> {
/// let store = PostgresCheckpoints::connect("postgres://user:password@localhost/database")?;
/// let reader = stream.reader().start(StartAt::TrimHorizon).checkpoints(store, "billing");
/// let mut records = reader.open().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresCheckpoints {
    pool: Pool,
    creates: bool,
    updated: Arc<OnceCell<Updated>>,
}

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredCheckpoint {
    /// The application.
    pub app: String,
    /// The stream.
    pub stream: String,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// The time of the last save, to the second, by the database's clock; `None` if the row does not say.
    pub updated: Option<SystemTime>,
}

impl PostgresCheckpoints {
    /// Makes a store in the database at this URL, as in `postgres://user:password@host:5432/database`. No call is made.
    ///
    /// # Errors
    /// [`SqlError::Url`] and [`SqlError::Tls`].
    pub fn connect(url: impl Into<String>) -> Result<Self, SqlError> {
        let url = url.into();
        let options = ConnectOptions {
            url,
            connections_max: CONNECTIONS_MAX,
        };
        Ok(Self {
            pool: connect(&options)?,
            creates: true,
            updated: Arc::default(),
        })
    }

    /// Sets whether the table and its columns are made where they are absent. True by default. With false, the store
    /// needs only the rights to read and write rows.
    #[must_use]
    pub fn create_table(mut self, creates: bool) -> Self {
        self.creates = creates;
        self
    }

    /// Returns all checkpoints, those of one application or of one stream if these are given, in the order of
    /// applications, streams and shards.
    ///
    /// # Errors
    /// [`CheckpointError`]: the database failed, or a row is no checkpoint.
    pub async fn list(
        &self,
        app: Option<&str>,
        stream: Option<&str>,
    ) -> Result<Vec<StoredCheckpoint>, CheckpointError> {
        let (client, updated) = self.client().await?;
        let seconds = updated.seconds();
        let sql = format!(
            "SELECT {WORDS}, client, stream, {seconds} FROM triton_checkpoint \
             WHERE ($1::text IS NULL OR client = $1) AND ($2::text IS NULL OR stream = $2) \
             ORDER BY client, stream, shard"
        );
        let key: [(&(dyn ToSql + Sync), Type); 2] = [(&app, Type::TEXT), (&stream, Type::TEXT)];
        let rows = client.query_typed(&sql, &key);
        let rows = rows.await.map_err(failed)?;
        let stored = rows.iter().map(|row| {
            let seconds: Option<i64> = row.try_get(10).map_err(failed)?;
            Ok(StoredCheckpoint {
                app: row.try_get(8).map_err(failed)?,
                stream: row.try_get(9).map_err(failed)?,
                checkpoint: checkpoint(row)?,
                updated: seconds.map(|seconds| time(seconds.saturating_mul(1_000))),
            })
        });
        stored.collect()
    }

    /// Removes the checkpoints that were not saved for this long, by the database's clock: those of one application or
    /// of one stream if these are given. Rows without the time of their save stay. Returns the number of removed rows.
    ///
    /// A reader saves the checkpoint of a quiet shard too, but not that of a shard that it has finished: its row is
    /// needed until the shard is no longer listed, at most the stream's retention. Take a longer time than that.
    ///
    /// # Errors
    /// [`CheckpointError`].
    pub async fn prune(
        &self,
        app: Option<&str>,
        stream: Option<&str>,
        unchanged_for: Duration,
    ) -> Result<u64, CheckpointError> {
        let (client, updated) = self.client().await?;
        let seconds = updated.seconds();
        let sql = format!(
            "DELETE FROM triton_checkpoint WHERE ($1::text IS NULL OR client = $1) \
             AND ($2::text IS NULL OR stream = $2) AND {seconds} < extract(epoch FROM now())::bigint - $3"
        );
        let age = i64::try_from(unchanged_for.as_secs()).unwrap_or(i64::MAX / 2);
        let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
            (&app, Type::TEXT),
            (&stream, Type::TEXT),
            (&age, Type::INT8),
        ];
        client
            .execute_typed(&sql, &parameters)
            .await
            .map_err(failed)
    }

    /// Returns a connection, and the type of the column `updated`. The first call makes the table.
    async fn client(&self) -> Result<(Client, Updated), CheckpointError> {
        let mut client = self.pool.get().await.map_err(|error| {
            let is_final = matches!(&error, deadpool_postgres::PoolError::Backend(error) if fault_of(error) != Fault::Passing);
            let failure = CheckpointError::new(PLACE, error);
            if is_final { failure.not_retryable() } else { failure }
        })?;
        let updated = self.updated.get_or_try_init(|| self.prepare(&mut client));
        let updated = *updated.await?;
        Ok((client, updated))
    }

    async fn prepare(&self, client: &mut Client) -> Result<Updated, CheckpointError> {
        if self.creates {
            let names = triton::COLUMNS.to_vec();
            let found = client
                .query_typed(triton::COUNT_COLUMNS, &[(&names, Type::TEXT_ARRAY)])
                .await;
            let count: i64 = found.map_err(failed)?[0].try_get(0).map_err(failed)?;
            if usize::try_from(count) != Ok(triton::COLUMNS.len()) {
                let transaction = client.transaction().await.map_err(failed)?;
                let sql = [triton::LOCK, triton::CREATE, triton::EXTEND].join("; ");
                transaction.batch_execute(&sql).await.map_err(failed)?;
                transaction.commit().await.map_err(failed)?;
            }
        }
        let found = client
            .query_typed(triton::UPDATED_TYPE, &[])
            .await
            .map_err(failed)?;
        let kind = found
            .first()
            .map(|row| row.try_get::<_, String>(0))
            .transpose();
        Updated::of(kind.map_err(failed)?.as_deref()).map_err(unfit)
    }

    async fn load(&self, app: &str, stream: &str) -> Result<Vec<Checkpoint>, CheckpointError> {
        let (client, _) = self.client().await?;
        let sql =
            format!("SELECT {WORDS} FROM triton_checkpoint WHERE client = $1 AND stream = $2");
        let key: [(&(dyn ToSql + Sync), Type); 2] = [(&app, Type::TEXT), (&stream, Type::TEXT)];
        let rows = client.query_typed(&sql, &key);
        rows.await.map_err(failed)?.iter().map(checkpoint).collect()
    }

    async fn save(
        &self,
        app: &str,
        stream: &str,
        checkpoints: Vec<Checkpoint>,
    ) -> Result<(), CheckpointError> {
        if checkpoints.is_empty() {
            return Ok(());
        }
        // Rows are locked in the order of shards, so that two savers of one application cannot deadlock. The last
        // checkpoint of a shard counts.
        let rows = checkpoints.iter();
        let rows: BTreeMap<_, _> = rows
            .map(|row| (row.shard_id.as_str(), Words::of(row)))
            .collect();
        let (client, updated) = self.client().await?;
        let shards: Vec<_> = rows.keys().copied().collect();
        let texts = |of: fn(&Words) -> &str| rows.values().map(of).collect::<Vec<_>>();
        let numbers = |of: fn(&Words) -> Option<i64>| rows.values().map(of).collect::<Vec<_>>();
        let seq_nums = texts(|row| &row.seq_num);
        let notes = [
            numbers(|row| row.sub_seq_num),
            numbers(|row| row.begun_at),
            numbers(|row| row.arrived_at),
            numbers(|row| row.current_at),
            numbers(|row| row.stream_created_at),
        ];
        let mut parameters: Vec<(&(dyn ToSql + Sync), Type)> = vec![
            (&app, Type::TEXT),
            (&stream, Type::TEXT),
            (&shards, Type::TEXT_ARRAY),
            (&seq_nums, Type::TEXT_ARRAY),
        ];
        let notes = notes.iter();
        parameters.extend(notes.map(|note| (note as &(dyn ToSql + Sync), Type::INT8_ARRAY)));
        let saved = client.execute_typed(&upsert(updated), &parameters).await;
        saved.map(|_| ()).map_err(failed)
    }

    async fn remove(
        &self,
        app: &str,
        stream: &str,
        shards: Vec<ShardId>,
    ) -> Result<(), CheckpointError> {
        let (client, _) = self.client().await?;
        let shards: Vec<_> = shards.iter().map(ShardId::as_str).collect();
        let parameters: [(&(dyn ToSql + Sync), Type); 3] = [
            (&app, Type::TEXT),
            (&stream, Type::TEXT),
            (&shards, Type::TEXT_ARRAY),
        ];
        let removed = client.execute_typed(REMOVE, &parameters).await;
        removed.map(|_| ()).map_err(failed)
    }
}

/// The columns of a checkpoint, in the order of [`checkpoint`].
const WORDS: &str = "shard, seq_num, noted_seq_num, sub_seq_num, begun_at, arrived_at, current_at, stream_created_at";

fn upsert(updated: Updated) -> String {
    let now = updated.now();
    format!(
        "INSERT INTO triton_checkpoint (client, stream, updated, {WORDS}) \
         SELECT $1, $2, {now}, shard, seq_num, seq_num, sub, begun, arrived, current, created \
         FROM unnest($3, $4, $5, $6, $7, $8, $9) AS new (shard, seq_num, sub, begun, arrived, current, created) \
         ON CONFLICT (client, stream, shard) DO UPDATE SET updated = excluded.updated, seq_num = excluded.seq_num, \
         noted_seq_num = excluded.noted_seq_num, sub_seq_num = excluded.sub_seq_num, begun_at = excluded.begun_at, \
         arrived_at = excluded.arrived_at, current_at = excluded.current_at, \
         stream_created_at = excluded.stream_created_at"
    )
}

fn checkpoint(row: &Row) -> Result<Checkpoint, CheckpointError> {
    let shard: String = row.try_get(0).map_err(failed)?;
    let number = |index: usize| row.try_get(index).map_err(failed);
    let words = Words {
        seq_num: row.try_get(1).map_err(failed)?,
        noted_seq_num: row.try_get(2).map_err(failed)?,
        sub_seq_num: number(3)?,
        begun_at: number(4)?,
        arrived_at: number(5)?,
        current_at: number(6)?,
        stream_created_at: number(7)?,
    };
    let checkpoint = words.checkpoint(&shard);
    checkpoint.map_err(|reason| unfit(format!("the row of {shard} is no checkpoint: {reason}")))
}

fn failed(error: tokio_postgres::Error) -> CheckpointError {
    let is_passing = fault_of(&error) == Fault::Passing;
    let failure = CheckpointError::new(PLACE, error);
    if is_passing {
        failure
    } else {
        failure.not_retryable()
    }
}

fn unfit(reason: String) -> CheckpointError {
    CheckpointError::new(PLACE, BoxError::from(reason)).not_retryable()
}

impl CheckpointStore for PostgresCheckpoints {
    fn load<'a>(&'a self, app: &'a str, stream: &'a str) -> CheckpointFuture<'a, Vec<Checkpoint>> {
        Box::pin(self.load(app, stream))
    }

    fn save<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        checkpoints: Vec<Checkpoint>,
    ) -> CheckpointFuture<'a, ()> {
        Box::pin(self.save(app, stream, checkpoints))
    }

    fn remove<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        shards: Vec<ShardId>,
    ) -> CheckpointFuture<'a, ()> {
        Box::pin(self.remove(app, stream, shards))
    }
}

/// Leaves out the URL, which may hold a password.
impl fmt::Debug for PostgresCheckpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let creates = &self.creates;
        f.debug_struct("PostgresCheckpoints")
            .field("creates", creates)
            .finish_non_exhaustive()
    }
}
