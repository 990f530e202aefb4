//! SQL of your own, exactly once. The balances of accounts are summed up in Postgres. The position is saved in the same
//! transaction, protected by the fencing token of the lease. The first worker is killed at work, and still no order is
//! counted twice.
//!
//! ```text
//! cargo run --example own_sql --features sql
//! ```
//!
//! The database is that of `DATABASE_URL`, without TLS. If it is not set, an installed PostgreSQL is started for as
//! long as the example runs. To write rows only, use `SqlSink`: see `to_postgres.rs`.

use std::{env, error::Error, time::Duration};

use kinesis_pipeline::{
    Batch, BoxError, Checkpointer, KinesisRecord, KinesisStream, LocalKinesis, MemoryLeases,
    Position, Processor, ProcessorError, Record, ShardId, ShardStart, StartAt,
};
use serde::{Deserialize, Serialize};
use tokio_postgres::{Client, NoTls};

/// The server is also used by the tests.
#[cfg(unix)]
#[path = "../kinesis-pipeline-sql/tests/support/mod.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the tests use all of it")]
mod support;

const ORDERS: u32 = 1_000;
const TRIES_MAX: usize = 600;
const PAUSE: Duration = Duration::from_millis(50);

const TABLES: &str = "DROP TABLE IF EXISTS own_accounts, own_positions; \
    CREATE TABLE own_accounts (id bigint PRIMARY KEY, orders bigint NOT NULL, euros bigint NOT NULL); \
    CREATE TABLE own_positions (shard text PRIMARY KEY, sequence_number text, sub_sequence_number bigint, \
    token bigint NOT NULL)";
/// Saves the token, unless a later one is there. Then no row is returned.
const CLAIM: &str = "INSERT INTO own_positions AS kept (shard, token) VALUES ($1, $2) \
    ON CONFLICT (shard) DO UPDATE SET token = excluded.token WHERE kept.token <= excluded.token \
    RETURNING sequence_number, sub_sequence_number";
const COUNT: &str = "INSERT INTO own_accounts AS kept (id, orders, euros) VALUES ($1, 1, $2) \
    ON CONFLICT (id) DO UPDATE SET orders = kept.orders + 1, euros = kept.euros + excluded.euros";
/// Moves the position from the one that this worker saved last, unless a later token is there.
const MOVE: &str = "UPDATE own_positions SET sequence_number = $3, sub_sequence_number = $4 \
    WHERE shard = $1 AND token = $2 \
    AND sequence_number IS NOT DISTINCT FROM $5 AND sub_sequence_number IS NOT DISTINCT FROM $6";
const SUMS: &str =
    "SELECT coalesce(sum(orders), 0)::bigint, coalesce(sum(euros), 0)::bigint FROM own_accounts";
const NO_DATABASE: &str = "no PostgreSQL is installed here, and DATABASE_URL is not set: install one \
    (apt install postgresql), or start one (docker run -p 5432:5432 -e POSTGRES_PASSWORD=secret postgres) and set \
    DATABASE_URL=postgres://postgres:secret@localhost/postgres";

#[derive(Debug, Serialize, Deserialize, KinesisRecord)]
struct Order {
    #[kinesis(partition_key)]
    account: i64,
    euros: i64,
}

/// The processor of one shard: it sums up the accounts of the shard's orders.
struct Accounts {
    url: String,
    shard: ShardId,
    token: i64,
    /// `None` before the first call and after a failed one. The position is then read again.
    client: Option<Client>,
    position: Option<Position>,
}

impl Accounts {
    /// Connects, saves the token, and reads the position.
    async fn claim(&mut self) -> Result<(), BoxError> {
        let connected = tokio_postgres::connect(&self.url, NoTls).await;
        let (client, connection) = connected.map_err(ProcessorError::unavailable)?;
        tokio::spawn(connection);
        let shard = self.shard.as_str();
        let row = client.query_opt(CLAIM, &[&shard, &self.token]).await;
        let Some(row) = row.map_err(ProcessorError::unavailable)? else {
            return Err(ProcessorError::lease_lost("a later lease has the position").into());
        };
        let number: Option<String> = row.try_get(0)?;
        let sub: Option<i64> = row.try_get(1)?;
        self.position = match number {
            Some(number) => {
                let position = Position::new(self.shard.clone(), number.parse()?);
                Some(position.at_sub_sequence_number(sub.unwrap_or_default().try_into()?))
            }
            None => None,
        };
        self.client = Some(client);
        Ok(())
    }

    /// Counts the orders behind the position and moves it, in one transaction. Returns `false`, without a change, if
    /// the position is not the one that this worker saved last.
    async fn write(
        &self,
        client: &mut Client,
        batch: &Batch<Order>,
        last: &Position,
    ) -> Result<bool, tokio_postgres::Error> {
        let transaction = client.transaction().await?;
        let is_new = |record: &&Record<Order>| is_after(record.position(), self.position.as_ref());
        for record in batch.iter().filter(is_new) {
            let Order { account, euros } = &record.data;
            transaction.execute(COUNT, &[account, euros]).await?;
        }
        let (number, sub) = words(last);
        let (from_number, from_sub) = self.position.as_ref().map(words).unzip();
        let shard = self.shard.as_str();
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
            [&shard, &self.token, &number, &sub, &from_number, &from_sub];
        let moved = transaction.execute(MOVE, &parameters).await?;
        if moved == 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        transaction.commit().await?;
        Ok(true)
    }
}

fn is_after(position: &Position, than: Option<&Position>) -> bool {
    than.is_none_or(|than| {
        let of = |position: &Position| position.sub_sequence_number;
        (&position.sequence_number, of(position)) > (&than.sequence_number, of(than))
    })
}

fn words(position: &Position) -> (String, i64) {
    let sub = i64::try_from(position.sub_sequence_number).unwrap_or(i64::MAX);
    (position.sequence_number.to_string(), sub)
}

impl Processor for Accounts {
    type Record = Order;

    async fn initialize(&mut self, _: &ShardStart, lease: &Checkpointer) -> Result<(), BoxError> {
        self.token = i64::try_from(lease.token().counter)?;
        self.claim().await
    }

    /// Reading begins at the position in the database, not at that of the lease.
    fn start_after(&self) -> Option<Position> {
        self.position.clone()
    }

    async fn process(&mut self, batch: Batch<Order>, _: &Checkpointer) -> Result<(), BoxError> {
        if self.client.is_none() {
            self.claim().await?;
        }
        let (Some(mut client), Some(last)) = (self.client.take(), batch.last_position()) else {
            return Ok(());
        };
        if !is_after(last, self.position.as_ref()) {
            // The batch was committed already, but the answer was lost.
            self.client = Some(client);
            return Ok(());
        }
        // After an error the client is dropped. The next call reads the position, which shows whether the commit was
        // made.
        match self.write(&mut client, &batch, last).await {
            Ok(true) => {
                self.client = Some(client);
                self.position = Some(last.clone());
                Ok(())
            }
            Ok(false) => {
                Err(ProcessorError::lease_lost("another worker moved the position").into())
            }
            Err(error) => Err(ProcessorError::unavailable(error).into()),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (url, _server) = database().await?;
    let connected = tokio_postgres::connect(&url, NoTls).await;
    let (client, connection) =
        connected.map_err(|error| format!("the database does not answer: {error}"))?;
    tokio::spawn(connection);
    client.batch_execute(TABLES).await?;

    let stream: KinesisStream<Order> = LocalKinesis::start().await?.stream("orders", 2).await?;
    let leases = MemoryLeases::new();
    let start = || -> Result<_, Box<dyn Error>> {
        let worker = stream.worker("accounts").leases(leases.clone());
        let worker = worker.start(StartAt::TrimHorizon).batch_records_max(100);
        let worker = worker.failover(Duration::from_secs(1)).build()?;
        let url = url.clone();
        Ok(tokio::spawn(worker.run(move |shard: &ShardId| Accounts {
            url: url.clone(),
            shard: shard.clone(),
            token: 0,
            client: None,
            position: None,
        })))
    };
    let order = |number: u32| Order {
        account: i64::from(number % 10),
        euros: i64::from(number),
    };
    let first = start()?;
    stream.put_all((0..ORDERS).map(order)).await.ok()?;
    wait_for(&client, i64::from(ORDERS) / 4).await?;
    first.abort();
    println!("the first worker was killed at work");
    let second = start()?;
    let (orders, euros) = wait_for(&client, i64::from(ORDERS)).await?;
    second.abort();
    let all = i64::from((0..ORDERS).sum::<u32>());
    println!("{orders} of {ORDERS} orders, {euros} of {all} euros are in the accounts");
    Ok(())
}

/// Waits until at least `orders_min` orders are counted. Returns the sums.
async fn wait_for(client: &Client, orders_min: i64) -> Result<(i64, i64), Box<dyn Error>> {
    for _ in 0..TRIES_MAX {
        let row = client.query_one(SUMS, &[]).await?;
        let (orders, euros) = (row.try_get(0)?, row.try_get(1)?);
        if orders >= orders_min {
            return Ok((orders, euros));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(format!("{orders_min} orders were not counted in time").into())
}

/// Returns the database's URL, and the server if this example started it.
#[cfg(unix)]
async fn database() -> Result<(String, Option<support::Postgres>), Box<dyn Error>> {
    if let Ok(url) = env::var("DATABASE_URL") {
        return Ok((url, None));
    }
    let server = support::Postgres::start().await.ok_or(NO_DATABASE)?;
    Ok((server.url(), Some(server)))
}

#[cfg(not(unix))]
async fn database() -> Result<(String, Option<()>), Box<dyn Error>> {
    let url = env::var("DATABASE_URL").map_err(|_| NO_DATABASE)?;
    Ok((url, None))
}
