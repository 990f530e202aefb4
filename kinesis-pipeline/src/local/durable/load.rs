//! The loading of the store into memory.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{
    chunk,
    directory::Directory,
    store::{self, Key, Store, StoreError},
    write::{Kept, KeptShard},
};
use crate::local::{
    LocalError,
    state::{
        account::{Account, Deleted},
        changes::{Changes, Extent},
        log::Log,
        saved::{SavedAccount, SavedStream},
    },
};

/// The loaded account, and the part of it that is on disk.
pub(super) struct Loaded {
    pub(super) account: Account,
    pub(super) kept: Kept,
}

/// The contents of the store, before its parts are put together.
#[derive(Default)]
struct Parts {
    account: Option<SavedAccount>,
    streams: Vec<SavedStream>,
    /// The next counter and the newest arrival of shards whose records have expired.
    tails: BTreeMap<(u64, u32), (u64, u64)>,
    logs: BTreeMap<u64, BTreeMap<u32, Log>>,
    /// The counter of the first record on disk, expired or not.
    firsts: BTreeMap<(u64, u32), u64>,
}

/// Loads the account. `here` is the region and the account of the current settings.
pub(super) fn load(
    store: &Store,
    directory: &Directory,
    here: &(String, String),
    changes: &Arc<Changes>,
) -> Result<Loaded, LocalError> {
    let parts = read(store).map_err(|error| LocalError::damaged(directory.path(), error))?;
    let account = match parts.account.clone() {
        Some(account) => account,
        None => new_account(here, changes),
    };
    check_account(&account, directory, here)?;
    Ok(assemble(parts, &account, changes))
}

fn read(store: &Store) -> Result<Parts, StoreError> {
    let mut parts = Parts::default();
    for entry in store.entries() {
        let (key, value) = entry?;
        match key {
            Key::Account => parts.account = Some(store::decode(key, &value)?),
            Key::Stream(_) => parts.streams.push(store::decode(key, &value)?),
            Key::Tail(generation, shard) => {
                let tail = store::decode(key, &value)?;
                parts.tails.insert((generation, shard), tail);
            }
            Key::Records(generation, shard, counter) => {
                let records = chunk::decode(&value).ok_or(StoreError::Value(key))?;
                parts.firsts.entry((generation, shard)).or_insert(counter);
                let logs = parts.logs.entry(generation).or_default();
                let log = logs.entry(shard).or_insert_with(|| Log::resume(counter, 0));
                add(log, counter, records);
            }
        }
    }
    Ok(parts)
}

fn add(log: &mut Log, counter: u64, records: Vec<chunk::ChunkRecord<'_>>) {
    if counter > log.next() {
        // Records between expired before they were written: those before them have expired too.
        *log = Log::resume(counter, log.last_arrived_millis());
    }
    for record in records {
        let data = Bytes::copy_from_slice(record.data);
        log.append(&record.partition_key, data, record.arrived_millis);
    }
}

fn new_account((region, account_id): &(String, String), changes: &Changes) -> SavedAccount {
    changes.mark_account();
    SavedAccount {
        region: region.clone(),
        account_id: account_id.clone(),
        next_generation: 1,
        commitment: None,
        deleted: Deleted::new(),
    }
}

/// Checks that the region and account are those of the stored ARNs, which never change.
fn check_account(
    account: &SavedAccount,
    directory: &Directory,
    here: &(String, String),
) -> Result<(), LocalError> {
    if (&account.region, &account.account_id) == (&here.0, &here.1) {
        return Ok(());
    }
    Err(LocalError::settings(format!(
        "{} holds streams of account {} in {}: start with these, or with another directory",
        directory.path().display(),
        account.account_id,
        account.region
    )))
}

fn assemble(mut parts: Parts, account: &SavedAccount, changes: &Arc<Changes>) -> Loaded {
    let mut kept = Kept::default();
    let mut streams = BTreeMap::new();
    let mut next_generation = account.next_generation;
    for saved in std::mem::take(&mut parts.streams) {
        let generation = saved.generation;
        next_generation = next_generation.max(generation + 1);
        let (logs, shards) = parts.take_logs(&saved);
        kept.insert(generation, shards);
        let stream = saved.restore(logs, Some(changes.clone()));
        if stream.as_it_stands().is_gone() {
            changes.mark_stream(generation, Extent::Whole);
            continue;
        }
        for shard in stream.as_it_stands().topology.shards() {
            shard.set_kept(shard.log(0).next());
        }
        streams.insert(stream.name.clone(), Arc::new(stream));
    }
    let marks = Some(changes.clone());
    Loaded {
        account: Account::restore(
            streams,
            next_generation,
            account.commitment,
            account.deleted.clone(),
            marks,
        ),
        kept,
    }
}

impl Parts {
    /// Takes the logs of a stream's shards, with the parts of them that are on disk.
    fn take_logs(
        &mut self,
        stream: &SavedStream,
    ) -> (BTreeMap<u32, Log>, BTreeMap<u32, KeptShard>) {
        let mut logs = self.logs.remove(&stream.generation).unwrap_or_default();
        for shard in &stream.shards {
            let log = logs
                .entry(shard.index)
                .or_insert_with(|| Log::new(shard.created_millis));
            let tail = self.tails.get(&(stream.generation, shard.index));
            if let Some((next, last_arrived_millis)) = tail.copied()
                && next > log.next()
            {
                *log = Log::resume(next, last_arrived_millis);
            }
        }
        let shards = logs.iter().map(|(index, log)| {
            let first = self.firsts.get(&(stream.generation, *index)).copied();
            let shard = KeptShard {
                first: first.unwrap_or(log.next()),
                next: log.next(),
            };
            (*index, shard)
        });
        let shards = shards.collect();
        (logs, shards)
    }
}
