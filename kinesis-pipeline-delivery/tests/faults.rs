//! Stores that fail, deny, lose their bucket or refuse credentials while a delivery runs.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::stream::BoxStream;
use kinesis_pipeline::{
    Clock, EncodedRecord, KinesisStream, LeaseStore as _, LocalKinesis, MemoryLeases, PartitionKey,
};
use kinesis_pipeline_delivery::{
    Delivery, DeliveryError, DeliveryHandle, DeliveryReport, StoreFault,
};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    memory::InMemory,
    multipart::{MultipartStore, PartId},
    path::Path,
};
use support::objects;
use tokio::task::JoinHandle;

const APP: &str = "delivery";
/// Longer than a window and its last timer.
const QUIET: Duration = Duration::from_mins(3);
const PART_RECORDS: usize = 24;

/// The failure of a store.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Busy,
    Expired,
    Denied,
    NoBucket,
    /// The call is carried out, and its answer is lost.
    AnswerLost,
}

impl Fault {
    fn error(self, path: &Path) -> Error {
        let generic = |text: &'static str| Error::Generic {
            store: "S3",
            source: text.into(),
        };
        let path = path.to_string();
        match self {
            Self::Busy => generic("503 SlowDown"),
            Self::AnswerLost => generic("the connection was closed"),
            Self::Expired => generic("400 Bad Request: <Code>ExpiredToken</Code>"),
            Self::Denied => Error::PermissionDenied {
                path,
                source: "<Code>AccessDenied</Code>".into(),
            },
            Self::NoBucket => Error::NotFound {
                path,
                source: "<Code>NoSuchBucket</Code>".into(),
            },
        }
    }
}

/// A store of which these writes fail: puts, begins of uploads, parts and completions, counted together.
#[derive(Debug)]
struct FaultyStore {
    inner: Arc<InMemory>,
    writes: AtomicUsize,
    failing: Range<usize>,
    fault: Fault,
    /// Whether to look for an object that is not there is denied.
    hides_absence: bool,
}

impl FaultyStore {
    fn new(inner: &Arc<InMemory>, failing: Range<usize>, fault: Fault) -> Self {
        Self {
            inner: inner.clone(),
            writes: AtomicUsize::new(0),
            failing,
            fault,
            hides_absence: false,
        }
    }

    async fn write<T>(&self, path: &Path, write: impl Future<Output = Result<T>>) -> Result<T> {
        let is_probe = path.as_ref().contains("_probe");
        if is_probe || !self.failing.contains(&self.writes.fetch_add(1, SeqCst)) {
            return write.await;
        }
        if let Fault::AnswerLost = self.fault {
            write.await?;
        }
        Err(self.fault.error(path))
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyStore")
    }
}

#[async_trait::async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, to: &Path, data: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.write(to, self.inner.put_opts(to, data, how)).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begin = self.inner.put_multipart_opts(to, how);
        let upload = self.write(to, begin).await?;
        let fails = self.failing.contains(&self.writes.load(SeqCst));
        Ok(Box::new(FaultyUpload {
            upload,
            fault: fails.then_some((self.fault, to.clone())),
        }))
    }

    async fn get_opts(&self, from: &Path, how: GetOptions) -> Result<GetResult> {
        match self.inner.get_opts(from, how).await {
            Err(Error::NotFound { .. }) if self.hides_absence => Err(Fault::Denied.error(from)),
            got => got,
        }
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, how).await
    }
}

#[async_trait::async_trait]
impl MultipartStore for FaultyStore {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.write(path, self.inner.create_multipart(path)).await
    }

    async fn put_part(
        &self,
        path: &Path,
        id: &MultipartId,
        number: usize,
        data: PutPayload,
    ) -> Result<PartId> {
        let put = self.inner.put_part(path, id, number, data);
        self.write(path, put).await
    }

    async fn complete_multipart(
        &self,
        path: &Path,
        id: &MultipartId,
        parts: Vec<PartId>,
    ) -> Result<PutResult> {
        let complete = async {
            let completed = self.inner.complete_multipart(path, id, parts).await;
            // S3's answer for an upload that was completed or removed.
            completed.map_err(|_| Error::NotFound {
                path: path.to_string(),
                source: "<Code>NoSuchUpload</Code>".into(),
            })
        };
        self.write(path, complete).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        self.inner.abort_multipart(path, id).await
    }
}

/// An upload whose first part fails, if it is to.
#[derive(Debug)]
struct FaultyUpload {
    upload: Box<dyn MultipartUpload>,
    fault: Option<(Fault, Path)>,
}

#[async_trait::async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> object_store::UploadPart {
        match self.fault.take() {
            Some((fault, path)) => Box::pin(async move { Err(fault.error(&path)) }),
            None => self.upload.put_part(data),
        }
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.upload.complete().await
    }

    async fn abort(&mut self) -> Result<()> {
        self.upload.abort().await
    }
}

/// A stream of one shard with so many records of so many bytes, all different.
async fn stream(records: usize, bytes: usize) -> KinesisStream<EncodedRecord> {
    let clock = Clock::tokio(SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
    let local = LocalKinesis::builder().clock(clock).start().await.unwrap();
    let stream = local.stream::<EncodedRecord>("test", 1).await.unwrap();
    for number in 0..records {
        let key = PartitionKey::new("key").unwrap();
        let data = format!("{number:08}{}", "x".repeat(bytes - 8));
        let record = EncodedRecord::new(key, data.into());
        stream.put(&record).await.unwrap();
    }
    stream
}

type Running = JoinHandle<std::result::Result<DeliveryReport, DeliveryError>>;

/// Starts a worker. Objects are uploaded in parts of 8 MiB.
fn start(
    delivery: Delivery,
    stream: &KinesisStream<EncodedRecord>,
    leases: &MemoryLeases,
) -> (DeliveryHandle, Running) {
    let fleet = stream.worker(APP).leases(leases.clone());
    let worker = delivery
        .buffer(100 << 20, Duration::from_secs(30))
        .clock(stream.clock().clone())
        .worker(fleet)
        .unwrap();
    (worker.handle(), tokio::spawn(worker.run()))
}

/// Delivers all of a stream and stops; returns the objects.
async fn delivered(
    delivery: Delivery,
    store: &Arc<InMemory>,
    stream: &KinesisStream<EncodedRecord>,
    leases: &MemoryLeases,
) -> Vec<(String, Bytes)> {
    let (handle, running) = start(delivery, stream, leases);
    tokio::time::sleep(QUIET).await;
    handle.stop();
    running.await.unwrap().unwrap();
    objects(&**store).await.into_iter().collect()
}

/// The objects of a delivery that nothing disturbs.
async fn undisturbed(stream: &KinesisStream<EncodedRecord>) -> Vec<(String, Bytes)> {
    let store = Arc::new(InMemory::new());
    let delivery = Delivery::to_multipart(store.clone());
    let found = delivered(delivery, &store, stream, &MemoryLeases::new()).await;
    assert_eq!(found.len(), 1);
    found
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_refused_is_sent_again_until_it_is_taken() {
    let stream = stream(PART_RECORDS, 1_000_000).await;
    let expected = undisturbed(&stream).await;
    let faults = [Fault::Expired, Fault::Denied, Fault::NoBucket, Fault::Busy];
    // The begin of the upload, two whole parts, the rest, and the completion.
    for (first, fault) in (0..5).zip(faults.into_iter().cycle()) {
        let store = Arc::new(InMemory::new());
        let failing = Arc::new(FaultyStore::new(&store, first..first + 8, fault));
        let to = Delivery::to_multipart(failing.clone());
        let found = delivered(to, &store, &stream, &MemoryLeases::new()).await;
        assert!(found == expected, "{fault:?} at {first}");
        assert_eq!(failing.writes.load(SeqCst), 5 + 8, "{fault:?} at {first}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_whose_completion_is_not_answered_is_found_complete() {
    let stream = stream(PART_RECORDS, 1_000_000).await;
    let expected = undisturbed(&stream).await;
    let store = Arc::new(InMemory::new());
    let failing = FaultyStore::new(&store, 4..5, Fault::AnswerLost);
    let to = Delivery::to_multipart(Arc::new(failing));
    let found = delivered(to, &store, &stream, &MemoryLeases::new()).await;
    assert!(found == expected);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_a_store_takes_only_once_ends_the_delivery_and_the_next_start_begins_the_upload()
 {
    let stream = stream(PART_RECORDS, 1_000_000).await;
    let expected = undisturbed(&stream).await;
    let (store, leases) = (Arc::new(InMemory::new()), MemoryLeases::new());
    let to = Delivery::to(FaultyStore::new(&store, 1..2, Fault::Expired));
    let (_, running) = start(to, &stream, &leases);
    let ended = running.await.unwrap().unwrap_err();
    assert!(
        matches!(ended, DeliveryError::UploadLost { .. }),
        "{ended:?}"
    );
    assert!(objects(&*store).await.is_empty());
    let to = Delivery::to_multipart(store.clone());
    assert!(delivered(to, &store, &stream, &leases).await == expected);
}

#[tokio::test(start_paused = true)]
async fn a_denial_is_shown_ends_the_delivery_at_its_limit_and_the_next_start_goes_on() {
    let stream = stream(3, 100).await;
    let expected = undisturbed(&stream).await;
    for (fault, kind) in [
        (Fault::Denied, StoreFault::Denied),
        (Fault::NoBucket, StoreFault::NoBucket),
    ] {
        let (store, leases) = (Arc::new(InMemory::new()), MemoryLeases::new());
        let denied = FaultyStore::new(&store, 0..usize::MAX, fault);
        let to = Delivery::to(denied).denied_max(Duration::from_mins(10));
        let (handle, running) = start(to, &stream, &leases);
        tokio::time::sleep(Duration::from_mins(5)).await;
        let health = handle.health();
        let shown = health.store.clone().unwrap();
        assert_eq!((shown.fault, shown.calls), (kind, 1));
        assert!(
            shown.attempts > 10 && shown.key == expected[0].0,
            "{shown:?}"
        );
        assert!(shown.failing_for > Duration::from_mins(4), "{shown:?}");
        assert!(!health.is_healthy() && health.worker.is_healthy());

        let ended = running.await.unwrap().unwrap_err();
        let text = ended.to_string();
        let DeliveryError::GaveUp {
            fault, failing_for, ..
        } = ended
        else {
            panic!("{ended:?}");
        };
        assert_eq!(fault, kind);
        assert!(text.contains("goes on where it was"), "{text}");
        let limit = Duration::from_mins(10)..Duration::from_mins(11);
        assert!(limit.contains(&failing_for), "{failing_for:?}");
        assert_eq!(handle.health().store, None);
        let lease = leases.list(APP).await.unwrap().remove(0);
        assert!(
            lease.owner.is_none() && lease.pending.is_some(),
            "{lease:?}"
        );

        let to = Delivery::to_multipart(store.clone());
        assert!(delivered(to, &store, &stream, &leases).await == expected);
    }
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_are_awaited_past_the_time_of_a_denial() {
    let stream = stream(3, 100).await;
    let expected = undisturbed(&stream).await;
    let store = Arc::new(InMemory::new());
    let expired = Arc::new(FaultyStore::new(&store, 0..400, Fault::Expired));
    let to = Delivery::to_multipart(expired.clone()).denied_max(Duration::from_mins(1));
    let (handle, running) = start(to, &stream, &MemoryLeases::new());
    tokio::time::sleep(Duration::from_hours(4)).await;
    handle.stop();
    running.await.unwrap().unwrap();
    let found: Vec<_> = objects(&*store).await.into_iter().collect();
    assert!(found == expected);
    assert_eq!(expired.writes.load(SeqCst), 401);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hides_whether_an_object_is_there_is_refused_at_the_start() {
    let stream = stream(1, 100).await;
    let store = Arc::new(InMemory::new());
    let mut hiding = FaultyStore::new(&store, 0..0, Fault::Denied);
    hiding.hides_absence = true;
    let (_, running) = start(Delivery::to(hiding), &stream, &MemoryLeases::new());
    let ended = running.await.unwrap().unwrap_err();
    let DeliveryError::NotUsable { fault, .. } = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(fault, StoreFault::Denied);
    assert!(objects(&*store).await.is_empty());
}
