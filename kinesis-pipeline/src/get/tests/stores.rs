//! Every store that checkpoints are kept in.

use std::{future::ready, sync::Arc};

use crate::{
    Checkpoint, CheckpointFuture, CheckpointStore, FileCheckpoints, MemoryCheckpoints, ShardId,
    apart::Apart,
};

pub(super) type AnyStore = Arc<dyn CheckpointStore>;

/// An empty store of each kind.
pub(super) fn stores() -> Vec<AnyStore> {
    let stores: Vec<AnyStore> = vec![Arc::new(MemoryCheckpoints::new()), Arc::new(file())];
    #[cfg(all(feature = "dynamodb", feature = "local-server"))]
    let stores = [stores, vec![Arc::new(dynamodb())]].concat();
    stores
}

impl<S: CheckpointStore> CheckpointStore for Apart<S> {
    fn load<'a>(&'a self, app: &'a str, stream: &'a str) -> CheckpointFuture<'a, Vec<Checkpoint>> {
        Box::pin(ready(self.call(self.store.load(app, stream))))
    }

    fn save<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        checkpoints: Vec<Checkpoint>,
    ) -> CheckpointFuture<'a, ()> {
        Box::pin(ready(self.call(self.store.save(app, stream, checkpoints))))
    }

    fn remove<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        shards: Vec<ShardId>,
    ) -> CheckpointFuture<'a, ()> {
        Box::pin(ready(self.call(self.store.remove(app, stream, shards))))
    }
}

fn file() -> Apart<FileCheckpoints> {
    Apart::in_a_folder(|folder| FileCheckpoints::new(folder.join("checkpoints.json")))
}

#[cfg(all(feature = "dynamodb", feature = "local-server"))]
fn dynamodb() -> Apart<crate::DynamoDbCheckpoints> {
    Apart::in_dynamodb(crate::DynamoDbCheckpoints::with_client)
}
