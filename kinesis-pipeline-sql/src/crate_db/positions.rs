//! The table of positions: a row per shard, moved by compare and set.
//!
//! A row is read and written by its whole primary key, so that each call sees the last write. `_seq_no` and
//! `_primary_term` change with every write: a write with old values changes nothing.

use kinesis_pipeline::{Position, ShardId};
use serde_json::{Value, json};

use super::{
    answer::Answer,
    client::SqlClient,
    dialect::{self, TableName},
    error::CrateDbError,
};

/// The most times that a change is tried again because the row has changed meanwhile.
const ROUNDS_MAX: u32 = 8;

/// A position that cannot be read or moved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PositionError {
    /// A worker that took the lease later has the shard.
    #[error(
        "{shard} belongs to a worker with the fencing token {found}, mine is {mine}; after the table of leases was made \
         anew, delete the row of the shard in the table of positions"
    )]
    #[non_exhaustive]
    Taken {
        /// The shard.
        shard: ShardId,
        /// The token in the table.
        found: u64,
        /// The token of this worker's lease.
        mine: u64,
    },
    /// Another worker with the same token moved the position.
    #[error("another worker has moved the position of {shard}")]
    #[non_exhaustive]
    Moved {
        /// The shard.
        shard: ShardId,
    },
    /// The row is not in the form that this crate writes.
    #[error("the row of {shard} in the table of positions cannot be read: {reason}")]
    #[non_exhaustive]
    Unreadable {
        /// The shard.
        shard: ShardId,
        /// The reason.
        reason: String,
    },
    /// CrateDB did not carry out a statement.
    #[error("the position is not known")]
    CrateDb(#[from] CrateDbError),
}

/// The table of positions of an application in a stream.
#[derive(Clone, Debug)]
pub(super) struct Positions {
    pub(super) client: SqlClient,
    pub(super) table: TableName,
    pub(super) app: String,
    pub(super) stream: String,
}

/// A shard's position as it was written or read last.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct HeldPosition {
    shard: ShardId,
    token: u64,
    /// The last record whose row is stored; `None` before the first.
    pub(super) position: Option<Position>,
    seq_no: i64,
    primary_term: i64,
}

impl Positions {
    /// Claims a shard's position with this token. The next move of every earlier holder fails.
    pub(super) async fn claim(
        &self,
        shard: &ShardId,
        token: u64,
    ) -> Result<HeldPosition, PositionError> {
        for _ in 0..ROUNDS_MAX {
            let Some(found) = self.read(shard).await? else {
                self.add(shard, token).await?;
                continue;
            };
            if found.token > token {
                return Err(taken(shard, found.token, token));
            }
            if found.token == token {
                return Ok(found);
            }
            // The next read shows whether this or another change was made.
            self.set(&found, found.position.as_ref(), token).await?;
        }
        Err(moved(shard))
    }

    /// Moves a position that is held.
    pub(super) async fn advance(
        &self,
        held: &mut HeldPosition,
        to: &Position,
    ) -> Result<(), PositionError> {
        for _ in 0..ROUNDS_MAX {
            self.set(held, Some(to), held.token).await?;
            let shard = held.shard.clone();
            let found = self.read(&shard).await?.ok_or_else(|| moved(&shard))?;
            if found.token > held.token {
                return Err(taken(&shard, found.token, held.token));
            }
            if found.token == held.token && found.position.as_ref() == Some(to) {
                *held = found;
                return Ok(());
            }
            if found.token != held.token || found.position != held.position {
                return Err(moved(&shard));
            }
            // The same row with other numbers: a replica has become the primary.
            *held = found;
        }
        Err(moved(&held.shard))
    }

    async fn read(&self, shard: &ShardId) -> Result<Option<HeldPosition>, PositionError> {
        let sql = dialect::read_position(&self.table);
        let answer = self.client.execute(&sql, &self.key(shard)).await?;
        let read = held(shard, &answer);
        read.map_err(|reason| PositionError::Unreadable {
            shard: shard.clone(),
            reason,
        })
    }

    async fn add(&self, shard: &ShardId, token: u64) -> Result<(), PositionError> {
        let sql = dialect::add_position(&self.table);
        let values = [json!(null), json!(null), json!(token)];
        match self
            .client
            .execute(&sql, &[self.key(shard), values].concat())
            .await
        {
            // Another worker was first, or this call was carried out twice.
            Ok(_) | Err(CrateDbError::DuplicateKey { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a position, if the row is unchanged since it was read. The next read shows whether the write took effect.
    async fn set(
        &self,
        held: &HeldPosition,
        to: Option<&Position>,
        token: u64,
    ) -> Result<(), PositionError> {
        let sql = dialect::move_position(&self.table);
        let number = to.map(|position| position.sequence_number.to_string());
        let sub = to.map(|position| position.sub_sequence_number);
        let mut arguments = vec![json!(number), json!(sub), json!(token)];
        arguments.extend(self.key(&held.shard));
        arguments.extend([json!(held.seq_no), json!(held.primary_term)]);
        match self.client.execute(&sql, &arguments).await {
            Ok(_) | Err(CrateDbError::VersionConflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn key(&self, shard: &ShardId) -> [Value; 3] {
        [json!(self.app), json!(self.stream), json!(shard.as_str())]
    }
}

fn taken(shard: &ShardId, found: u64, mine: u64) -> PositionError {
    let shard = shard.clone();
    PositionError::Taken { shard, found, mine }
}

fn moved(shard: &ShardId) -> PositionError {
    let shard = shard.clone();
    PositionError::Moved { shard }
}

/// Reads the answer to [`dialect::read_position`].
fn held(shard: &ShardId, answer: &Answer) -> Result<Option<HeldPosition>, String> {
    let row = match &answer.rows[..] {
        [] => return Ok(None),
        [row] => row,
        rows => return Err(format!("{} rows for one key", rows.len())),
    };
    let [number, sub, token, seq_no, primary_term] = &row[..] else {
        return Err(format!("{} columns in place of 5", row.len()));
    };
    let position = match (number, sub.as_u64()) {
        (Value::Null, _) => None,
        (Value::String(number), Some(sub)) => {
            let number = number.parse().map_err(|error| format!("{error}"))?;
            Some(Position::new(shard.clone(), number).at_sub_sequence_number(sub))
        }
        _ => return Err("the position is none".to_owned()),
    };
    Ok(Some(HeldPosition {
        shard: shard.clone(),
        token: token.as_u64().ok_or("the token is none")?,
        position,
        seq_no: seq_no.as_i64().ok_or("`_seq_no` is no number")?,
        primary_term: primary_term
            .as_i64()
            .ok_or("`_primary_term` is no number")?,
    }))
}
