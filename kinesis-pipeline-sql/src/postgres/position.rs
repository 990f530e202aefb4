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
//! If A moves the position before B claims it, B begins behind A's rows. The row lock puts the two in order.

use kinesis_pipeline::{FencingToken, Position};
use tokio_postgres::{
    Error, Row, Transaction,
    types::{ToSql, Type},
};

use super::position_table::PositionTable;

type Parameters<'a, const N: usize> = [(&'a (dyn ToSql + Sync), Type); N];

/// The index of a row without one: it covers the whole Kinesis record, also an aggregate.
const WHOLE_RECORD: i64 = i64::MAX;
/// The most bytes of a row that stand in an error's text.
const SHOWN_BYTES_MAX: usize = 60;

/// The key of a shard's position, and the fencing token of the lease.
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
    /// The position is claimed: this worker may move it.
    Held(Option<Position>),
    /// A worker with a later lease has claimed it.
    Fenced { token: i64 },
    /// The row is not in the form that this crate writes.
    Unreadable { reason: String },
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

    /// Stores this worker's token in the row and returns the position.
    pub(super) async fn claim(
        &self,
        table: &PositionTable,
        transaction: &Transaction<'_>,
    ) -> Result<Claimed, Error> {
        let parameters: Parameters<'_, 4> = [
            (&self.app, Type::TEXT),
            (&self.stream, Type::TEXT),
            (&self.shard, Type::TEXT),
            (&self.token, Type::INT8),
        ];
        let rows = transaction.query_typed(&table.claim, &parameters).await?;
        if let Some(row) = rows.first() {
            return Ok(match self.position(row)? {
                Ok(position) => Claimed::Held(position),
                Err(reason) => Claimed::Unreadable { reason },
            });
        }
        let parameters: Parameters<'_, 3> = [
            (&self.app, Type::TEXT),
            (&self.stream, Type::TEXT),
            (&self.shard, Type::TEXT),
        ];
        let rows = transaction.query_typed(&table.read, &parameters).await?;
        let token = match rows.first() {
            Some(row) => row.try_get(0)?,
            // The row was deleted in between; the next claim makes it anew.
            None => self.token,
        };
        Ok(Claimed::Fenced { token })
    }

    /// Moves the position. Returns false if it was not at `from`: then nothing was changed.
    pub(super) async fn advance(
        &self,
        table: &PositionTable,
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
        let moved = transaction
            .execute_typed(&table.advance, &parameters)
            .await?;
        Ok(moved == 1)
    }

    /// Returns the position in a row, or the reason why it has none.
    fn position(&self, row: &Row) -> Result<Result<Option<Position>, String>, Error> {
        let number: Option<String> = row.try_get(0)?;
        let sub: Option<i64> = row.try_get(1)?;
        Ok(position(&self.shard, number.as_deref(), sub))
    }
}

/// Returns the position in these columns. A text that would be written differently, such as a number with a space, is
/// an error too: the compare and set would never match it, so the position could never be moved.
fn position(
    shard: &str,
    number: Option<&str>,
    sub: Option<i64>,
) -> Result<Option<Position>, String> {
    let Some(text) = number else {
        return Ok(None);
    };
    let shown = &text[..text.floor_char_boundary(SHOWN_BYTES_MAX)];
    let number = text.parse();
    let number = number.map_err(|error| format!("`{shown}` is no sequence number: {error}"))?;
    let sub = sub.unwrap_or(WHOLE_RECORD);
    let index = u64::try_from(sub).map_err(|_| format!("{sub} is no index in an aggregate"))?;
    let position = Position::new(shard.into(), number).at_sub_sequence_number(index);
    if words(&position).0 != text {
        return Err(format!("`{shown}` is no sequence number as it is written"));
    }
    Ok(Some(position))
}

fn words(position: &Position) -> (String, i64) {
    let sub = i64::try_from(position.sub_sequence_number).unwrap_or(WHOLE_RECORD);
    (position.sequence_number.to_string(), sub)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        postgres::position_table::{PositionLayout, create_positions},
        support::Postgres,
    };

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

    async fn create(client: &mut tokio_postgres::Client, layout: PositionLayout) -> PositionTable {
        let transaction = client.transaction().await.unwrap();
        let table = create_positions(&transaction, layout).await.unwrap();
        transaction.commit().await.unwrap();
        table
    }

    async fn claim(
        client: &mut tokio_postgres::Client,
        table: &PositionTable,
        token: i64,
    ) -> Claimed {
        let transaction = client.transaction().await.unwrap();
        let claimed = key(token).claim(table, &transaction).await.unwrap();
        transaction.commit().await.unwrap();
        claimed
    }

    async fn advance(
        client: &mut tokio_postgres::Client,
        table: &PositionTable,
        token: i64,
        from: Option<u128>,
        to: u128,
    ) -> bool {
        let transaction = client.transaction().await.unwrap();
        let from = from.map(at);
        let (key, to) = (key(token), at(to));
        let moved = key.advance(table, &transaction, from.as_ref(), &to);
        let moved = moved.await.unwrap();
        transaction.commit().await.unwrap();
        moved
    }

    const LAYOUTS: [PositionLayout; 2] = [PositionLayout::Own, PositionLayout::Triton];

    #[tokio::test]
    async fn a_position_moves_only_from_where_it_is_and_never_for_a_token_that_was_passed() {
        let Some(server) = Postgres::start().await else {
            return;
        };
        let client = &mut server.client().await;
        for layout in LAYOUTS {
            let table = &create(client, layout).await;
            assert!(matches!(claim(client, table, 5).await, Claimed::Held(None)));
            assert!(advance(client, table, 5, None, 10).await);
            assert!(
                !advance(client, table, 5, None, 20).await,
                "it is at 10 by now"
            );
            assert!(!advance(client, table, 5, Some(9), 20).await);

            let claimed = claim(client, table, 6).await;
            assert!(matches!(claimed, Claimed::Held(Some(position)) if position == at(10)));
            assert!(
                !advance(client, table, 5, Some(10), 20).await,
                "6 has claimed it"
            );
            assert!(matches!(
                claim(client, table, 5).await,
                Claimed::Fenced { token: 6 }
            ));
            assert!(advance(client, table, 6, Some(10), 20).await);
        }
    }

    /// A number without an index stands for a whole Kinesis record: a person wrote it, or Triton.
    #[tokio::test]
    async fn a_row_that_others_wrote_is_gone_on_from_or_unreadable_and_never_passed_over() {
        let Some(server) = Postgres::start().await else {
            return;
        };
        let client = &mut server.client().await;
        for (layout, name, number) in [
            (
                PositionLayout::Own,
                "kinesis_pipeline_checkpoint",
                "sequence_number",
            ),
            (PositionLayout::Triton, "triton_checkpoint", "seq_num"),
        ] {
            let table = &create(client, layout).await;
            claim(client, table, 1).await;
            let set = format!("UPDATE {name} SET {number} = '42'");
            client.batch_execute(&set).await.unwrap();
            let Claimed::Held(Some(position)) = claim(client, table, 1).await else {
                panic!("42 is a number");
            };
            assert_eq!(position.sub_sequence_number, WHOLE_RECORD.cast_unsigned());
            let transaction = client.transaction().await.unwrap();
            let (key, to) = (key(1), at(43));
            let moved = key.advance(table, &transaction, Some(&position), &to);
            assert!(moved.await.unwrap());
            transaction.commit().await.unwrap();

            let set = format!("UPDATE {name} SET {number} = ' 42'");
            client.batch_execute(&set).await.unwrap();
            let claimed = claim(client, table, 1).await;
            assert!(
                matches!(&claimed, Claimed::Unreadable { reason } if reason.contains("` 42`")),
                "{claimed:?}"
            );
        }
    }

    #[test]
    fn a_position_is_read_as_it_is_written_or_not_at_all() {
        let of = |number, sub| position("shardId-000000000000", number, sub);
        assert_eq!(of(None, Some(3)), Ok(None));
        let read = of(Some("42"), Some(3)).unwrap().unwrap();
        assert_eq!(words(&read), ("42".to_owned(), 3));
        for (number, sub) in [
            ("x", None),
            (" 42", None),
            ("", None),
            ("42", Some(-1)),
            ("SHARD_END", None),
        ] {
            assert!(of(Some(number), sub).is_err(), "{number} {sub:?}");
        }
    }
}
