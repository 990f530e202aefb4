//! Signals that ask the program to end.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use crate::{failure::Failure, progress_bar::tell};

/// A signal that asks for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// SIGINT, Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    /// Returns the exit status of a program that the signal ended, by the convention of shells.
    pub(crate) fn status(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// The first signal that came, if any. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked(Arc<OnceLock<Signal>>);

impl Asked {
    /// Returns the signal, if one has come.
    pub(crate) fn signal(&self) -> Option<Signal> {
        self.0.get().copied()
    }

    /// Waits until the user or the system asks the program to end: Ctrl-C or SIGTERM. A second signal then ends the
    /// program at once, after `last_words`.
    pub(crate) async fn to_end(&self, last_words: impl FnOnce(Signal) + Send + 'static) {
        let signal = signalled().await;
        // It is set only here.
        let _ = self.0.set(signal);
        tokio::spawn(async {
            let signal = signalled().await;
            last_words(signal);
            std::process::exit(signal.status().into());
        });
    }
}

/// Runs the work of a command, and ends it at a signal with one line: `stopped by SIGINT`, then the words.
pub(crate) async fn or_stopped<T>(
    work: impl Future<Output = Result<T, Failure>>,
    words: impl Fn() -> String,
) -> Result<T, Failure> {
    let asked = Asked::default();
    tokio::select! {
        done = work => done,
        () = asked.to_end(|_| ()) => {
            // It is set by now.
            let signal = asked.signal().unwrap_or(Signal::Interrupt);
            tell(&format!("stopped by {signal} {}", words()));
            Err(Failure::Stopped(signal))
        }
    }
}

async fn signalled() -> Signal {
    tokio::select! {
        () = ctrl_c() => Signal::Interrupt,
        () = terminated() => Signal::Terminate,
    }
}

/// Waits for Ctrl-C. If the handler cannot be installed, the signal keeps its default and ends the program at once.
async fn ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
async fn terminated() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}
