//! The embedded Kinesis on disk, in the builder's data directory.
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
//! A call answers after all changes that it made or read were handed to the operating system. So an answered put survives
//! a `kill -9`, and a record that would not survive is never read. The disk is synced at most a second later: a power cut
//! loses at most the last second, or more if the disk lies. The records of one call are not one unit: a crash before the
//! answer can keep some of them, like a lost answer on the service. The kept records of a shard are always a prefix of
//! those that were put.
//!
//! All records are loaded into memory and read from there, so a data directory can hold as much as memory: the records'
//! bytes and about 50 more for each. Expired records leave the disk as they leave memory, when their stream is next used.
//!
//! An answer waits for one write of all calls that came meanwhile; the tasks of the server never touch the disk. After a
//! write has failed, each call is answered with an error that says that nothing is kept any more.
//!
//! # The store
//!
//! fjall is a log-structured store. Its journal hands every batch to the operating system, and cuts off a tail that was
//! not written to its end. redb would have one dependency instead of 20, and build in 5 seconds on two cores instead of
//! 14; but it syncs the disk for each commit, so a put of 1 KiB takes 5,500 microseconds on a small machine, and 22 with
//! fjall.

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

/// Starts a Kinesis with the contents of the data directory. The keeper writes changes there until it is dropped.
pub(super) async fn start(
    path: PathBuf,
    clock: Clock,
    settings: Settings,
) -> Result<(Core, Keeper), LocalError> {
    let here = (settings.region.clone(), settings.account_id.clone());
    let place = path.clone();
    let opened = tokio::task::spawn_blocking(move || open(path, here)).await;
    // The store's own message has gone to the panic hook; the error adds the place.
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
