//! A store and leases that stop the worker at a chosen step, and listings of objects.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::{
    collections::BTreeMap,
    fmt,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use futures_util::{TryStreamExt as _, stream::BoxStream};
use kinesis_pipeline::{
    Lease, LeaseChange, LeaseFuture, LeaseStore, LeaseWrite, LeaseWritten, MemoryLeases,
};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
    memory::InMemory,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use tokio::sync::Notify;

/// A counter of steps that stops all that passes it at the chosen one: before the step is done, or after.
#[derive(Debug)]
pub(crate) struct Tripwire {
    steps: AtomicUsize,
    at: usize,
    is_after: bool,
    /// How many puts are still to be denied, as with credentials that have expired.
    denials: AtomicUsize,
    pub(crate) tripped: Notify,
}

impl Tripwire {
    pub(crate) fn new(at: usize, is_after: bool) -> Arc<Self> {
        Arc::new(Self {
            steps: AtomicUsize::new(0),
            at,
            is_after,
            denials: AtomicUsize::new(0),
            tripped: Notify::new(),
        })
    }

    pub(crate) fn never() -> Arc<Self> {
        Self::new(usize::MAX, false)
    }

    pub(crate) fn denying(puts: usize) -> Arc<Self> {
        let tripwire = Self::never();
        tripwire.denials.store(puts, SeqCst);
        tripwire
    }

    fn denies(&self) -> bool {
        let one_less = |left: usize| left.checked_sub(1);
        self.denials.fetch_update(SeqCst, SeqCst, one_less).is_ok()
    }

    pub(crate) fn steps(&self) -> usize {
        self.steps.load(SeqCst)
    }

    async fn pass<T>(&self, step: impl Future<Output = T>) -> T {
        let number = self.steps.fetch_add(1, SeqCst);
        if number < self.at {
            return step.await;
        }
        if number == self.at && self.is_after {
            step.await;
        }
        self.tripped.notify_one();
        pending().await
    }
}

/// Leases whose prepared and finished checkpoints are steps.
#[derive(Debug, Clone)]
pub(crate) struct TripLeases(pub(crate) MemoryLeases, pub(crate) Arc<Tripwire>);

impl LeaseStore for TripLeases {
    fn list<'a>(&'a self, app: &'a str) -> LeaseFuture<'a, Vec<Lease>> {
        self.0.list(app)
    }

    fn write<'a>(&'a self, app: &'a str, write: LeaseWrite) -> LeaseFuture<'a, LeaseWritten> {
        let is_step = matches!(
            write.change,
            LeaseChange::Prepare(_) | LeaseChange::Checkpoint { .. }
        );
        let done = self.0.write(app, write);
        if is_step {
            return Box::pin(self.1.pass(done));
        }
        done
    }
}

/// A store whose puts, and completions of uploads, are steps.
#[derive(Debug)]
pub(crate) struct TripStore(pub(crate) Arc<InMemory>, pub(crate) Arc<Tripwire>);

impl fmt::Display for TripStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TripStore")
    }
}

#[async_trait::async_trait]
impl ObjectStore for TripStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let put = self.0.put_opts(location, payload, options);
        if location.as_ref().contains("_probe") {
            return put.await;
        }
        if self.1.denies() {
            return Err(object_store::Error::PermissionDenied {
                path: location.to_string(),
                source: "the token has expired".into(),
            });
        }
        self.1.pass(put).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.0.put_multipart_opts(location, options).await?;
        Ok(Box::new(TripUpload(upload, self.1.clone())))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[async_trait::async_trait]
impl MultipartStore for TripStore {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.0.create_multipart(path).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        number: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        self.0.put_part(path, id, number, data).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let complete = self.0.complete_multipart(path, id, parts);
        self.1.pass(complete).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.0.abort_multipart(path, id).await
    }
}

/// An upload whose completion is a step.
#[derive(Debug)]
struct TripUpload(Box<dyn MultipartUpload>, Arc<Tripwire>);

#[async_trait::async_trait]
impl MultipartUpload for TripUpload {
    fn put_part(&mut self, data: PutPayload) -> object_store::UploadPart {
        self.0.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.1.pass(self.0.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.0.abort().await
    }
}

/// All objects of a store, with their bytes.
pub(crate) async fn objects(store: &dyn ObjectStore) -> BTreeMap<String, Bytes> {
    let listed: Vec<ObjectMeta> = store.list(None).try_collect().await.unwrap();
    let mut objects = BTreeMap::new();
    for meta in listed {
        let bytes = store
            .get(&meta.location)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        objects.insert(meta.location.to_string(), bytes);
    }
    objects
}
