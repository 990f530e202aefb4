use std::{
    collections::BTreeMap,
    future::ready,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Checkpoint, CheckpointFuture, CheckpointStore};
use crate::shard::ShardId;

/// Checkpoints in memory: for tests, and for readers that are opened again within one process.
#[derive(Debug, Default)]
pub struct MemoryCheckpoints {
    tables: Mutex<BTreeMap<(String, String), BTreeMap<ShardId, Checkpoint>>>,
}

impl MemoryCheckpoints {
    /// Makes a store without checkpoints.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(
        &self,
        app: &str,
        stream: &str,
        change: impl FnOnce(&mut BTreeMap<ShardId, Checkpoint>) -> T,
    ) -> CheckpointFuture<'static, T>
    where
        T: Send + 'static,
    {
        let key = (app.to_owned(), stream.to_owned());
        let mut tables: MutexGuard<'_, _> =
            self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(ready(Ok(change(tables.entry(key).or_default()))))
    }
}

impl CheckpointStore for MemoryCheckpoints {
    fn load<'a>(&'a self, app: &'a str, stream: &'a str) -> CheckpointFuture<'a, Vec<Checkpoint>> {
        self.with(app, stream, |table| table.values().cloned().collect())
    }

    fn save<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        checkpoints: Vec<Checkpoint>,
    ) -> CheckpointFuture<'a, ()> {
        self.with(app, stream, |table| {
            table.extend(
                checkpoints
                    .into_iter()
                    .map(|row| (row.shard_id.clone(), row)),
            );
        })
    }

    fn remove<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        shards: Vec<ShardId>,
    ) -> CheckpointFuture<'a, ()> {
        self.with(app, stream, |table| {
            for shard_id in shards {
                table.remove(&shard_id);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::get::checkpoint::conformance;

    #[tokio::test]
    async fn a_store_in_memory_conforms() {
        conformance::check(&MemoryCheckpoints::new()).await;
    }
}
