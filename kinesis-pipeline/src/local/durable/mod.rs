//! The embedded Kinesis on disk, in the data directory that the builder was given.
//!
//! ```text
//!   start ── directory (lock) ── store (open) ── load ──> Account, as it was
//!                                                            │ marks
//!   call ── changes the state ── waits until kept       state::changes
//!                                     ▲                      │ rounds
//!                                     └─── write: one thread ◄┘ ──> store (batch) ──> disk
//! ```
//!
//! # What survives
//!
//! A call answers after what it did, and what it saw, was handed to the operating system: an answered put
//! survives a `kill -9`, and a record that does not is never read. The disk is told to write at most a second
//! later: a power cut takes away at most the last second, or more if the disk lies. One call's records are not
//! one unit: a crash before the answer can keep some of them, as a lost answer does on the service. Per shard
//! what is kept is always a beginning of what was put.
//!
//! All records are read back into memory, where they are read from: a data directory can hold what memory can,
//! about the records' bytes and 50 more for each. Expired ones leave the disk as they leave memory, when their
//! stream is next in use.
//!
//! A call's answer waits for one write of all calls that came meanwhile; the tasks of the server never touch
//! the disk. A write that fails ends all answers: each call then says that nothing is kept any more.
//!
//! # The store
//!
//! fjall, a log-structured store whose journal hands every batch to the operating system and cuts a tail that
//! was not written to its end. redb was the other choice: one dependency instead of 20, and 5 seconds to build
//! on two cores instead of 14; but it keeps nothing without telling the disk to write, so a put of 1 KiB took
//! 5,500 microseconds on a small machine and 22 with fjall.

mod chunk;
mod directory;
mod load;
mod store;
#[cfg(test)]
mod tests;
mod write;

use std::{path::PathBuf, sync::Arc};

use self::{directory::Directory, load::Loaded, store::Store, write::Writer};
use super::{
    LocalError,
    core::{Core, Settings},
    state::{account::Account, changes::Changes},
};
use crate::clock::Clock;

pub(super) use write::Keeper;

/// Starts a Kinesis with what the data directory holds. The keeper keeps it there until it is dropped.
pub(super) async fn start(
    path: PathBuf,
    clock: Clock,
    settings: Settings,
) -> Result<(Core, Keeper), LocalError> {
    let here = (settings.region.clone(), settings.account_id.clone());
    let place = path.clone();
    let opened = tokio::task::spawn_blocking(move || open(path, here)).await;
    // The store's own words have gone to the panic hook; what is left to say is where it happened.
    let (account, keeper) = opened.map_err(|panic| LocalError::damaged(&place, panic))??;
    let core = Core::with_account(clock, settings, account);
    drop(core.streams(core.now_millis()));
    core.kept().await.map_err(LocalError::refused)?;
    Ok((core, keeper))
}

fn open(path: PathBuf, here: (String, String)) -> Result<(Arc<Account>, Keeper), LocalError> {
    let directory = Directory::take(path)?;
    let store = Store::open(&directory)?;
    let changes = Arc::new(Changes::new());
    let Loaded { account, kept } = load::load(&store, &directory, &here, &changes)?;
    let account = Arc::new(account);
    let writer = Writer::new(directory, store, here, account.clone(), changes, kept);
    Ok((account, Keeper::start(writer)?))
}
