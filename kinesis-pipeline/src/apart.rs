//! Stores for tests on paused time.

use std::{
    any::Any,
    fmt, fs,
    future::Future,
    path::{Path, PathBuf},
    thread,
};

use tokio::runtime::{Builder, Runtime};

/// A store that needs threads or sockets, on a runtime of its own: the paused clock of a test knows nothing of them.
/// A call keeps the test's thread until it is done.
pub(crate) struct Apart<S> {
    pub(crate) store: S,
    /// The runtime; absent once it is dropped.
    runtime: Option<Runtime>,
    /// Dropped with the store.
    _resource: Box<dyn Any + Send + Sync>,
}

impl<S> Apart<S> {
    fn new(runtime: Runtime, store: S, resource: impl Any + Send + Sync) -> Self {
        Self {
            store,
            runtime: Some(runtime),
            _resource: Box::new(resource),
        }
    }

    /// Makes a store in a folder that is removed again.
    pub(crate) fn in_a_folder(make: impl FnOnce(&Path) -> S) -> Self {
        let name = format!("kinesis-pipeline-stores-{}", fastrand::u64(..));
        let folder = Temporary(std::env::temp_dir().join(name));
        fs::create_dir(&folder.0).unwrap();
        Self::new(runtime(), make(&folder.0), folder)
    }

    /// Makes a store in the embedded DynamoDB.
    #[cfg(all(feature = "dynamodb", feature = "local-server"))]
    pub(crate) fn in_dynamodb(make: impl FnOnce(aws_sdk_dynamodb::Client) -> S + Send) -> Self
    where
        S: Send + Sync,
    {
        // A thread of its own: that of the test has a runtime already.
        let start = || {
            let runtime = runtime();
            let server = runtime.block_on(async {
                let local = crate::LocalKinesis::start().await.unwrap();
                local.serve_dynamodb("127.0.0.1:0").await.unwrap()
            });
            let store = make(aws_sdk_dynamodb::Client::new(&server.sdk_config()));
            Self::new(runtime, store, server)
        };
        thread::scope(|scope| scope.spawn(start).join().unwrap())
    }

    /// Makes a call of the store, and waits for its end.
    pub(crate) fn call<F>(&self, call: F) -> F::Output
    where
        F: Future<Output: Send> + Send,
    {
        let runtime = self.runtime.as_ref().unwrap();
        thread::scope(|scope| scope.spawn(|| runtime.block_on(call)).join().unwrap())
    }
}

impl<S: fmt::Debug> fmt::Debug for Apart<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

impl<S> Drop for Apart<S> {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
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
