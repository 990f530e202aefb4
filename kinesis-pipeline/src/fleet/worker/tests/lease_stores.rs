//! Every store that leases are kept in.

use std::{any::Any, fmt, fs, future::ready, path::PathBuf, sync::Arc, thread};

use tokio::runtime::{Builder, Runtime};

use crate::{FileLeases, Lease, LeaseFuture, LeaseStore, LeaseWrite, LeaseWritten, MemoryLeases};

pub(super) type AnyLeases = Arc<dyn LeaseStore>;

/// An empty store of each kind.
pub(super) fn stores() -> Vec<AnyLeases> {
    let stores: Vec<AnyLeases> = vec![Arc::new(MemoryLeases::new()), Arc::new(file())];
    #[cfg(all(feature = "dynamodb", feature = "local-server"))]
    let stores = [stores, vec![Arc::new(dynamodb()) as AnyLeases]].concat();
    stores
}

/// A store that needs threads or sockets, on a runtime of its own: the paused clock of a test knows nothing of them.
/// A call keeps the test's thread until it is done.
struct Apart {
    store: AnyLeases,
    runtime: Option<Runtime>,
    /// Dropped with the store.
    _resource: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for Apart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

impl Apart {
    fn call<T: Send + 'static>(&self, call: LeaseFuture<'_, T>) -> LeaseFuture<'_, T> {
        let runtime = self.runtime.as_ref().unwrap();
        let result = thread::scope(|scope| scope.spawn(|| runtime.block_on(call)).join().unwrap());
        Box::pin(ready(result))
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl LeaseStore for Apart {
    fn list<'a>(&'a self, app: &'a str) -> LeaseFuture<'a, Vec<Lease>> {
        self.call(self.store.list(app))
    }

    fn write<'a>(&'a self, app: &'a str, write: LeaseWrite) -> LeaseFuture<'a, LeaseWritten> {
        self.call(self.store.write(app, write))
    }
}

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

/// The path of a folder that is removed again.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn file() -> Apart {
    let name = format!("kinesis-pipeline-worker-{}", fastrand::u64(..));
    let path = std::env::temp_dir().join(name);
    fs::create_dir(&path).unwrap();
    Apart {
        store: Arc::new(FileLeases::new(path.join("leases.json"))),
        runtime: Some(runtime()),
        _resource: Box::new(Temporary(path)),
    }
}

#[cfg(all(feature = "dynamodb", feature = "local-server"))]
fn dynamodb() -> Apart {
    use crate::{DynamoDbLeases, LocalKinesis};

    let start = || {
        let runtime = runtime();
        let (store, server) = runtime.block_on(async {
            let local = LocalKinesis::start().await.unwrap();
            let server = local.serve_dynamodb("127.0.0.1:0").await.unwrap();
            let client = aws_sdk_dynamodb::Client::new(&server.sdk_config());
            (DynamoDbLeases::with_client(client), server)
        });
        Apart {
            store: Arc::new(store),
            runtime: Some(runtime),
            _resource: Box::new(server),
        }
    };
    thread::spawn(start).join().unwrap()
}
