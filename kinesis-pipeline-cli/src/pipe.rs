//! The reader of standard output, and the detection that it is gone.

#[cfg(unix)]
use std::{io, thread};

#[cfg(unix)]
use rustix::event::{PollFd, PollFlags, poll};
use tokio::sync::oneshot;

/// A watch that finds out, without writing, when the reader of standard output is gone.
#[derive(Debug)]
pub(crate) struct Reader(Option<oneshot::Receiver<()>>);

impl Reader {
    /// Starts the watch. A file has no reader that could go; on systems without this watch, only a write finds out.
    pub(crate) fn new() -> Self {
        let (gone, told) = oneshot::channel();
        watch(gone);
        Self(Some(told))
    }

    /// Waits until the reader is gone. Cancel safe.
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

/// Starts a thread that polls standard output, since tokio has no safe way to wait for an error alone. It ends with the
/// program.
#[cfg(unix)]
fn watch(gone: oneshot::Sender<()>) {
    let wait = move || {
        let stdout = io::stdout();
        // `poll` always reports errors and hang-ups, so no event is asked for.
        let mut watched = [PollFd::new(&stdout, PollFlags::empty())];
        let is_told = loop {
            match poll(&mut watched, None) {
                Err(rustix::io::Errno::INTR) => {}
                done => break done.is_ok(),
            }
        };
        if is_told {
            // The receiver may have been dropped.
            let _ = gone.send(());
        }
    };
    // Without the thread, only a write finds out.
    let _ = thread::Builder::new().name("pipe".to_owned()).spawn(wait);
}

#[cfg(not(unix))]
fn watch(_gone: oneshot::Sender<()>) {}
