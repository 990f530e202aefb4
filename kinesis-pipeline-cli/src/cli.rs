use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{
    commands::{
        completions, consumers, create, delete, deliver, describe, get, lag, leases,
        list_checkpoints, load, local, man, merge, mode, prune_checkpoints, put, redrive,
        retention, scale, shards, split, sql, streams, tags, transform,
    },
    hints::Used,
};

/// The exit statuses, the end of every `--help`.
const EXIT_STATUS: &str = "\
Exit status:
  0    it is done, or nobody reads its output any more
  1    it failed; standard error says why
  2    the command line is wrong
  130  SIGINT (Ctrl-C) ended it before it was done
  143  SIGTERM did";

/// The same for a command that can continue where it was stopped.
const EXIT_STATUS_OF_PUT: &str = "\
Exit status:
  0    all lines are stored
  1    some are not, or the input cannot be read; standard error says which and why
  2    the command line is wrong
  130  SIGINT (Ctrl-C) ended it before the end of the input; standard error says after which line
  143  SIGTERM did
A second signal does not wait until the lines that were read are stored.";

/// The same for a load.
const EXIT_STATUS_OF_LOAD: &str = "\
Exit status:
  0    all rows are stored, but for those that --skip and --rejects leave out, which the report counts
  1    it failed, or a row is no record; standard error says which and why
  2    the command line is wrong
  130  SIGINT (Ctrl-C) ended it before the end of the input; standard error says after which row
  143  SIGTERM did
A second signal does not wait until the rows that were read are stored.";

/// The same for a command that has no end of its own.
const EXIT_STATUS_OF_GET: &str = "\
Exit status:
  0    it is done, or nobody reads its output any more; also when a signal ends a get that has no end of its
       own, which --until, --max and --idle give it
  1    it failed; standard error says why
  2    the command line is wrong
  130  SIGINT (Ctrl-C) ended it before its end; standard error says where
  143  SIGTERM did";

/// The same for a delivery.
const EXIT_STATUS_OF_DELIVER: &str = "\
Exit status:
  0    SIGINT (Ctrl-C) or SIGTERM ended it, or all is delivered with --once; the next run goes on where it was
  1    it failed; standard error says why
  2    the command line is wrong";

/// The same for rows of a database.
const EXIT_STATUS_OF_SQL: &str = "\
Exit status:
  0    SIGINT (Ctrl-C) or SIGTERM ended it, or all is written with --until; the next run goes on where it was
  1    it failed, or a record is no row without --dead-letters and --skip; standard error says which and why
  2    the command line is wrong
  130  SIGINT (Ctrl-C) ended it before the end that --until gives it; standard error says where
  143  SIGTERM did
A second signal does not wait for the transaction that is under way.";

/// The same for a lag.
const EXIT_STATUS_OF_LAG: &str = "\
Exit status:
  0    it is done, and no shard is farther behind than --max
  1    it failed; standard error says why
  2    the command line is wrong
  3    a shard is farther behind than --max, or it is not known how far; standard error says which
  130  SIGINT (Ctrl-C) ended it before the lag of all shards was known
  143  SIGTERM did";

/// The same for a redrive.
const EXIT_STATUS_OF_REDRIVE: &str = "\
Exit status:
  0    all letters are put back, but for those of other streams and those that were put back too often before,
       which the last line counts
  1    it failed; standard error says at which letter
  2    the command line is wrong
  130  SIGINT (Ctrl-C) ended it before the last letter; standard error says after which one
  143  SIGTERM did
A second signal does not wait until the letters that were read are stored.";

/// The same for the server.
const EXIT_STATUS_OF_LOCAL: &str = "\
Exit status:
  0    SIGINT (Ctrl-C) or SIGTERM ended it
  1    it failed; standard error says why
  2    the command line is wrong";

/// Records into and out of Amazon Kinesis, and an embedded Kinesis to try them on.
///
/// Credentials, region and endpoint come from the environment, as for every AWS tool.
#[derive(Debug, Parser)]
#[command(name = "kinesis-pipeline", version, max_term_width = 100, after_help = EXIT_STATUS)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options that every command takes.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Global {
    /// The URL of the service, in place of that of the region.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) endpoint_url: Option<String>,
    /// The region, such as eu-west-1.
    #[arg(long, global = true)]
    pub(crate) region: Option<String>,
    /// The profile of the AWS configuration files.
    #[arg(long, global = true)]
    pub(crate) profile: Option<String>,
    /// A YAML file of named streams. A stream that is named there is reached with its settings in the file.
    #[arg(long, global = true, value_name = "FILE", env = "TRITON_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Print only errors on standard error.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Print more on standard error; give it twice or three times for even more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// The streams that the command has used, for hints about errors.
    #[arg(skip)]
    pub(crate) used: Used,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve an embedded Kinesis until Ctrl-C.
    #[command(after_help = EXIT_STATUS_OF_LOCAL)]
    Local(local::Local),
    /// Put a record per line of a file or of standard input.
    #[command(after_help = EXIT_STATUS_OF_PUT)]
    Put(put::Put),
    /// Print the records of a stream.
    #[command(after_help = EXIT_STATUS_OF_GET)]
    Get(Box<get::Get>),
    /// Load tables into a stream: files of TSV, CSV or JSON lines, a record per row.
    #[command(after_help = EXIT_STATUS_OF_LOAD)]
    Load(Box<load::Load>),
    /// Deliver the records of a stream to object storage, each in one object.
    ///
    /// It works as Firehose does, on a machine of yours: records are buffered, keyed by time, compressed, and written
    /// under names that come from their positions, so that a run after a crash makes the same objects.
    #[command(after_help = EXIT_STATUS_OF_DELIVER)]
    Deliver(Box<deliver::Deliver>),
    /// Write the records of a stream to a table of Postgres or CrateDB, each once.
    ///
    /// Records are JSON. Their rows and the position behind them are one transaction of Postgres; in CrateDB a row that
    /// comes twice is the same row. The next run of the application continues behind them.
    #[command(after_help = EXIT_STATUS_OF_SQL)]
    Sql(Box<sql::Sql>),
    /// List the checkpoints of readers that are kept in Postgres, in the table `triton_checkpoint`.
    #[command(after_help = EXIT_STATUS)]
    ListCheckpoints(list_checkpoints::ListCheckpoints),
    /// Remove the checkpoints of readers in Postgres that were not saved for some time.
    #[command(after_help = EXIT_STATUS)]
    PruneCheckpoints(prune_checkpoints::PruneCheckpoints),
    /// Run a filter over an event of Firehose, and print the response.
    #[command(after_help = EXIT_STATUS)]
    Transform(transform::Transform),
    /// List the leases of a fleet: the worker that holds each shard, and the place up to which the shard is finished.
    ///
    /// It reads the lease tables of this library and of the Kinesis Client Library 2 and 3, and writes nothing.
    #[command(after_help = EXIT_STATUS)]
    Leases(leases::Leases),
    /// Tell how far a fleet is behind its stream, shard by shard.
    ///
    /// For each shard it reads the record that is next after the checkpoint, at the cost of one of the five reads a
    /// second that the shard gives to all its readers. The service does not tell how many records wait.
    #[command(after_help = EXIT_STATUS_OF_LAG)]
    Lag(lag::Lag),
    /// Put the records of dead letters back into their stream, each under its key.
    ///
    /// The letters stay where they are. A record carries the number of times it was put back, so that a record that can
    /// never be processed does not go round forever.
    #[command(after_help = EXIT_STATUS_OF_REDRIVE)]
    Redrive(redrive::Redrive),
    /// List the streams.
    #[command(after_help = EXIT_STATUS)]
    Streams(streams::Streams),
    /// List the shards of a stream, open and closed.
    #[command(after_help = EXIT_STATUS)]
    Shards(shards::Shards),
    /// Create a stream and wait until it is usable.
    #[command(after_help = EXIT_STATUS)]
    Create(create::Create),
    /// Delete a stream with all its records.
    #[command(after_help = EXIT_STATUS)]
    Delete(delete::Delete),
    /// Split a shard in two.
    #[command(after_help = EXIT_STATUS)]
    Split(split::Split),
    /// Merge two shards whose hash keys touch.
    #[command(after_help = EXIT_STATUS)]
    Merge(merge::Merge),
    /// Describe a stream.
    #[command(after_help = EXIT_STATUS)]
    Describe(describe::Describe),
    /// Change the number of shards of a stream.
    #[command(after_help = EXIT_STATUS)]
    Scale(scale::Scale),
    /// Change how long a stream keeps its records.
    #[command(after_help = EXIT_STATUS)]
    Retention(retention::Retention),
    /// Change the capacity mode of a stream: on-demand or provisioned.
    #[command(after_help = EXIT_STATUS)]
    Mode(mode::Mode),
    /// List, set and remove the tags of a stream.
    #[command(after_help = EXIT_STATUS)]
    Tags(tags::Tags),
    /// List and remove the consumers of a stream that are registered for enhanced fan-out.
    #[command(after_help = EXIT_STATUS)]
    Consumers(consumers::Consumers),
    /// Print a script that completes commands and options in a shell.
    #[command(after_help = EXIT_STATUS)]
    Completions(completions::Completions),
    /// Print a manual page, in the form that `man -l` reads.
    #[command(after_help = EXIT_STATUS)]
    Man(man::Man),
}

/// The stream that a command is about.
#[derive(Args, Clone, Debug)]
pub(crate) struct StreamArgument {
    /// The stream: its name, its ARN, or a name of the configuration file.
    #[arg(short, long, value_name = "STREAM")]
    pub(crate) stream: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_command() {
        let line = ["kinesis-pipeline", "--region", "r", "streams", "-q"];
        let cli = Cli::try_parse_from(line).unwrap();
        assert_eq!(cli.global.region.as_deref(), Some("r"));
        assert!(cli.global.quiet);
    }
}
