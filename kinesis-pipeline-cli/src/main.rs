//! The program `kinesis-pipeline`: an embedded Kinesis, put and get, and commands that manage streams.
//!
//! Data goes to standard output, everything else to standard error. It exits with 0 when it has done all that it was
//! asked for, with 1 when it failed, with 2 when the command line was wrong, with 3 when `lag --max` found a fleet too
//! far behind, with 130 or 143 when a signal ended it early.

mod calls;
mod cli;
mod commands;
mod connect;
mod data;
mod failure;
mod filters;
mod hints;
mod interrupt;
mod lease_table;
mod logging;
mod output;
mod pipe;
mod progress_bar;
mod sdk;
mod shards;
mod values;
mod worker_options;

use std::process::ExitCode;

use clap::Parser;

use cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(cli.global.quiet, cli.global.verbose);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failure::exit(Err(error.into())),
    };
    let (done, hint) = runtime.block_on(commands::run(cli));
    let status = failure::exit(done);
    if let Some(hint) = hint {
        progress_bar::tell(&format!("hint: {}", output::visible(&hint)));
    }
    // A read of standard input that waits for a line cannot be cancelled, and unsent records are reported already: the
    // process ends without waiting for either.
    std::mem::forget(runtime);
    status
}
