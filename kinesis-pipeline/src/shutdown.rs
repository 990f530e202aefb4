//! The signals that tell a program to stop.

use std::io;

/// A signal that tells a program to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StopSignal {
    /// Ctrl-C: SIGINT on Unix.
    Interrupt,
    /// SIGTERM, as systemd, Docker, ECS and Kubernetes send it before they kill. Unix only.
    Terminate,
}

/// Waits for the first signal to stop: Ctrl-C or SIGTERM; on Windows, Ctrl-C.
///
/// From its first poll on, the signals no longer end the program, also after the call is dropped. Cancel safe.
///
/// ```no_run
/// # async fn work() {}
/// # async fn journey() -> std::io::Result<()> {
/// tokio::select! {
///     () = work() => {}
///     signal = kinesis_pipeline::shutdown::signal() => eprintln!("stopped by {:?}", signal?),
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The system refuses a handler.
///
/// # Panics
/// Outside of a tokio runtime with its I/O driver (`enable_io`), as all of tokio's signals.
pub async fn signal() -> io::Result<StopSignal> {
    tokio::select! {
        interrupt = tokio::signal::ctrl_c() => interrupt.map(|()| StopSignal::Interrupt),
        terminate = terminate() => terminate.map(|()| StopSignal::Terminate),
    }
}

#[cfg(unix)]
async fn terminate() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}

#[cfg(not(unix))]
async fn terminate() -> io::Result<()> {
    std::future::pending().await
}
