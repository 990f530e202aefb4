//! The reading side of standard output.

#[cfg(unix)]
use std::{io, thread};

#[cfg(unix)]
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::oneshot;

/// Tells when nobody reads standard output any more, without writing to it.
#[derive(Debug)]
pub(crate) struct Reader(Option<oneshot::Receiver<()>>);

impl Reader {
    /// The reader of standard output. A file has none that could go, and where the system cannot tell it is found out
    /// by writing.
    pub(crate) fn new() -> Self {
        let (gone, told) = oneshot::channel();
        watch(gone);
        Self(Some(told))
    }

    /// Returns when the reader is gone. Cancel safe.
    pub(crate) async fn gone(&mut self) {
        if let Some(told) = &mut self.0 {
            if told.await.is_ok() {
                return;
            }
            self.0 = None;
        }
        std::future::pending::<()>().await;
    }
}

/// A thread that waits in the system, since tokio has no safe way to wait for an error alone. It ends with the program.
#[cfg(unix)]
fn watch(gone: oneshot::Sender<()>) {
    let wait = move || {
        let stdout = io::stdout();
        // Errors and hang-ups are always told of.
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        let is_told = loop {
            match poll(&mut watched, None) {
                Err(rustix::io::Errno::INTR) => {}
                done => break done.is_ok(),
            }
        };
        if is_told {
            // The program may have ended its waiting.
            let _ = gone.send(());
        }
    };
    // Without a thread it is found out by writing.
    let _ = thread::Builder::new().name("pipe".to_owned()).spawn(wait);
}

#[cfg(not(unix))]
fn watch(_gone: oneshot::Sender<()>) {}
