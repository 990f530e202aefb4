use std::{error::Error, sync::Arc};

use kinesis_pipeline::{
    BadRecord, Batch, BoxError, Checkpointer, Position, Processor, ProcessorError, Record,
    ShardStart,
};
use serde::Serialize;

use crate::{
    SqlError,
    error::RowRefused,
    health::Pulse,
    postgres::{
        Claimed, Described, EncodedRows, Fault, PositionKey, WriteError, Writer, Written, fault_of,
    },
    row::BadValue,
    sink::Deletes,
};

/// The token of a shard that no fleet has claimed. A sole worker begins with it and takes over the token that it finds:
/// the token of its own lease may be larger than those of a fleet, which could then never claim the position again.
const TOKEN_OF_NONE: i64 = 0;

/// The parts that the processors of all shards share.
pub(crate) struct Shared<R> {
    pub(crate) app: String,
    pub(crate) stream: String,
    pub(crate) described: Described,
    /// Whether rows are staged in a temporary table first.
    pub(crate) is_staged: bool,
    /// Whether positions with any token are claimed, and keep their token.
    pub(crate) is_sole: bool,
    pub(crate) deletes: Option<Deletes<R>>,
    pub(crate) writer: Writer,
    pub(crate) pulse: Pulse,
}

/// The processor of one shard: each batch is a transaction of its rows and its position.
#[must_use = "a processor does nothing until a worker calls it"]
pub struct SqlProcessor<R> {
    shared: Arc<Shared<R>>,
    key: Option<PositionKey>,
    position: Option<Position>,
    /// Whether the position is that of the database. It may differ after a connection broke at a commit.
    is_sure: bool,
}

impl<R: Serialize> SqlProcessor<R> {
    pub(crate) fn new(shared: Arc<Shared<R>>) -> Self {
        Self {
            shared,
            key: None,
            position: None,
            is_sure: false,
        }
    }

    /// Claims the position: reads it from the database, and stores the lease's token there.
    async fn claim(&mut self) -> Result<(), BoxError> {
        let Some(key) = &mut self.key else {
            return Err("a batch came before `initialize`".into());
        };
        let mut claimed = self.shared.writer.claim(key).await;
        if let Ok(Claimed::Fenced { token }) = claimed
            && self.shared.is_sole
        {
            key.token = token;
            claimed = self.shared.writer.claim(key).await;
        }
        match claimed {
            Ok(Claimed::Held(position)) => {
                self.shared.pulse.up();
                self.position = position;
                self.is_sure = true;
                Ok(())
            }
            Ok(Claimed::Fenced { token }) => Err(ProcessorError::lease_lost(SqlError::Fenced {
                table: self.shared.writer.positions.layout.table(),
                shard: key.shard.clone(),
                ours: key.token,
                theirs: token,
            })
            .into()),
            Ok(Claimed::Unreadable { reason }) => {
                let layout = self.shared.writer.positions.layout;
                let error = SqlError::PositionUnreadable {
                    table: layout.table(),
                    app: key.app.as_str().into(),
                    stream: key.stream.as_str().into(),
                    shard: key.shard.as_str().into(),
                    reason: reason.into(),
                    remedy: layout.remedy(),
                };
                self.shared.pulse.down(&error.to_string());
                Err(ProcessorError::needs_repair(error).into())
            }
            Err(error) => Err(self.unavailable(error)),
        }
    }

    fn unavailable(&mut self, error: WriteError) -> BoxError {
        self.is_sure = false;
        self.shared.pulse.down(&with_causes(&error));
        ProcessorError::unavailable(error).into()
    }

    /// Encodes the records behind the position.
    fn encode(&self, records: &[&Record<R>]) -> Result<EncodedRows, BoxError> {
        let shared = &*self.shared;
        let Described { columns, types } = &shared.described;
        let mut rows = EncodedRows::default();
        let mut bad = Vec::new();
        for record in records {
            let deletes = shared
                .deletes
                .as_ref()
                .is_some_and(|deletes| deletes(&record.data));
            let row = columns.row(record);
            let pushed = row.and_then(|row| {
                let deletes = shared.is_staged.then_some(deletes);
                rows.push(&row.values, types, deletes)
                    .map_err(|(index, source)| {
                        let column = columns.iter().nth(index).map_or("", |column| column.name());
                        BadValue::new(column, record.position().clone(), source)
                    })
            });
            if let Err(error) = pushed {
                bad.push(BadRecord::new(record.position().clone(), error));
            }
        }
        if bad.is_empty() {
            Ok(rows)
        } else {
            Err(ProcessorError::bad_records(bad).into())
        }
    }

    async fn write(&mut self, batch: &Batch<R>) -> Result<(), BoxError> {
        if !self.is_sure {
            self.claim().await?;
        }
        let (Some(last), Some(key)) = (batch.last_position(), &self.key) else {
            return Ok(());
        };
        if self
            .position
            .as_ref()
            .is_some_and(|position| !is_after(last, position))
        {
            // The batch was committed before the connection broke.
            return Ok(());
        }
        let is_new = |record: &&Record<R>| {
            let position = self.position.as_ref();
            position.is_none_or(|position| is_after(record.position(), position))
        };
        let records: Vec<_> = batch.iter().filter(is_new).collect();
        let rows = self.encode(&records)?.freeze();
        let written = self
            .shared
            .writer
            .write(&rows, key, self.position.as_ref(), last);
        match written.await {
            Ok(Written::Committed) => {
                self.shared.pulse.up();
                self.position = Some(last.clone());
                Ok(())
            }
            Ok(Written::Moved) => self.on_moved(last).await,
            Err(WriteError::Rows(rows)) => {
                let bad = rows.into_iter().map(|(index, error)| {
                    let position = records[index].position().clone();
                    BadRecord::new(position, RowRefused::new(error))
                });
                Err(ProcessorError::bad_records(bad.collect()).into())
            }
            Err(WriteError::Database(error)) if fault_of(&error) == Fault::Rows => {
                Err(RowRefused::new(error).into())
            }
            Err(error) => Err(self.unavailable(error)),
        }
    }

    /// Finds out whether this worker's own commit, whose answer was lost, or another worker moved the position.
    async fn on_moved(&mut self, last: &Position) -> Result<(), BoxError> {
        self.claim().await?;
        if self.position.as_ref() == Some(last) {
            return Ok(());
        }
        let shard = last.shard_id.to_string();
        Err(ProcessorError::lease_lost(SqlError::Moved { shard }).into())
    }
}

fn is_after(a: &Position, b: &Position) -> bool {
    (&a.sequence_number, a.sub_sequence_number) > (&b.sequence_number, b.sub_sequence_number)
}

impl<R: Serialize + Send + Sync> Processor for SqlProcessor<R> {
    type Record = R;

    async fn initialize(
        &mut self,
        _: &ShardStart,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        let shared = &self.shared;
        let mut key = PositionKey::new(&shared.app, &shared.stream, checkpointer.token());
        if shared.is_sole {
            key.token = TOKEN_OF_NONE;
        }
        self.key = Some(key);
        self.claim().await
    }

    fn start_after(&self) -> Option<Position> {
        self.position.clone()
    }

    async fn process(&mut self, batch: Batch<R>, _: &Checkpointer) -> Result<(), BoxError> {
        self.write(&batch).await?;
        // For workers whose checkpoints follow acks.
        batch.iter().for_each(Record::ack);
        Ok(())
    }
}

impl<R> std::fmt::Debug for SqlProcessor<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqlProcessor")
            .field("key", &self.key)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
