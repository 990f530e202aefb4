//! The command line.

use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
};

use clap::{Parser, ValueEnum};
use kinesis_pipeline::record::row::Seed;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use super::{Failure, tell};
use crate::{Format, Input, LoadPlan, LoadReport, Loader, Policy};

/// Loads rows of a table into a Kinesis stream.
#[derive(Debug, Parser)]
#[command(version = None, about = "Loads rows of a table into a Kinesis stream")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(super) struct Options {
    /// Directory to which the records are also written, as <table>.json.
    #[arg(short = 'o', long, default_value = "results")]
    outdir: PathBuf,
    /// Do not write the records to files.
    #[arg(long)]
    no_export: bool,
    /// Input file; may be given more than once. `.gz` and `.zst` are decompressed.
    #[arg(short = 'i', long, value_name = "FILE", default_value = "<stdin>")]
    input: Vec<PathBuf>,
    /// Show what the program does in detail.
    #[arg(long)]
    debug: bool,
    /// No output but errors.
    #[arg(short = 'q', long)]
    pub(super) quiet: bool,
    /// Records to print in a trial, and with --debug rows of the input.
    #[arg(short = 'p', long, value_name = "N", default_value_t = 3)]
    rows: usize,
    /// Trial run only: nothing is sent to Kinesis.
    #[arg(short = 't', long)]
    trial: bool,
    /// Name or ARN of the stream.
    #[arg(long)]
    pub(super) stream: Option<String>,
    /// Profile of the AWS configuration.
    #[arg(long)]
    pub(super) profile: Option<String>,
    /// Form of the input; by the file's ending, else tsv, unless given.
    #[arg(long, value_enum)]
    format: Option<FormatName>,
    /// Leave out rows that are not valid. By default the first one stops the load.
    #[arg(long, conflicts_with = "rejects")]
    skip: bool,
    /// Leave out rows that are not valid, and write them to this file as they were.
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Keep in this file how far the load is stored, and begin at the place in it.
    #[arg(long, value_name = "FILE", conflicts_with = "trial")]
    resume: Option<PathBuf>,
    /// Give each record an id, `_meta.id`, by which a reader can drop duplicates.
    #[arg(long)]
    ids: bool,
    /// File with the secret of the anonymisers: with one secret, pseudonyms stay from run to run.
    #[arg(long, value_name = "FILE")]
    seed_file: Option<PathBuf>,
    /// One Kinesis record per record: slower, for readers that cannot split aggregates.
    #[arg(long)]
    no_aggregate: bool,
    /// Put markers with this id before and after the load, to every shard.
    #[arg(long, value_name = "ID")]
    snapshot: Option<String>,
    /// Scale the stream to this number of shards before the load, and back after it. It asks first.
    #[arg(long, value_name = "SHARDS", conflicts_with_all = ["trial", "plan"],
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) scale_to: Option<u32>,
    /// Do not ask before the stream is scaled.
    #[arg(long)]
    yes: bool,
    /// Plan the load from a sample of the input and the present shards. Nothing is sent.
    #[arg(long)]
    pub(super) plan: bool,
    /// With --plan: also tell how many shards the load needs to end within this many seconds.
    #[arg(long, value_name = "SECONDS", requires = "plan")]
    pub(super) within: Option<u64>,
    /// Print the report as JSON on standard output.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    Tsv,
    Csv,
    Jsonl,
}

/// The name that stands for standard input.
const STDIN: &str = "<stdin>";

impl Options {
    /// Sets up the log: warnings, or everything with `--debug`.
    pub(super) fn log(&self) {
        let events = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        let log = tracing_subscriber::registry().with(events);
        // A program that has a log already keeps it.
        let _ = log.with(levels(self.debug, self.quiet)).try_init();
    }

    pub(super) fn input(&self) -> Input {
        if self.reads_stdin() {
            return Input::stdin();
        }
        Input::files(self.input.iter().cloned())
    }

    /// Asks on the terminal whether the stream may be scaled. Without a terminal, or if rows come from standard input,
    /// only `--yes` permits it.
    pub(super) fn may_scale(&self) -> bool {
        let Some(shards) = self.scale_to.filter(|_| !self.yes) else {
            return true;
        };
        let stdin = std::io::stdin();
        if self.reads_stdin() || !stdin.is_terminal() {
            return false;
        }
        tell(&format!(
            "The stream is scaled to {shards} shard(s) for the load, which costs money. Go on? [y/N]"
        ));
        let mut answer = String::new();
        let is_read = stdin.read_line(&mut answer).is_ok();
        is_read && matches!(answer.trim(), "y" | "Y" | "yes")
    }

    fn reads_stdin(&self) -> bool {
        let [one] = self.input.as_slice() else {
            return false;
        };
        one.as_os_str() == STDIN || one.as_os_str() == "-"
    }

    /// Applies the options of the command line to the loader.
    pub(super) fn apply(&self, mut loader: Loader) -> Result<Loader, Failure> {
        loader = loader
            .trial(self.trial)
            .samples(self.rows)
            .ids(self.ids)
            .progress(!self.quiet && !self.json);
        if let Some(id) = &self.snapshot {
            loader = loader.snapshot(id);
        }
        if let Some(shards) = self.scale_to {
            loader = loader.scale_to(shards);
        }
        if self.no_aggregate {
            loader = loader.aggregate(false);
        }
        if !self.no_export {
            loader = loader.outdir(&self.outdir);
        }
        if let Some(format) = self.format {
            loader = loader.format(match format {
                FormatName::Tsv => Format::TSV,
                FormatName::Csv => Format::CSV,
                FormatName::Jsonl => Format::JsonLines,
            });
        }
        if self.skip {
            loader = loader.policy(Policy::Skip);
        }
        if let Some(path) = &self.rejects {
            loader = loader.policy(Policy::Rejects(path.clone()));
        }
        if let Some(path) = &self.resume {
            loader = loader.resume(path);
        }
        if let Some(path) = &self.seed_file {
            let seed = std::fs::read(path)
                .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
            loader = loader.seed(checked_seed(path, &seed)?);
        }
        Ok(loader)
    }

    /// Prints the plan to standard output, as JSON or text.
    pub(super) fn print_plan(&self, plan: &LoadPlan) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut out, plan).map_err(std::io::Error::from)?;
            writeln!(out)?;
        } else {
            write!(out, "{plan}")?;
        }
        Ok(())
    }

    /// Prints the report: JSON to standard output, a table to standard error.
    pub(super) fn print(&self, report: &LoadReport) -> Result<(), Failure> {
        if self.json {
            let mut out = std::io::stdout().lock();
            serde_json::to_writer(&mut out, report).map_err(std::io::Error::from)?;
            writeln!(out)?;
            return Ok(());
        }
        if self.quiet {
            return Ok(());
        }
        for sample in &report.samples {
            tell(&format!("{}\t{}", sample.partition_key, sample.data));
        }
        if let Some(permission) = &report.permission {
            tell(&format!("permission: {permission}"));
        }
        tell(report.to_string().trim_end());
        Ok(())
    }
}

/// The beginnings of the names of the SDK's crates and of the HTTP client beneath it.
const OF_SDK: [&str; 4] = ["aws_", "hyper", "h2", "rustls"];

/// Returns the levels of the log. Those of the SDK are quieter: it warns of failures that the program reports as its own
/// errors, and its details would hide the rows.
fn levels(debug: bool, quiet: bool) -> Targets {
    let (level, of_sdk) = match (debug, quiet) {
        (true, _) => (LevelFilter::DEBUG, LevelFilter::INFO),
        (false, true) => (LevelFilter::OFF, LevelFilter::OFF),
        (false, false) => (LevelFilter::WARN, LevelFilter::ERROR),
    };
    let of_sdk = OF_SDK.map(|target| (target, of_sdk));
    Targets::new().with_default(level).with_targets(of_sdk)
}

/// The shortest secret that is accepted, in bytes.
const SEED_BYTES_MIN: usize = 16;

fn checked_seed(path: &Path, content: &[u8]) -> Result<Seed, Failure> {
    let seed = content.trim_ascii();
    if seed.len() < SEED_BYTES_MIN {
        return Err(Failure::Usage(format!(
            "{}: a secret has {SEED_BYTES_MIN} bytes or more, and this one has {}",
            path.display(),
            seed.len()
        )));
    }
    Ok(Seed::new(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_can_be_guessed_is_refused() {
        let path = Path::new("seed");
        assert!(checked_seed(path, b"\n").is_err());
        assert!(checked_seed(path, b"fifteen bytes..\n").is_err());
        let seed = checked_seed(path, b"sixteen or more!\n").unwrap();
        assert_eq!(seed.as_bytes(), b"sixteen or more!");
    }

    #[test]
    fn details_are_those_of_the_load_and_warnings_those_of_no_sdk() {
        use tracing::Level;
        let shows = |debug, quiet, target, level| levels(debug, quiet).would_enable(target, &level);
        let (ours, sdk) = ("kinesis_pipeline_load::run", "aws_config::imds");
        assert!(shows(true, false, ours, Level::DEBUG));
        assert!(!shows(true, false, sdk, Level::DEBUG));
        assert!(shows(false, false, ours, Level::WARN));
        assert!(!shows(false, false, sdk, Level::WARN));
        assert!(!shows(false, true, ours, Level::ERROR));
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Options::command().debug_assert();
    }
}
