use std::io;

use tracing_subscriber::EnvFilter;

/// Sends the library's events to standard error: warnings, more with `-v`, errors alone with `-q`. Others are
/// one level quieter: the SDK warns of what the program reports as its error. `RUST_LOG` overrides it all.
pub(crate) fn start(quiet: bool, verbose: u8) {
    let levels = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "error,kinesis_pipeline=warn",
        (false, 1) => "warn,kinesis_pipeline=info",
        (false, 2) => "info,kinesis_pipeline=debug",
        (false, _) => "debug,kinesis_pipeline=trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(levels));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_target(false)
        .init();
}
