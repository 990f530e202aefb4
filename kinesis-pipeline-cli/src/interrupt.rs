/// The exit status of a program that a signal ended, as shells have it for Ctrl-C.
const INSISTED: i32 = 130;

/// Returns when the user or the system asks the program to end: Ctrl-C or SIGTERM. Who asks again does not
/// wait for what is being finished.
pub(crate) async fn asked_to_end() {
    signalled().await;
    tokio::spawn(async {
        signalled().await;
        std::process::exit(INSISTED);
    });
}

async fn signalled() {
    tokio::select! {
        () = ctrl_c() => {}
        () = terminated() => {}
    }
}

/// A signal that cannot be listened for keeps its default: it ends the program at once.
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
