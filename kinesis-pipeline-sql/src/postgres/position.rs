//! Positions beside the rows: one row per application, stream and shard, moved by compare and set in the transaction of
//! the rows.
//!
//! Two workers that both believe that they hold a shard:
//!
//! ```text
//!   A (token 5): BEGIN, rows ....... paused .................. SET position = 20 WHERE position = 10 AND token <= 5
//!   B (token 6):              claim: token = 6, position 10                          0 rows: ROLLBACK, lease lost
//! ```
//!
//! Had A moved the position before B claimed it, B would begin behind A's rows. The row lock orders the two.

use kinesis_pipeline::{FencingToken, Position};
use tokio_postgres::{
    Error, Row, Transaction,
    types::{ToSql, Type},
};

type Parameters<'a, const N: usize> = [(&'a (dyn ToSql + Sync), Type); N];

pub(super) const CREATE: &str = "CREATE TABLE IF NOT EXISTS kinesis_pipeline_checkpoint (\
    app text NOT NULL, stream text NOT NULL, shard text NOT NULL, sequence_number text, sub_sequence_number bigint, \
    token bigint NOT NULL, updated timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (app, stream, shard))";

const CLAIM: &str = "INSERT INTO kinesis_pipeline_checkpoint AS kept (app, stream, shard, token) \
    VALUES ($1, $2, $3, $4) ON CONFLICT (app, stream, shard) \
    DO UPDATE SET token = excluded.token, updated = now() WHERE kept.token <= excluded.token \
    RETURNING sequence_number, sub_sequence_number";

const READ: &str = "SELECT sequence_number, sub_sequence_number, token FROM kinesis_pipeline_checkpoint \
    WHERE app = $1 AND stream = $2 AND shard = $3";

const ADVANCE: &str = "UPDATE kinesis_pipeline_checkpoint \
    SET sequence_number = $5, sub_sequence_number = $6, token = $4, updated = now() \
    WHERE app = $1 AND stream = $2 AND shard = $3 AND token <= $4 \
    AND sequence_number IS NOT DISTINCT FROM $7 AND sub_sequence_number IS NOT DISTINCT FROM $8";

/// The row of a shard's position, and the proof of the lease.
#[derive(Clone, Debug)]
pub(crate) struct PositionKey {
    pub(crate) app: String,
    pub(crate) stream: String,
    pub(crate) shard: String,
    pub(crate) token: i64,
}

/// Result of a claim.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// The position is this worker's to move.
    Held(Option<Position>),
    /// A worker with a later lease has claimed it.
    Fenced { token: i64 },
}

impl PositionKey {
    pub(crate) fn new(app: &str, stream: &str, token: &FencingToken) -> Self {
        Self {
            app: app.to_owned(),
            stream: stream.to_owned(),
            shard: token.shard_id.to_string(),
            token: i64::try_from(token.counter).unwrap_or(i64::MAX),
        }
    }

    /// Notes this worker's token and returns the position.
    pub(super) async fn claim(&self, transaction: &Transaction<'_>) -> Result<Claimed, Error> {
        let parameters: Parameters<'_, 4> = [
            (&self.app, Type::TEXT),
            (&self.stream, Type::TEXT),
            (&self.shard, Type::TEXT),
            (&self.token, Type::INT8),
        ];
        let rows = transaction.query_typed(CLAIM, &parameters).await?;
        if let Some(row) = rows.first() {
            return Ok(Claimed::Held(self.position(row)?));
        }
        let parameters: Parameters<'_, 3> = [
            (&self.app, Type::TEXT),
            (&self.stream, Type::TEXT),
            (&self.shard, Type::TEXT),
        ];
        let rows = transaction.query_typed(READ, &parameters).await?;
        let token = match rows.first() {
            Some(row) => row.try_get(2)?,
            // It was deleted in between; the next claim makes it anew.
            None => self.token,
        };
        Ok(Claimed::Fenced { token })
    }

    /// Moves the position. Returns whether it was where it is believed to be.
    pub(super) async fn advance(
        &self,
        transaction: &Transaction<'_>,
        from: Option<&Position>,
        to: &Position,
    ) -> Result<bool, Error> {
        let (to_number, to_sub) = words(to);
        let (from_number, from_sub) = from.map(words).unzip();
        let parameters: Parameters<'_, 8> = [
            (&self.app, Type::TEXT),
            (&self.stream, Type::TEXT),
            (&self.shard, Type::TEXT),
            (&self.token, Type::INT8),
            (&to_number, Type::TEXT),
            (&to_sub, Type::INT8),
            (&from_number, Type::TEXT),
            (&from_sub, Type::INT8),
        ];
        let moved = transaction.execute_typed(ADVANCE, &parameters).await?;
        Ok(moved == 1)
    }

    fn position(&self, row: &Row) -> Result<Option<Position>, Error> {
        let number: Option<String> = row.try_get(0)?;
        let sub: Option<i64> = row.try_get(1)?;
        // A number that is none was written by a person: the row is as good as missing, which the log tells.
        let Some(number) = number else {
            return Ok(None);
        };
        match number.parse() {
            Ok(number) => {
                let position = Position::new(self.shard.as_str().into(), number);
                let sub = u64::try_from(sub.unwrap_or_default()).unwrap_or_default();
                Ok(Some(position.at_sub_sequence_number(sub)))
            }
            Err(error) => {
                let (app, shard) = (&self.app, &self.shard);
                tracing::error!(app, shard, %error, "the position in the table is passed over");
                Ok(None)
            }
        }
    }
}

fn words(position: &Position) -> (String, i64) {
    let sub = i64::try_from(position.sub_sequence_number).unwrap_or(i64::MAX);
    (position.sequence_number.to_string(), sub)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::support::Postgres;

    fn key(token: i64) -> PositionKey {
        let [app, stream, shard] = ["app", "readings", "shardId-000000000000"].map(str::to_owned);
        PositionKey {
            app,
            stream,
            shard,
            token,
        }
    }

    fn at(number: u128) -> Position {
        Position::new("shardId-000000000000".into(), number.into())
    }

    async fn claim(client: &mut tokio_postgres::Client, token: i64) -> Claimed {
        let transaction = client.transaction().await.unwrap();
        let claimed = key(token).claim(&transaction).await.unwrap();
        transaction.commit().await.unwrap();
        claimed
    }

    async fn advance(
        client: &mut tokio_postgres::Client,
        token: i64,
        from: Option<u128>,
        to: u128,
    ) -> bool {
        let transaction = client.transaction().await.unwrap();
        let from = from.map(at);
        let (key, to) = (key(token), at(to));
        let moved = key.advance(&transaction, from.as_ref(), &to).await.unwrap();
        transaction.commit().await.unwrap();
        moved
    }

    #[tokio::test]
    async fn a_position_moves_only_from_where_it_is_and_never_for_a_token_that_was_passed() {
        let Some(server) = Postgres::start().await else {
            return;
        };
        let client = &mut server.client().await;
        client.batch_execute(CREATE).await.unwrap();
        assert!(matches!(claim(client, 5).await, Claimed::Held(None)));
        assert!(advance(client, 5, None, 10).await);
        assert!(!advance(client, 5, None, 20).await, "it is at 10 by now");
        assert!(!advance(client, 5, Some(9), 20).await);

        let claimed = claim(client, 6).await;
        assert!(matches!(claimed, Claimed::Held(Some(position)) if position == at(10)));
        assert!(!advance(client, 5, Some(10), 20).await, "6 has claimed it");
        assert!(matches!(
            claim(client, 5).await,
            Claimed::Fenced { token: 6 }
        ));
        assert!(advance(client, 6, Some(10), 20).await);
    }
}
