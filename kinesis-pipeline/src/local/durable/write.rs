//! The writer of changes: one thread, which writes one batch at a time for all waiting calls.

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    chunk,
    directory::Directory,
    store::{self, Batch, Key, Store, StoreError},
};
use crate::{
    clock::Clock,
    local::{
        LocalError, locks,
        state::{
            account::Account,
            changes::{Changes, Extent, Round, Task},
            saved::{SavedAccount, SavedStream},
            stream::Stream,
        },
    },
};

/// The longest time between a write and its sync to the disk.
const SYNC_AFTER: Duration = Duration::from_secs(1);
/// The largest number of records and bytes of one value, unless a single record is larger.
const CHUNK_RECORDS_MAX: usize = 10_000;
const CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// The size at which a batch is full, in bytes.
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
const _: () = assert!(CHUNK_BYTES_MAX <= BATCH_BYTES_MAX);

/// The part of each stream that is on disk, by generation: its shards by index.
pub(super) type Kept = BTreeMap<u64, BTreeMap<u32, KeptShard>>;

/// The part of a shard that is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeptShard {
    /// The counter of the first record that is there.
    pub(super) first: u64,
    /// The counter of the first record that is not there yet.
    pub(super) next: u64,
}

/// The thread that writes a Kinesis to disk. Dropping it waits until all changes are written.
#[derive(Debug)]
pub(in crate::local) struct Keeper {
    changes: Arc<Changes>,
    thread: Option<JoinHandle<()>>,
}

/// The state of the writing thread.
pub(super) struct Writer {
    store: Store,
    /// The directory, dropped after the store, so that its lock is released last.
    directory: Directory,
    here: (String, String),
    account: Arc<Account>,
    changes: Arc<Changes>,
    kept: Kept,
    batch: Option<Batch>,
    /// The shards whose records are in the batch, and up to which counter.
    batched: Vec<(Arc<Stream>, u32, u64)>,
    clock: Clock,
    /// The time of the first write that is not synced.
    unsynced_since: Option<Instant>,
}

/// A guard that tells waiting calls, however the thread ends, that no change reaches the disk any more.
struct Ended(Arc<Changes>);

/// Returns an error and its causes.
fn words(error: &dyn std::error::Error) -> String {
    match error.source() {
        None => error.to_string(),
        Some(source) => format!("{error}: {}", words(source)),
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.fail("it has ended".to_owned());
    }
}

impl Keeper {
    pub(super) fn start(writer: Writer) -> Result<Self, LocalError> {
        let changes = writer.changes.clone();
        let path = writer.directory.path().to_owned();
        let thread = thread::Builder::new().name("kinesis-keeper".to_owned());
        let thread = thread
            .spawn(move || writer.run())
            .map_err(|error: io::Error| LocalError::unusable(&path, error))?;
        Ok(Self {
            changes,
            thread: Some(thread),
        })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.changes.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported to the waiting calls.
            let _ = thread.join();
        }
    }
}

impl Writer {
    pub(super) fn new(
        directory: Directory,
        store: Store,
        here: (String, String),
        account: Arc<Account>,
        changes: Arc<Changes>,
        kept: Kept,
    ) -> Self {
        Self {
            store,
            directory,
            here,
            account,
            changes,
            kept,
            batch: None,
            batched: Vec::new(),
            clock: Clock::system(),
            unsynced_since: None,
        }
    }

    fn run(mut self) {
        let _ended = Ended(self.changes.clone());
        loop {
            let patience = self.unsynced_since.map(|_| SYNC_AFTER);
            let done = match self.changes.take(patience) {
                Task::Keep(round) => self.keep(&round),
                Task::Rest => self.sync(),
                Task::End => break,
            };
            if let Err(error) = done {
                self.report(&error);
                self.changes.fail(words(&error));
                return;
            }
        }
        // No call waits any more, and the store syncs when it closes too.
        if let Err(error) = self.sync() {
            self.report(&error);
        }
    }

    fn report(&self, error: &StoreError) {
        let path = self.directory.path().display();
        tracing::error!(%path, ?error, "the data directory cannot be written");
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.unsynced_since = None;
        self.store.sync()
    }

    /// Writes all that a round names.
    fn keep(&mut self, round: &Round) -> Result<(), StoreError> {
        if round.account {
            self.put_account();
        }
        let streams: BTreeMap<u64, Arc<Stream>> = locks::read(&self.account.streams)
            .values()
            .filter(|stream| round.streams.contains_key(&stream.generation))
            .map(|stream| (stream.generation, stream.clone()))
            .collect();
        // Older generations first: an earlier stream of a name is removed before the current one is written.
        for (generation, extent) in &round.streams {
            match streams.get(generation) {
                Some(stream) if !stream.as_it_stands().is_gone() => {
                    self.keep_stream(stream, *extent)?;
                }
                _ => self.forget_stream(*generation)?,
            }
        }
        self.commit()?;
        self.changes.set_kept(round.marks);
        let since = self.unsynced_since;
        if since.is_some_and(|since| self.clock.instant() >= since + SYNC_AFTER) {
            self.sync()?;
        }
        Ok(())
    }

    fn put_account(&mut self) {
        let account = SavedAccount {
            region: self.here.0.clone(),
            account_id: self.here.1.clone(),
            next_generation: self.account.next_generation(),
            commitment: self.account.commitment(),
            deleted: self.account.deleted(),
        };
        self.put(Key::Account, store::encode(&account));
    }

    fn keep_stream(&mut self, stream: &Arc<Stream>, extent: Extent) -> Result<(), StoreError> {
        if extent == Extent::Whole || !self.kept.contains_key(&stream.generation) {
            self.keep_settings(stream)?;
        }
        let Some(shards) = self.kept.get(&stream.generation) else {
            return Ok(());
        };
        // Shards that came since the settings were written are left to the next round, which they marked.
        let behind: Vec<u32> = {
            let state = stream.as_it_stands();
            let is_behind = |index: &u32, kept: &KeptShard| {
                let shard = state.topology.shard(*index);
                shard.is_some_and(|shard| shard.log(0).next() > kept.next)
            };
            let shards = shards.iter().filter(|(index, kept)| is_behind(index, kept));
            shards.map(|(index, _)| *index).collect()
        };
        for index in behind {
            while self.keep_records(stream, index) {
                self.commit_if_full()?;
            }
        }
        Ok(())
    }

    /// Writes the state of a stream without its records, and removes the entries that it no longer has.
    fn keep_settings(&mut self, stream: &Arc<Stream>) -> Result<(), StoreError> {
        let (saved, logs) = {
            let state = stream.as_it_stands();
            let logs = state.topology.shards().map(|shard| {
                let log = shard.log(0);
                (
                    shard.index,
                    (log.first(), log.next(), log.last_arrived_millis()),
                )
            });
            let logs: BTreeMap<u32, _> = logs.collect();
            (SavedStream::of(stream, &state), logs)
        };
        let generation = stream.generation;
        self.put(Key::Stream(generation), store::encode(&saved));
        let kept = self.kept.entry(generation).or_default();
        for index in logs.keys() {
            let unkept = KeptShard { first: 1, next: 1 };
            kept.entry(*index).or_insert(unkept);
        }
        let kept = kept.clone();
        for (index, on_disk) in kept {
            match logs.get(&index) {
                None => self.forget_shard(generation, index)?,
                Some((first, next, arrived)) if *first > on_disk.first => {
                    self.put(
                        Key::Tail(generation, index),
                        store::encode(&(*next, *arrived)),
                    );
                    self.trim(generation, index, (on_disk.first, *first), *first == *next)?;
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Writes the next chunk of a shard's records, if there are any that are not on disk.
    fn keep_records(&mut self, stream: &Arc<Stream>, index: u32) -> bool {
        let shards = self.kept.get_mut(&stream.generation);
        let Some(kept) = shards.and_then(|shards| shards.get_mut(&index)) else {
            return false;
        };
        let page = {
            let state = stream.as_it_stands();
            let Some(shard) = state.topology.shard(index) else {
                return false;
            };
            let log = shard.log(0);
            log.read(kept.next, CHUNK_RECORDS_MAX, CHUNK_BYTES_MAX)
        };
        kept.next = page.next;
        let Some(first) = page.records.first() else {
            return false;
        };
        let key = Key::Records(stream.generation, index, first.counter);
        self.put(key, chunk::encode(&page.records));
        self.batched.push((stream.clone(), index, page.next));
        true
    }

    /// Removes the chunks whose records have all expired: those between the two counters.
    fn trim(
        &mut self,
        generation: u64,
        index: u32,
        (from, first): (u64, u64),
        all: bool,
    ) -> Result<(), StoreError> {
        let key = |counter| Key::Records(generation, index, counter);
        // A chunk's records have expired if the next chunk begins at the first retained record, or before it.
        let mut last = None;
        for found in self.store.keys(&(key(from)..=key(first))) {
            if let Some(expired) = last.replace(found?) {
                self.remove(expired)?;
            }
        }
        let first_on_disk = match last {
            Some(Key::Records(_, _, counter)) if counter >= first || !all => counter,
            Some(expired) => {
                self.remove(expired)?;
                first
            }
            None => first,
        };
        let shards = self.kept.get_mut(&generation);
        if let Some(kept) = shards.and_then(|shards| shards.get_mut(&index)) {
            kept.first = first_on_disk.max(kept.first);
        }
        Ok(())
    }

    fn forget_shard(&mut self, generation: u64, index: u32) -> Result<(), StoreError> {
        if let Some(shards) = self.kept.get_mut(&generation) {
            shards.remove(&index);
        }
        let key = |counter| Key::Records(generation, index, counter);
        self.remove_range(key(0), key(u64::MAX))?;
        self.remove(Key::Tail(generation, index))
    }

    /// Removes a stream. Its own entry goes last: after a crash, the rest is found by it.
    fn forget_stream(&mut self, generation: u64) -> Result<(), StoreError> {
        self.kept.remove(&generation);
        self.remove_range(
            Key::Records(generation, 0, 0),
            Key::Records(generation, u32::MAX, u64::MAX),
        )?;
        self.remove_range(Key::Tail(generation, 0), Key::Tail(generation, u32::MAX))?;
        self.remove(Key::Stream(generation))
    }

    fn remove_range(&mut self, from: Key, to: Key) -> Result<(), StoreError> {
        // What waits in the batch is not found in the store.
        self.commit()?;
        for key in self.store.keys(&(from..=to)) {
            self.remove(key?)?;
        }
        Ok(())
    }

    fn put(&mut self, key: Key, value: Vec<u8>) {
        let batch = self.batch.get_or_insert_with(|| self.store.batch());
        self.store.put(batch, key, value);
    }

    fn remove(&mut self, key: Key) -> Result<(), StoreError> {
        let batch = self.batch.get_or_insert_with(|| self.store.batch());
        self.store.remove(batch, key);
        self.commit_if_full()
    }

    fn commit_if_full(&mut self) -> Result<(), StoreError> {
        let batch = self.batch.as_ref();
        if batch.is_some_and(|batch| batch.bytes() >= BATCH_BYTES_MAX) {
            return self.commit();
        }
        Ok(())
    }

    /// Hands the batch to the operating system, and tells the shards what they have on disk.
    fn commit(&mut self) -> Result<(), StoreError> {
        let Some(batch) = self.batch.take() else {
            return Ok(());
        };
        batch.commit()?;
        self.unsynced_since
            .get_or_insert_with(|| self.clock.instant());
        for (stream, index, next) in self.batched.drain(..) {
            if let Some(shard) = stream.as_it_stands().topology.shard(index) {
                shard.set_kept(next);
            }
        }
        Ok(())
    }
}
