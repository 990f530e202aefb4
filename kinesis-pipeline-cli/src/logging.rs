use std::io;

use tracing_subscriber::EnvFilter;

/// Sends the library's events to standard error: warnings, more with `-v`, errors alone with `-q`. Events of other
/// crates are one level quieter: the SDK warns of failures that the program reports as its own errors. `RUST_LOG`
/// overrides all of this.
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
