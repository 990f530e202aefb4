//! Every store that leases are kept in.

use std::{future::ready, sync::Arc};

use crate::{
    FileLeases, Lease, LeaseFuture, LeaseStore, LeaseWrite, LeaseWritten, MemoryLeases,
    apart::Apart,
};

pub(super) type AnyLeases = Arc<dyn LeaseStore>;

/// An empty store of each kind.
pub(super) fn stores() -> Vec<AnyLeases> {
    let stores: Vec<AnyLeases> = vec![Arc::new(MemoryLeases::new()), Arc::new(file())];
    #[cfg(all(feature = "dynamodb", feature = "local-server"))]
    let stores = [stores, vec![Arc::new(dynamodb()) as AnyLeases]].concat();
    stores
}

impl<S: LeaseStore> LeaseStore for Apart<S> {
    fn list<'a>(&'a self, app: &'a str) -> LeaseFuture<'a, Vec<Lease>> {
        Box::pin(ready(self.call(self.store.list(app))))
    }

    fn write<'a>(&'a self, app: &'a str, write: LeaseWrite) -> LeaseFuture<'a, LeaseWritten> {
        Box::pin(ready(self.call(self.store.write(app, write))))
    }
}

fn file() -> Apart<FileLeases> {
    Apart::in_a_folder(|folder| FileLeases::new(folder.join("leases.json")))
}

#[cfg(all(feature = "dynamodb", feature = "local-server"))]
fn dynamodb() -> Apart<crate::DynamoDbLeases> {
    Apart::in_dynamodb(crate::DynamoDbLeases::with_client)
}
