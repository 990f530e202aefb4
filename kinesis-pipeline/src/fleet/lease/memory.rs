use std::{
    collections::{BTreeMap, HashMap},
    future::ready,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Lease, LeaseFuture, LeaseStore, LeaseWrite, LeaseWritten};
use crate::shard::ShardId;

/// Leases in memory: for workers of one process, and for tests. Cheap to clone; clones are one store.
#[derive(Clone, Debug, Default)]
pub struct MemoryLeases {
    tables: Arc<Mutex<HashMap<String, Table>>>,
}

type Table = BTreeMap<ShardId, Lease>;

impl MemoryLeases {
    /// Makes a store without leases.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the stored lease of a shard.
    #[must_use]
    pub fn get(&self, app: &str, shard_id: &ShardId) -> Option<Lease> {
        self.lock().get(app)?.get(shard_id).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Table>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeaseStore for MemoryLeases {
    fn list<'a>(&'a self, app: &'a str) -> LeaseFuture<'a, Vec<Lease>> {
        let tables = self.lock();
        let leases = tables
            .get(app)
            .map(|table| table.values().cloned().collect());
        Box::pin(ready(Ok(leases.unwrap_or_default())))
    }

    fn write<'a>(&'a self, app: &'a str, write: LeaseWrite) -> LeaseFuture<'a, LeaseWritten> {
        // The lock is taken when the future is polled: a write that is dropped before that is not made.
        Box::pin(async move {
            let mut tables = self.lock();
            let table = tables.entry(app.to_owned()).or_default();
            Ok(write_to(table, &write))
        })
    }
}

/// Applies a write to a table.
pub(super) fn write_to(table: &mut Table, write: &LeaseWrite) -> LeaseWritten {
    let mut stored = table.remove(&write.seen.shard_id);
    let written = write.apply(&mut stored);
    if let Some(lease) = stored {
        table.insert(lease.shard_id.clone(), lease);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::lease::conformance;

    #[tokio::test(start_paused = true)]
    async fn a_store_in_memory_conforms() {
        conformance::check(&MemoryLeases::new()).await;
    }
}
