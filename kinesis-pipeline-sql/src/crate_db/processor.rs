use std::sync::Arc;

use kinesis_pipeline::{
    BadRecord, Batch, BoxError, Checkpointer, KinesisRecord, Position, Processor, ProcessorError,
    Record, ShardId, ShardStart,
};
use serde::Serialize;

use super::{
    bulk,
    encode::{EncodedRows, last_of_each_key, version},
    positions::{HeldPosition, PositionError, Positions},
    sink::Shared,
};
use crate::{
    error::RowRefused,
    row::{Row, Value},
};

/// The work of a [`CrateDbSink`](super::CrateDbSink) on one shard.
pub struct CrateDbProcessor<R> {
    pub(super) sink: Arc<Shared<R>>,
    pub(super) positions: Positions,
    pub(super) shard: ShardId,
    /// The position; `None` until it is claimed.
    pub(super) held: Option<HeldPosition>,
}

impl<R: Serialize> CrateDbProcessor<R> {
    /// Returns the rows of records, with their positions. Records that do not fit are an error.
    fn rows<'a>(
        &self,
        records: &'a [Record<R>],
    ) -> Result<(EncodedRows, Vec<&'a Position>), Vec<BadRecord>> {
        let mut bad = Vec::new();
        let mut rows = Vec::with_capacity(records.len());
        for record in records {
            match self.row(record) {
                Ok(row) => rows.push((row, record.position())),
                Err(error) => bad.push(BadRecord::new(record.position().clone(), error)),
            }
        }
        if let Some(key) = self.sink.upsert_key() {
            let keys = rows.iter().map(|(row, _)| {
                let values = key.iter().map(|index| &row.values[*index]);
                values.collect()
            });
            let mut kept = last_of_each_key(keys).into_iter().peekable();
            let mut index = 0;
            rows.retain(|_| {
                let is_kept = kept.next_if_eq(&index).is_some();
                index += 1;
                is_kept
            });
        }
        let (mut encoded, mut positions) = (EncodedRows::default(), Vec::with_capacity(rows.len()));
        for (row, position) in &rows {
            match encoded.push(&row.values) {
                Ok(()) => positions.push(*position),
                Err(error) => {
                    let refused = RowRefused::new(error);
                    bad.push(BadRecord::new((*position).clone(), refused));
                }
            }
        }
        if bad.is_empty() {
            Ok((encoded, positions))
        } else {
            Err(bad)
        }
    }

    /// Returns a record's row. In the mode upsert the version and the mark of deletion follow the columns.
    fn row(&self, record: &Record<R>) -> Result<Row, BoxError> {
        let mut row = self.sink.columns.row(record)?;
        let Some(key) = self.sink.upsert_key() else {
            return Ok(row);
        };
        let is_deleted = self.sink.is_delete(record);
        if is_deleted {
            let values = row.values.iter_mut().enumerate();
            for (_, value) in values.filter(|(index, _)| !key.contains(index)) {
                *value = Value::Null;
            }
        }
        row.values.push(Value::Text(version(record.position())));
        row.values.push(Value::Bool(is_deleted));
        Ok(row)
    }
}

impl<R> Processor for CrateDbProcessor<R>
where
    R: KinesisRecord + Serialize + Send + Sync + 'static,
{
    type Record = R;

    async fn initialize(
        &mut self,
        _: &ShardStart,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        // A sole worker keeps the token that it finds: the token of its own lease may be larger than those of a fleet,
        // which could then never claim the position again.
        let token = if self.sink.is_sole {
            0
        } else {
            checkpointer.token().counter
        };
        let mut held = self.positions.claim(&self.shard, token).await;
        if let Err(PositionError::Taken { found, .. }) = held
            && self.sink.is_sole
        {
            held = self.positions.claim(&self.shard, found).await;
        }
        self.held = Some(held.map_err(position_failed)?);
        Ok(())
    }

    fn start_after(&self) -> Option<Position> {
        self.held.as_ref()?.position.clone()
    }

    async fn process(&mut self, batch: Batch<R>, _: &Checkpointer) -> Result<(), BoxError> {
        let Some(last) = batch.last_position() else {
            return Ok(());
        };
        let (rows, positions) = self
            .rows(&batch.records)
            .map_err(ProcessorError::bad_records)?;
        let sink = &self.sink;
        let refused = bulk::write(
            &sink.client,
            &sink.statement,
            &sink.probe,
            &rows,
            sink.limits,
        )
        .await;
        let refused = refused.map_err(ProcessorError::unavailable)?;
        if !refused.is_empty() {
            let refused = refused.into_iter();
            let bad = refused.map(|row| {
                let position = positions[row.index].clone();
                BadRecord::new(position, RowRefused::new(row.error))
            });
            return Err(ProcessorError::bad_records(bad.collect()).into());
        }
        let held = self.held.as_mut().ok_or("the position was never claimed")?;
        let moved = self.positions.advance(held, last).await;
        moved.map_err(position_failed)
    }
}

fn position_failed(error: PositionError) -> BoxError {
    match error {
        PositionError::Taken { .. } | PositionError::Moved { .. } => {
            ProcessorError::lease_lost(error).into()
        }
        PositionError::CrateDb(source) => ProcessorError::unavailable(source).into(),
        PositionError::Unreadable { .. } => ProcessorError::needs_repair(error).into(),
    }
}

impl<R> std::fmt::Debug for CrateDbProcessor<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CrateDbProcessor")
            .field("shard", &self.shard)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}
