//! The command `load`: loads tables into a stream.
//!
//! ```text
//!   files or standard input ── options ──> Loader ── load ──> report on standard error, or JSON on standard output
//!                                             ▲ stop
//!   SIGINT, SIGTERM ──────────────────────────┘  what was read is put, the resume file is written
//! ```

mod options;
mod permit;

use std::{io::Write as _, path::PathBuf, time::Duration};

use clap::Args;
use kinesis_pipeline_load::{ColumnType, LoadPlan, LoadReport, Loader, StopLoad};
use serde_json::Value;

use self::options::FormatName;
use crate::{
    cli::{Global, StreamArgument},
    connect::Connected,
    failure::Failure,
    interrupt::{Asked, Signal},
    output,
    progress_bar::tell,
    values,
};

/// The rows that a plan reads.
const PLAN_ROWS: u64 = 100_000;

#[derive(Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of the command line"
)]
pub(crate) struct Load {
    #[command(flatten)]
    stream: StreamArgument,
    /// The files, read one after the other; standard input unless given. `.gz` and `.zst` are decompressed.
    files: Vec<PathBuf>,
    /// A file; may be given more than once, in place of FILES.
    #[arg(short, long, value_name = "FILE", conflicts_with = "files")]
    input: Vec<PathBuf>,
    /// The form of the input; by the file's ending, else tsv, unless given.
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// The character between two cells, such as ';'.
    #[arg(long, value_name = "CHARACTER", conflicts_with = "format", value_parser = options::delimiter)]
    delimiter: Option<u8>,
    /// The column that holds a record's partition key, of JSON lines also a nested one such as `properties.net`; keys
    /// are random without it.
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
    /// The type of a column: text, int, number, bool, json, or guess, which judges each cell for itself. By default the
    /// first 1,000 rows tell the type of each column. Not for JSON lines, which are put as they are.
    #[arg(long = "type", value_name = "COLUMN=TYPE", value_parser = options::column_type)]
    types: Vec<(String, ColumnType)>,
    /// A text that means null; may be given more than once. By default `NULL`, and the empty cell. Not for JSON
    /// lines.
    #[arg(long = "null", value_name = "TEXT")]
    nulls: Vec<String>,
    /// The name of the table in reports and files; by default that of the first file.
    #[arg(long, value_name = "NAME")]
    table: Option<String>,
    /// Trial run only: nothing is sent to the stream.
    #[arg(short, long)]
    trial: bool,
    /// The number of records that a trial prints.
    #[arg(short = 'p', long, value_name = "COUNT", default_value_t = 3)]
    rows: usize,
    /// Read at most this many rows.
    #[arg(short = 'n', long, value_name = "COUNT")]
    max: Option<u64>,
    /// A directory to which the records are also written, as <table>.json.
    #[arg(short, long, value_name = "DIR")]
    outdir: Option<PathBuf>,
    /// Leave out rows that are not valid. By default the first one stops the load.
    #[arg(long, conflicts_with = "rejects")]
    skip: bool,
    /// Leave out rows that are not valid, and write them to this file as they were; the reasons are written to
    /// FILE.reasons.
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Keep in this file how far the load is stored, and begin at the place in it.
    #[arg(long, value_name = "FILE", conflicts_with = "trial")]
    resume: Option<PathBuf>,
    /// Give each record an id, `_meta.id`, by which a reader can drop duplicates.
    #[arg(long)]
    ids: bool,
    /// One Kinesis record per record: slower, for readers that cannot split aggregates.
    #[arg(long)]
    no_aggregate: bool,
    /// Put markers with this id before and after the load, to every shard.
    #[arg(long, value_name = "ID")]
    snapshot: Option<String>,
    /// Plan the load from a sample of the input and the present shards. Nothing is sent.
    #[arg(long)]
    plan: bool,
    /// With --plan: also tell how many shards the load needs to end within this time, such as 30m.
    #[arg(long, value_name = "TIME", requires = "plan", value_parser = values::duration)]
    within: Option<Duration>,
    /// Scale the stream to this number of shards before the load, and back after it. It asks first.
    #[arg(long, value_name = "SHARDS", conflicts_with_all = ["trial", "plan"],
          value_parser = clap::value_parser!(u32).range(1..))]
    scale_to: Option<u32>,
    /// Do not ask before the stream is scaled.
    #[arg(short, long)]
    yes: bool,
    /// Print the report or the plan as JSON on standard output.
    #[arg(long)]
    json: bool,
}

impl Load {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        self.check_cells()?;
        self.may_scale()?;
        let connected = global.connect_to(&self.stream.stream).await?;
        let loader = self.loader(global, &connected);
        if self.plan {
            let plan = loader.plan(self.input(), PLAN_ROWS, self.within).await?;
            return self.print_plan(&plan);
        }
        let asked = Asked::default();
        let is_scaled = self.scale_to.is_some();
        let stopping = stop_when_asked(asked.clone(), loader.stop_handle(), is_scaled);
        let listener = tokio::spawn(stopping);
        let outcome = loader.load(self.input()).await;
        listener.abort();
        let report = outcome?;
        self.print(global, &report)?;
        match asked.signal() {
            Some(signal) if report.stopped => {
                tell(&stopped(signal, &report));
                Err(Failure::Stopped(signal))
            }
            _ => Ok(()),
        }
    }

    fn loader(&self, global: &Global, connected: &Connected) -> Loader {
        let configured = connected.named.partition_key.as_deref();
        let key = self.key.as_deref().or(configured);
        let stream = connected.stream::<Value>();
        let shows = !global.quiet && !self.json;
        self.set(Loader::untyped(&stream, self.untyped(key)).progress(shows))
    }

    fn print_plan(&self, plan: &LoadPlan) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        if self.json {
            output::json_line(&mut out, plan)?;
        } else {
            write!(out, "{plan}")?;
        }
        Ok(())
    }

    /// Prints the report: JSON to standard output, a table to standard error.
    fn print(&self, global: &Global, report: &LoadReport) -> Result<(), Failure> {
        if self.json {
            output::json_line(&mut std::io::stdout().lock(), report)?;
            return Ok(());
        }
        if global.quiet {
            return Ok(());
        }
        for sample in &report.samples {
            let line = format!("{}\t{}", sample.partition_key, sample.data);
            tell(&output::visible(&line));
        }
        if let Some(permission) = &report.permission {
            tell(&format!("permission: {permission}"));
        }
        for line in report.to_string().lines() {
            tell(&output::visible(line));
        }
        Ok(())
    }
}

/// Stops the load at the first signal, after the rows that were read are stored. A second signal does not wait for
/// that.
async fn stop_when_asked(asked: Asked, stop: StopLoad, is_scaled: bool) {
    asked
        .to_end(move |signal| tell(&stopped_at_once(signal, is_scaled)))
        .await;
    stop.stop();
}

fn stopped_at_once(signal: Signal, is_scaled: bool) -> String {
    let scaled = if is_scaled {
        ", and before the stream was scaled back: see `describe` and `scale`"
    } else {
        ""
    };
    format!("stopped by {signal} before the rows that were read were stored{scaled}")
}

fn stopped(signal: Signal, report: &LoadReport) -> String {
    let rows = report.rows;
    format!("stopped by {signal} after row {rows}; the records of all before it are stored")
}
