//! Every store that checkpoints are kept in.

use std::{fs, path::PathBuf, sync::Arc};

use crate::{
    Checkpoint, CheckpointFuture, CheckpointStore, FileCheckpoints, MemoryCheckpoints, ShardId,
};

pub(super) type AnyStore = Arc<dyn CheckpointStore>;

/// An empty store of each kind.
pub(super) fn stores() -> Vec<AnyStore> {
    let stores: Vec<AnyStore> = vec![
        Arc::new(MemoryCheckpoints::new()),
        Arc::new(Temporary::new()),
    ];
    #[cfg(all(feature = "fleet", feature = "local-server"))]
    let stores = [stores, vec![Arc::new(dynamodb::Remote::start())]].concat();
    stores
}

/// A store in a file that is removed again.
#[derive(Debug)]
struct Temporary {
    path: PathBuf,
    store: FileCheckpoints,
}

impl Temporary {
    fn new() -> Self {
        let name = format!("kinesis-pipeline-{}-stores.json", fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        Self {
            store: FileCheckpoints::new(&path),
            path,
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

impl CheckpointStore for Temporary {
    fn load<'a>(&'a self, app: &'a str, stream: &'a str) -> CheckpointFuture<'a, Vec<Checkpoint>> {
        self.store.load(app, stream)
    }

    fn save<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        checkpoints: Vec<Checkpoint>,
    ) -> CheckpointFuture<'a, ()> {
        self.store.save(app, stream, checkpoints)
    }

    fn remove<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        shards: Vec<ShardId>,
    ) -> CheckpointFuture<'a, ()> {
        self.store.remove(app, stream, shards)
    }
}

#[cfg(all(feature = "fleet", feature = "local-server"))]
mod dynamodb {
    use std::{future::Future, thread};

    use tokio::runtime::{Builder, Runtime};

    use super::*;
    use crate::{DynamoDbCheckpoints, LocalKinesis, local::LocalDynamoDb};

    /// A store in an embedded DynamoDB that runs by the real clock, so that a test may pause its own.
    #[derive(Debug)]
    pub(super) struct Remote {
        store: DynamoDbCheckpoints,
        /// Kept while the store is used.
        _server: LocalDynamoDb,
        runtime: Option<Arc<Runtime>>,
    }

    impl Remote {
        pub(super) fn start() -> Self {
            let start = || {
                let runtime = Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .unwrap();
                let (store, server) = runtime.block_on(async {
                    let local = LocalKinesis::start().await.unwrap();
                    let server = local.serve_dynamodb("127.0.0.1:0").await.unwrap();
                    let client = aws_sdk_dynamodb::Client::new(&server.sdk_config());
                    (DynamoDbCheckpoints::with_client(client), server)
                });
                Self {
                    store,
                    _server: server,
                    runtime: Some(Arc::new(runtime)),
                }
            };
            thread::spawn(start).join().unwrap()
        }

        /// Runs a call to its end on a thread that may block: a paused clock stands still meanwhile.
        fn call<T, F>(
            &self,
            call: impl FnOnce(DynamoDbCheckpoints) -> F + Send + 'static,
        ) -> CheckpointFuture<'static, T>
        where
            T: Send + 'static,
            F: Future<Output = Result<T, crate::CheckpointError>>,
        {
            let (store, runtime) = (self.store.clone(), self.runtime.clone().unwrap());
            let call = tokio::task::spawn_blocking(move || runtime.handle().block_on(call(store)));
            Box::pin(async { call.await.unwrap() })
        }
    }

    impl Drop for Remote {
        fn drop(&mut self) {
            if let Some(runtime) = self.runtime.take().and_then(Arc::into_inner) {
                runtime.shutdown_background();
            }
        }
    }

    impl CheckpointStore for Remote {
        fn load<'a>(
            &'a self,
            app: &'a str,
            stream: &'a str,
        ) -> CheckpointFuture<'a, Vec<Checkpoint>> {
            let (app, stream) = (app.to_owned(), stream.to_owned());
            self.call(async move |store| store.load(&app, &stream).await)
        }

        fn save<'a>(
            &'a self,
            app: &'a str,
            stream: &'a str,
            checkpoints: Vec<Checkpoint>,
        ) -> CheckpointFuture<'a, ()> {
            let (app, stream) = (app.to_owned(), stream.to_owned());
            self.call(async move |store| store.save(&app, &stream, checkpoints).await)
        }

        fn remove<'a>(
            &'a self,
            app: &'a str,
            stream: &'a str,
            shards: Vec<ShardId>,
        ) -> CheckpointFuture<'a, ()> {
            let (app, stream) = (app.to_owned(), stream.to_owned());
            self.call(async move |store| store.remove(&app, &stream, shards).await)
        }
    }
}
