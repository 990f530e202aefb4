//! The database and its table.

use std::{fmt, time::Duration};

use clap::Args;
use kinesis_pipeline::Clock;
use kinesis_pipeline_sql::{SqlSink, crate_db::CrateDbSink};

use super::{
    document::Document,
    rows::{Mode, Rows},
};
use crate::{failure::Failure, values};

/// The pause before another call to a database that does not answer.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Args)]
#[command(next_help_heading = "Database")]
pub(super) struct Target {
    /// The database: `postgres://USER:PASSWORD@HOST/DATABASE`, or `http://HOST:4200` (https, crate) of CrateDB. Set it
    /// in the environment to hide the password from other users of this machine.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    to: String,
    /// The table. In CrateDB also SCHEMA.TABLE.
    #[arg(long, value_name = "TABLE")]
    table: String,
    /// The table's schema. The first one of the database's search path unless given.
    #[arg(long, value_name = "SCHEMA")]
    schema: Option<String>,
    /// The user, for CrateDB.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// The password of --user.
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "CRATEDB_PASSWORD",
        hide_env_values = true,
        default_value = ""
    )]
    password: String,
    /// The longest wait for a database that does not answer at the start. Later there is no limit: the stream waits.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = values::duration)]
    wait: Duration,
}

/// Leaves out the URL and the password.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("table", &self.table)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

/// A sink that is not opened yet.
pub(super) enum Database {
    Postgres(Box<SqlSink<Document>>),
    CrateDb(CrateDbSink<Document>),
}

impl Target {
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// Returns the sink that the options describe. A sole worker has leases whose tokens begin anew at each start.
    pub(super) fn database(&self, rows: &Rows, is_sole: bool) -> Result<Database, Failure> {
        let to = self.to.as_str();
        let is_settings = to.contains("host=") && !to.contains("://");
        if to.starts_with("postgres://") || to.starts_with("postgresql://") || is_settings {
            let mut sink = self.postgres(rows)?;
            if is_sole {
                sink = sink.sole_worker();
            }
            return Ok(Database::Postgres(Box::new(sink)));
        }
        if let Some(rest) = to.strip_prefix("crate://") {
            return self.crate_db(&format!("http://{rest}"), rows, is_sole);
        }
        if to.starts_with("http://") || to.starts_with("https://") {
            return self.crate_db(to, rows, is_sole);
        }
        // Not quoted: it may be a password.
        let told = "--to is no URL of a database: write postgres://USER:PASSWORD@HOST/DATABASE, or \
                    http://HOST:4200 for CrateDB";
        Err(Failure::Usage(told.to_owned()))
    }

    fn postgres(&self, rows: &Rows) -> Result<SqlSink<Document>, Failure> {
        if self.user.is_some() {
            let told =
                "--user is for CrateDB: in a URL of Postgres the user stands before the host";
            return Err(Failure::Usage(told.to_owned()));
        }
        let mut sink = SqlSink::postgres(&self.to)
            .table(&self.table)
            .start_wait_max(self.wait);
        if let Some(schema) = &self.schema {
            sink = sink.schema(schema);
        }
        if let Some(columns) = rows.columns()? {
            sink = sink.columns(columns);
        }
        if rows.create_table {
            sink = sink.create_table();
        }
        sink = match rows.mode {
            Mode::Append => sink.append(),
            Mode::Upsert => sink.upsert(),
            Mode::KeepFirst => sink.keep_first(),
        };
        if let Some(condition) = rows.delete_when.clone() {
            sink = sink.delete_when(move |document: &Document| {
                document.has(&condition.field, &condition.value)
            });
        }
        Ok(sink)
    }

    fn crate_db(&self, url: &str, rows: &Rows, is_sole: bool) -> Result<Database, Failure> {
        let usage = |told: &str| Err(Failure::Usage(told.to_owned()));
        if url.contains('@') {
            return usage(
                "for CrateDB give the user by --user, and the password in CRATEDB_PASSWORD",
            );
        }
        let table = match &self.schema {
            Some(schema) => format!("{schema}.{}", self.table),
            None => self.table.clone(),
        };
        let mut sink = CrateDbSink::<Document>::builder(url, table).create_table(rows.create_table);
        if let Some(columns) = rows.columns()? {
            sink = sink.columns(columns);
        }
        if is_sole {
            sink = sink.sole_worker();
        }
        if let Some(user) = &self.user {
            sink = sink.credentials(user, &self.password);
        }
        sink = match rows.mode {
            Mode::Append => sink.append(),
            Mode::Upsert => sink.upsert(),
            Mode::KeepFirst => {
                return usage("--mode keep-first is for Postgres: CrateDB has append and upsert");
            }
        };
        if let Some(condition) = rows.delete_when.clone() {
            sink =
                sink.delete_when(move |record| record.data.has(&condition.field, &condition.value));
        }
        Ok(Database::CrateDb(sink.build()?))
    }

    /// Makes and checks the tables of CrateDB. Retries for the time of `--wait` while it does not answer.
    pub(super) async fn prepare(&self, sink: &CrateDbSink<Document>) -> Result<(), Failure> {
        let clock = Clock::system();
        let begun = clock.instant();
        loop {
            match sink.prepare().await {
                Err(error)
                    if error.is_retryable() && clock.instant() - begun + PAUSE < self.wait =>
                {
                    tracing::warn!(%error, "the database is not there; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
                prepared => return Ok(prepared?),
            }
        }
    }
}
