//! The tables that positions are kept in, and the statements on them.

use tokio_postgres::{
    Transaction,
    types::{ToSql, Type},
};

use super::triton::{self, Updated};
use crate::SqlError;

/// The layout of a table of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PositionLayout {
    /// `kinesis_pipeline_checkpoint`.
    Own,
    /// `triton_checkpoint`.
    Triton,
}

/// The statements on a table of positions. Sequence numbers are compared as texts, in the form in which they are
/// stored; a row without an index counts as one with the largest index.
#[derive(Clone, Debug)]
pub(crate) struct PositionTable {
    pub(crate) layout: PositionLayout,
    /// Claims a position. Arguments: application, stream, shard and token. Returns number and index, or no row if the
    /// token there is later.
    pub(super) claim: String,
    /// Reads the token. Arguments: application, stream and shard.
    pub(super) read: String,
    /// Moves a position. Arguments: application, stream, shard, token, the new number and index, and the old ones.
    pub(super) advance: String,
}

const CREATE: &str = "CREATE TABLE IF NOT EXISTS kinesis_pipeline_checkpoint (\
    app text NOT NULL, stream text NOT NULL, shard text NOT NULL, sequence_number text, sub_sequence_number bigint, \
    token bigint NOT NULL, updated timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (app, stream, shard))";

/// The columns of a layout.
struct Words {
    table: &'static str,
    app: &'static str,
    /// Columns and values of a new row without a position, besides key and token.
    new: [String; 2],
    number: &'static str,
    sub: &'static str,
    /// The changes at a claim.
    touch: String,
    /// The changes at a move.
    set: String,
}

impl PositionLayout {
    /// Returns the table's name.
    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Own => "kinesis_pipeline_checkpoint",
            Self::Triton => "triton_checkpoint",
        }
    }

    /// Returns the instruction to correct a row that has no valid position.
    pub(crate) fn remedy(self) -> &'static str {
        match self {
            Self::Own => {
                "set sequence_number to that of the last record whose row is written and sub_sequence_number to its \
                 index or NULL, or both to NULL to begin at the lease's checkpoint"
            }
            Self::Triton => {
                "set seq_num to the number of the last record whose row is written, or to TRIM_HORIZON to begin at the \
                 lease's checkpoint"
            }
        }
    }

    fn words(self, updated: Updated) -> Words {
        let now = updated.now();
        match self {
            Self::Own => Words {
                table: self.table(),
                app: "app",
                new: [String::new(), String::new()],
                number: "kept.sequence_number",
                sub: "kept.sub_sequence_number",
                touch: "updated = now()".to_owned(),
                set: "sequence_number = $5, sub_sequence_number = $6, updated = now()".to_owned(),
            },
            // Triton changes `seq_num` alone; the index then belongs to an earlier position. The times belong to a
            // reader's place, so a move clears them.
            Self::Triton => Words {
                table: self.table(),
                app: "client",
                new: [
                    ", seq_num, updated".to_owned(),
                    format!(", '{}', {now}", triton::TRIM_HORIZON),
                ],
                number: "NULLIF(kept.seq_num, 'TRIM_HORIZON')",
                sub: "CASE WHEN kept.noted_seq_num = kept.seq_num THEN kept.sub_seq_num END",
                touch: format!("updated = {now}"),
                set: format!(
                    "seq_num = $5, noted_seq_num = $5, sub_seq_num = $6, updated = {now}, begun_at = NULL, \
                     arrived_at = NULL, current_at = NULL"
                ),
            },
        }
    }
}

impl PositionTable {
    fn new(layout: PositionLayout, updated: Updated) -> Self {
        let Words {
            table,
            app,
            new: [columns, values],
            number,
            sub,
            touch,
            set,
        } = layout.words(updated);
        let token = "COALESCE(kept.token, 0)";
        let is_row = format!("kept.{app} = $1 AND kept.stream = $2 AND kept.shard = $3");
        Self {
            layout,
            claim: format!(
                "INSERT INTO {table} AS kept ({app}, stream, shard, token{columns}) VALUES ($1, $2, $3, $4{values}) \
                 ON CONFLICT ({app}, stream, shard) DO UPDATE SET token = excluded.token, {touch} \
                 WHERE {token} <= excluded.token RETURNING {number}, {sub}"
            ),
            read: format!("SELECT {token} FROM {table} AS kept WHERE {is_row}"),
            advance: format!(
                "UPDATE {table} AS kept SET {set}, token = $4 WHERE {is_row} AND {token} <= $4 \
                 AND ({number} IS NULL AND $7 IS NULL OR {number} = $7 AND COALESCE({sub}, {}) = $8)",
                i64::MAX
            ),
        }
    }
}

/// Makes the table of positions if it is not there, and the columns that it lacks.
pub(crate) async fn create_positions(
    transaction: &Transaction<'_>,
    layout: PositionLayout,
) -> Result<PositionTable, SqlError> {
    let failed = |error| SqlError::database("make the table of positions", error);
    if layout == PositionLayout::Own {
        transaction.batch_execute(CREATE).await.map_err(failed)?;
        return Ok(PositionTable::new(layout, Updated::Timestamp));
    }
    transaction
        .batch_execute(triton::LOCK)
        .await
        .map_err(failed)?;
    // A table that has all columns is not altered, so that its users are not locked out.
    let names: Vec<_> = triton::COLUMNS.into_iter().chain([triton::TOKEN]).collect();
    let parameters: [(&(dyn ToSql + Sync), Type); 1] = [(&names, Type::TEXT_ARRAY)];
    let found = transaction
        .query_typed(triton::COUNT_COLUMNS, &parameters)
        .await
        .map_err(failed)?;
    let count: Option<i64> = found
        .first()
        .map(|row| row.try_get(0))
        .transpose()
        .map_err(failed)?;
    if count.and_then(|count| usize::try_from(count).ok()) != Some(names.len()) {
        let sql = [triton::CREATE, triton::EXTEND, triton::EXTEND_FOR_SINK].join("; ");
        transaction.batch_execute(&sql).await.map_err(failed)?;
    }
    let found = transaction
        .query_typed(triton::UPDATED_TYPE, &[])
        .await
        .map_err(failed)?;
    let kind: Option<String> = found
        .first()
        .map(|row| row.try_get(0))
        .transpose()
        .map_err(failed)?;
    let updated = Updated::of(kind.as_deref())
        .map_err(|reason| SqlError::database("use the table triton_checkpoint", reason))?;
    Ok(PositionTable::new(layout, updated))
}
