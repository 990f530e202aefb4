//! The store on disk: the only file that knows which one it is.
//!
//! | key | value |
//! |---|---|
//! | `a` | the account |
//! | `s` generation | a stream |
//! | `t` generation, shard | where a shard's counter stands, once records have expired |
//! | `r` generation, shard, counter | records from this counter on |
//!
//! Numbers in keys are big-endian, so that the order of the keys is the order of the records.

use std::{fs, io, ops::RangeInclusive, path::Path};

use fjall::{
    Database, Guard, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, UserValue,
};
use serde::{Serialize, de::DeserializeOwned};

use super::directory::Directory;
use crate::local::LocalError;

const STORE: &str = "store";
/// The file that the store writes last when it is made.
const STORE_VERSION: &str = "version";
const KEYSPACE: &str = "kinesis";
/// The size of the cache, which stays small: after loading, the store is only written.
const CACHE_BYTES: u64 = 8 * 1024 * 1024;
const MEMTABLE_BYTES_MAX: u64 = 16 * 1024 * 1024;
const JOURNAL_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// The number of threads that merge files in the background. Writes are small, so one is enough.
const WORKER_THREADS: usize = 1;

/// A key of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Account,
    Stream(u64),
    Tail(u64, u32),
    Records(u64, u32, u64),
}

/// An open store.
pub(super) struct Store {
    database: Database,
    keyspace: Keyspace,
}

/// Writes that come together.
pub(super) struct Batch {
    writes: OwnedWriteBatch,
    bytes: usize,
}

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error("the store failed")]
    Store(#[from] fjall::Error),
    #[error("the value of {0:?} is not what this version writes")]
    Value(Key),
    #[error("a key of {0} bytes is not one of this version's")]
    Key(usize),
}

impl Key {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Account => vec![b'a'],
            Self::Stream(generation) => [&b"s"[..], &generation.to_be_bytes()].concat(),
            Self::Tail(generation, shard) => {
                [&b"t"[..], &generation.to_be_bytes(), &shard.to_be_bytes()].concat()
            }
            Self::Records(generation, shard, counter) => [
                &b"r"[..],
                &generation.to_be_bytes(),
                &shard.to_be_bytes(),
                &counter.to_be_bytes(),
            ]
            .concat(),
        }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (generation, after) = match rest.split_first_chunk() {
            Some((generation, after)) => (u64::from_be_bytes(*generation), after),
            None => return (bytes == b"a").then_some(Self::Account),
        };
        let (shard, last) = match after.split_first_chunk() {
            Some((shard, last)) => (u32::from_be_bytes(*shard), last),
            None => return (*kind == b's' && after.is_empty()).then_some(Self::Stream(generation)),
        };
        match (kind, last) {
            (b't', []) => Some(Self::Tail(generation, shard)),
            (b'r', counter) => {
                let counter = u64::from_be_bytes(counter.try_into().ok()?);
                Some(Self::Records(generation, shard, counter))
            }
            _ => None,
        }
    }
}

impl Store {
    /// Opens the store of a data directory; makes it if it is absent or was not made to its end.
    pub(super) fn open(directory: &Directory) -> Result<Self, LocalError> {
        let path = directory.path().join(STORE);
        discard_unfinished(&path).map_err(|error| LocalError::unusable(&path, error))?;
        open(&path).map_err(|error| refusal(&path, error))
    }

    /// Returns all entries in the order of the keys.
    pub(super) fn entries(
        &self,
    ) -> impl Iterator<Item = Result<(Key, UserValue), StoreError>> + use<> {
        self.keyspace.iter().map(|entry| {
            let (key, value) = entry.into_inner()?;
            Ok((parse(&key)?, value))
        })
    }

    /// Returns the keys from one to another.
    pub(super) fn keys(
        &self,
        range: &RangeInclusive<Key>,
    ) -> impl Iterator<Item = Result<Key, StoreError>> + use<> {
        let range = range.start().bytes()..=range.end().bytes();
        let key = |entry: Guard| parse(&entry.key()?);
        self.keyspace.range(range).map(key)
    }

    pub(super) fn batch(&self) -> Batch {
        Batch {
            writes: self.database.batch().durability(Some(PersistMode::Buffer)),
            bytes: 0,
        }
    }

    pub(super) fn put(&self, batch: &mut Batch, key: Key, value: Vec<u8>) {
        let key = key.bytes();
        batch.bytes += key.len() + value.len();
        batch.writes.insert(&self.keyspace, key, value);
    }

    pub(super) fn remove(&self, batch: &mut Batch, key: Key) {
        let key = key.bytes();
        batch.bytes += key.len();
        batch.writes.remove(&self.keyspace, key);
    }

    /// Syncs: has the disk write all that the operating system was given.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        Ok(self.database.persist(PersistMode::SyncData)?)
    }
}

impl Batch {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Hands the writes to the operating system, all or none.
    pub(super) fn commit(self) -> Result<(), StoreError> {
        Ok(self.writes.commit()?)
    }
}

fn parse(key: &[u8]) -> Result<Key, StoreError> {
    Key::parse(key).ok_or(StoreError::Key(key.len()))
}

fn open(path: &Path) -> Result<Store, fjall::Error> {
    let database = Database::builder(path)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNAL_BYTES_MAX)
        .worker_threads(WORKER_THREADS)
        .open()?;
    let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES_MAX);
    let keyspace = database.keyspace(KEYSPACE, options)?;
    Ok(Store { database, keyspace })
}

/// Removes a store whose creation was interrupted: it holds nothing and cannot be opened.
fn discard_unfinished(path: &Path) -> io::Result<()> {
    let version = fs::metadata(path.join(STORE_VERSION));
    let is_finished = version.is_ok_and(|file| file.len() > 0);
    if is_finished || !path.exists() {
        return Ok(());
    }
    fs::remove_dir_all(path)
}

fn refusal(path: &Path, error: fjall::Error) -> LocalError {
    match error {
        fjall::Error::Locked => LocalError::in_use(path),
        fjall::Error::Io(error) if !is_damage(&error) => LocalError::unusable(path, error),
        error => LocalError::damaged(path, error),
    }
}

/// Whether an error means damaged contents, not a file that cannot be reached.
fn is_damage(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, InvalidData, InvalidInput, NotFound, Other, UnexpectedEof};
    matches!(
        error.kind(),
        AlreadyExists | InvalidData | InvalidInput | NotFound | Other | UnexpectedEof
    )
}

/// Writes a value that is not records.
pub(super) fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).expect("structs of numbers, texts and lists can be written")
}

/// Reads a value that is not records.
pub(super) fn decode<T: DeserializeOwned>(key: Key, bytes: &[u8]) -> Result<T, StoreError> {
    rmp_serde::from_slice(bytes).map_err(|_| StoreError::Value(key))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_survive_their_bytes_and_keep_their_order(
            a in (any::<u64>(), any::<u32>(), any::<u64>()),
            b in (any::<u64>(), any::<u32>(), any::<u64>()),
        ) {
            let records = |(generation, shard, counter)| Key::Records(generation, shard, counter);
            for key in [Key::Account, Key::Stream(a.0), Key::Tail(a.0, a.1), records(a)] {
                prop_assert_eq!(Key::parse(&key.bytes()), Some(key));
            }
            prop_assert_eq!(records(a).bytes().cmp(&records(b).bytes()), a.cmp(&b));
        }

        #[test]
        fn any_bytes_are_a_key_or_none(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            if let Some(key) = Key::parse(&bytes) {
                prop_assert_eq!(key.bytes(), bytes);
            }
        }
    }
}
