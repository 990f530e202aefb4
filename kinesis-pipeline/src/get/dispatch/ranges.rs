use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::shard::{HashKeyRange, ShardId};

/// The hash-key range of each shard. Cheap to clone; clones share their contents.
///
/// The driver learns the ranges; the owner's side finds strays by them. The lock is held for one look or change only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranges(Arc<Mutex<HashMap<ShardId, HashKeyRange>>>);

impl Ranges {
    pub(in crate::get) fn learn(&self, shard_id: &ShardId, range: HashKeyRange) {
        self.lock().insert(shard_id.clone(), range);
    }

    pub(super) fn of(&self, shard_id: &ShardId) -> Option<HashKeyRange> {
        self.lock().get(shard_id).copied()
    }

    /// Forgets the shards that have expired.
    pub(in crate::get) fn retain(&self, is_kept: impl Fn(&ShardId) -> bool) {
        self.lock().retain(|shard_id, _| is_kept(shard_id));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ShardId, HashKeyRange>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
