//! Calls that wait for new credentials.

use std::time::Duration;

use super::LeaseError;
use crate::Clock;

/// The longest wait of a call while the source of the credentials fails. A reader allows 30 s for a whole call. It
/// repeats a failed save, but not the load at its opening.
const WAIT_MAX: Duration = Duration::from_secs(20);
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
const _: () = assert!(PAUSE_MAX.as_millis() < WAIT_MAX.as_millis());

/// Repeats a call while it fails for want of credentials. Such a call did nothing, or may be made twice.
pub(super) async fn signed<T, F>(clock: &Clock, call: impl Fn() -> F) -> Result<T, LeaseError>
where
    F: Future<Output = Result<T, LeaseError>>,
{
    let began = clock.instant();
    let mut pause = PAUSE_FIRST;
    loop {
        match call().await {
            Err(error) if error.awaits_credentials() && clock.instant() - began < WAIT_MAX => {
                tracing::debug!(%error, "waiting for credentials");
            }
            done => return done,
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
