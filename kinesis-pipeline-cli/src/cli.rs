use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands::{create, delete, get, local, merge, put, shards, split, streams};

/// Records into and out of Amazon Kinesis, and an embedded Kinesis to try them on.
///
/// Credentials, region and endpoint come from the environment, as for every AWS tool.
#[derive(Debug, Parser)]
#[command(name = "kinesis-pipeline", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Args, Clone, Debug, Default)]
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
    /// A YAML file of named streams: a stream that is named there is reached as it says.
    #[arg(long, global = true, value_name = "FILE", env = "TRITON_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Only errors on standard error.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// More on standard error; twice or thrice for still more.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve an embedded Kinesis until Ctrl-C.
    Local(local::Local),
    /// Put a record per line of a file or of standard input.
    Put(put::Put),
    /// Print the records of a stream.
    Get(get::Get),
    /// List the streams.
    Streams(streams::Streams),
    /// List the shards of a stream, open and closed.
    Shards(shards::Shards),
    /// Create a stream and wait until it is usable.
    Create(create::Create),
    /// Delete a stream with all its records.
    Delete(delete::Delete),
    /// Split a shard in two.
    Split(split::Split),
    /// Merge two shards whose hash keys touch.
    Merge(merge::Merge),
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
