//! The command `sql`: writes the rows of a stream to Postgres or CrateDB.
//!
//! ```text
//!   stream ── Worker ── Watched: notes what is written ── SqlProcessor or CrateDbProcessor ──> table, position
//!                │                   │
//!                └── end: a signal, --until <┘ ──> one line: so many records, the last at ..
//! ```
//!
//! - `document`: records of JSON.
//! - `rows`: the columns and the mode.
//! - `target`: the database.
//! - `seen`: the progress, and whether the end is reached.

mod document;
mod rows;
mod seen;
mod target;

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::Args;
use kinesis_pipeline::{
    Clock, ErrorPolicy, FileDeadLetters, KinesisStream, Processor, ShardId, StartAt, Worker,
    WorkerHandle,
};

use self::{
    document::Document,
    rows::Rows,
    seen::{AllUntil, Seen},
    target::{Database, Target},
};
use crate::{
    cli::Global,
    failure::Failure,
    interrupt::{Asked, Signal},
    progress_bar::tell,
    values::{self, Until},
    worker_options::{Leases, WorkerOptions},
};

/// The application's name unless one is given.
const APP: &str = "sql";
/// The number of tries of a batch that the database refuses without naming a record.
const ATTEMPTS_MAX: u32 = 3;
/// The time between two looks at whether the end is reached.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// The shortest quiet time of a shard that is at its end, in addition to the time that a batch waits for more records.
const QUIET_MIN: Duration = Duration::from_millis(300);

#[derive(Args, Debug)]
pub(crate) struct Sql {
    #[command(flatten)]
    stream: WorkerOptions,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    rows: Rows,
    /// The application: its positions are kept in the database, and the next run continues there. Processes of one name
    /// share the shards by --leases. Without it, and without a settings file, the name is sql and this process is
    /// alone.
    #[arg(long, value_name = "APP")]
    app: Option<String>,
    /// The store of the application's leases: file with --app, dynamodb with a settings file, else memory.
    #[arg(long, value_enum)]
    leases: Option<Leases>,
    /// The end: tip, at the last record that is in the stream now; after a length of time such as 30s; or at records
    /// that arrive at a time. The whole stream is read by this process. Later records may be written too.
    #[arg(long, value_name = "END", conflicts_with_all = ["leases", "lease_file"])]
    until: Option<Until>,
    /// The most records of a transaction, and how long one that has fewer waits for more. 10000,1s unless given; with a
    /// settings file its `maxRecords`.
    #[arg(long, value_name = "RECORDS,TIME")]
    batch: Option<BatchSize>,
    /// A file for records that are no row, a JSON object a line, with the reason. Without it and without --skip such a
    /// record ends the command with an error that names it, and the next run tries it again.
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,
    /// Pass over records that are no row, with an error that names each.
    #[arg(long, conflicts_with = "dead_letters")]
    skip: bool,
}

/// A number of records and a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BatchSize {
    records: usize,
    wait: Duration,
}

impl FromStr for BatchSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not RECORDS,TIME, such as 10000,1s");
        let (records, wait) = text.split_once(',').ok_or_else(wrong)?;
        Ok(Self {
            records: records.parse().ok().filter(|n| *n > 0).ok_or_else(wrong)?,
            wait: values::duration(wait)?,
        })
    }
}

const BATCH: BatchSize = BatchSize {
    records: 10_000,
    wait: Duration::from_secs(1),
};

/// A running worker, and the conditions that end it.
struct Run {
    stream: String,
    table: String,
    until: Option<Until>,
    /// The shards that were open at the start.
    open: Vec<ShardId>,
    quiet_min: Duration,
    is_quiet: bool,
    seen: Seen,
}

impl Sql {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        self.rows.check()?;
        let is_sole = self.leases() == Leases::Memory;
        let database = self.target.database(&self.rows, is_sole)?;
        let (connected, global) = self.stream.connect(global).await?;
        let stream: KinesisStream<Document> = connected.stream();
        // This also finds an absent stream before any table is made.
        let shards = stream.shards().await?;
        let open = shards.into_iter().filter(kinesis_pipeline::Shard::is_open);
        let worker = self.worker(&stream, &global).await?;
        let run = Run {
            stream: stream.id().name().to_owned(),
            table: self.target.table().to_owned(),
            until: self.until,
            open: open.map(|shard| shard.id).collect(),
            quiet_min: QUIET_MIN + self.batch.unwrap_or(BATCH).wait,
            is_quiet: global.quiet,
            seen: Seen::default(),
        };
        match database {
            Database::Postgres(sink) => {
                let sink = sink.open(&worker).await?;
                run.finish(worker, move |_| sink.processor()).await
            }
            Database::CrateDb(sink) => {
                self.target.prepare(&sink).await?;
                let (app, stream) = (worker.app().to_owned(), run.stream.clone());
                let make = move |shard: &ShardId| sink.processor(&app, &stream, shard);
                run.finish(worker, make).await
            }
        }
    }

    async fn worker(
        &self,
        stream: &KinesisStream<Document>,
        global: &Global,
    ) -> Result<Worker<Document>, Failure> {
        let mut worker = self
            .stream
            .worker(stream, self.app.as_deref().unwrap_or(APP))?;
        worker = worker.start_unless_set(StartAt::TrimHorizon);
        let batch = self.batch.unwrap_or(BATCH);
        if self.batch.is_some() || !self.stream.has_properties() {
            worker = worker.batch_records_max(batch.records);
        }
        let worker = worker.batch_wait_max(batch.wait).on_error(self.policy());
        let leases = self.leases();
        Ok(self.stream.leases(leases, worker, global).await?.build()?)
    }

    fn leases(&self) -> Leases {
        match self.leases {
            Some(leases) => leases,
            None if self.until.is_some() => Leases::Memory,
            None if self.stream.has_properties() => Leases::Dynamodb,
            None if self.app.is_some() => Leases::File,
            None => Leases::Memory,
        }
    }

    fn policy(&self) -> ErrorPolicy {
        let policy = ErrorPolicy::retry().attempts_max(ATTEMPTS_MAX);
        match &self.dead_letters {
            Some(file) => policy.bisect().then_dead_letter(FileDeadLetters::new(file)),
            None if self.skip => policy.bisect().then_skip(),
            None => policy.then_stop(),
        }
    }
}

impl Run {
    /// Works until a signal comes, the end is reached, or the worker fails.
    async fn finish<P>(
        self,
        worker: Worker<Document>,
        make: impl Fn(&ShardId) -> P,
    ) -> Result<(), Failure>
    where
        P: Processor<Record = Document> + 'static,
    {
        if !self.is_quiet {
            let (stream, table) = (&self.stream, &self.table);
            tell(&format!("writing {stream} to {table}; Ctrl-C ends it"));
        }
        let handle = worker.handle();
        let (seen, mut events) = (self.seen.clone(), handle.events());
        let noting = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                seen.on_event(event);
            }
        });
        let asked = Asked::default();
        let seen = self.seen.clone();
        let mut is_at_end = false;
        let ended = {
            let make = |shard: &ShardId| seen.watching(make(shard));
            let mut running = std::pin::pin!(worker.run(make));
            let last_words = |signal| tell(&format!("stopped by {signal} at once"));
            tokio::select! {
                ended = &mut running => ended,
                () = asked.to_end(last_words) => {
                    handle.stop();
                    running.await
                }
                () = self.end(&handle) => {
                    is_at_end = true;
                    handle.stop();
                    running.await
                }
            }
        };
        // The events end with the worker.
        let _ = noting.await;
        match (ended, asked.signal()) {
            (Ok(_), Some(signal)) if !is_at_end => self.stopped(signal),
            (ended, _) => {
                if !self.is_quiet {
                    tell(&self.line());
                }
                Ok(ended.map(drop)?)
            }
        }
    }

    /// Reports where a signal stopped the work. A run without an end of its own is a success then.
    fn stopped(&self, signal: Signal) -> Result<(), Failure> {
        let has_end = self.until.is_some();
        if has_end || !self.is_quiet {
            tell(&format!("stopped by {signal}: {}", self.line()));
        }
        if has_end {
            return Err(Failure::Stopped(signal));
        }
        Ok(())
    }

    fn line(&self) -> String {
        let counts = self.seen.counts(&self.stream, &self.table);
        format!("{counts}: {}", self.seen.places())
    }

    /// Waits until the end is reached; forever without an end.
    async fn end(&self, handle: &WorkerHandle) {
        let clock = Clock::system();
        let now = clock.now();
        let time = match self.until {
            None => return std::future::pending().await,
            Some(Until::After(time)) => return tokio::time::sleep(time).await,
            Some(Until::Tip) => now,
            Some(Until::At(time)) => time.resolve(now),
        };
        let mut end = AllUntil::new(time, self.open.clone(), self.quiet_min);
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        loop {
            looks.tick().await;
            let health = handle.health();
            let lag = |shard: &ShardId| health.shards.get(shard)?.lag;
            if end.is_reached(&self.seen, lag, clock.instant(), clock.now()) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_a_number_and_a_time() {
        let batch = "500,2s".parse::<BatchSize>().unwrap();
        assert_eq!((batch.records, batch.wait), (500, Duration::from_secs(2)));
        for wrong in ["", "500", "0,1s", "x,1s", "5,1"] {
            assert!(wrong.parse::<BatchSize>().is_err(), "{wrong}");
        }
    }
}
