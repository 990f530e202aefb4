//! The commands, one file each.

pub(crate) mod completions;
pub(crate) mod consumers;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod deliver;
pub(crate) mod describe;
pub(crate) mod get;
pub(crate) mod lag;
pub(crate) mod leases;
pub(crate) mod list_checkpoints;
pub(crate) mod load;
pub(crate) mod local;
pub(crate) mod man;
pub(crate) mod merge;
pub(crate) mod mode;
pub(crate) mod prune_checkpoints;
pub(crate) mod put;
pub(crate) mod redrive;
mod reshard;
pub(crate) mod retention;
pub(crate) mod scale;
pub(crate) mod shards;
pub(crate) mod split;
pub(crate) mod sql;
pub(crate) mod streams;
pub(crate) mod tags;
pub(crate) mod transform;

use crate::{
    cli::{Cli, Command, Global},
    failure::Failure,
    hints,
};

/// Runs the command. With a failure returns a hint, if there is one and hints are wanted.
pub(crate) async fn run(cli: Cli) -> (Result<(), Failure>, Option<String>) {
    let done = dispatch(cli.command, &cli.global).await;
    let trouble = done.as_ref().err().and_then(hints::of_failure);
    let hint = match trouble.filter(|_| !cli.global.quiet) {
        Some(trouble) => hints::hint(trouble, &cli.global.used).await,
        None => None,
    };
    (done, hint)
}

async fn dispatch(command: Command, global: &Global) -> Result<(), Failure> {
    match command {
        Command::Local(command) => command.run(global).await,
        Command::Put(command) => command.run(global).await,
        Command::Get(command) => command.run(global).await,
        Command::Load(command) => command.run(global).await,
        Command::Deliver(command) => Box::pin(command.run(global)).await,
        Command::Sql(command) => Box::pin(command.run(global)).await,
        Command::ListCheckpoints(command) => command.run().await,
        Command::PruneCheckpoints(command) => command.run(global).await,
        Command::Transform(command) => command.run(global),
        Command::Leases(command) => command.run(global).await,
        Command::Lag(command) => command.run(global).await,
        Command::Redrive(command) => command.run(global).await,
        Command::Streams(command) => command.run(global).await,
        Command::Shards(command) => command.run(global).await,
        Command::Create(command) => command.run(global).await,
        Command::Delete(command) => command.run(global).await,
        Command::Split(command) => command.run(global).await,
        Command::Merge(command) => command.run(global).await,
        Command::Describe(command) => command.run(global).await,
        Command::Scale(command) => command.run(global).await,
        Command::Retention(command) => command.run(global).await,
        Command::Mode(command) => command.run(global).await,
        Command::Tags(command) => command.run(global).await,
        Command::Consumers(command) => command.run(global).await,
        Command::Completions(command) => command.run(),
        Command::Man(command) => command.run(),
    }
}
