//! Deliveries to S3 over the wire: a server that others wrote (`s3s-fs`), that fails now and then, and that denies for a
//! while, as when credentials expire.
#![cfg(feature = "aws")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use futures_util::{Stream, stream};
use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use kinesis_pipeline::{EncodedRecord, GetError, PartitionKey, Position, Record};
use kinesis_pipeline_delivery::{Compression, Delivery, DeliveryError, Guard, StoreFault};
use object_store::{
    ObjectStore,
    aws::{AmazonS3, AmazonS3Builder},
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use support::objects;
use tokio::net::TcpListener;

const BUCKET: &str = "delivered";

/// The status and code for a request by its number; `None` to carry it out.
type Failing = fn(usize) -> Option<(u16, &'static str)>;

/// An S3 in a folder of its own.
struct Server {
    _dir: tempfile::TempDir,
    endpoint: String,
    failed: Arc<AtomicUsize>,
}

impl Server {
    async fn start(failing: Failing) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(BUCKET)).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(dir.path()).unwrap());
        builder.set_auth(SimpleAuth::from_single("id", "secret"));
        let service = builder.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (count, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let counted = failed.clone();
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let (service, count, failed) = (service.clone(), count.clone(), counted.clone());
                let answer = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let refusal = failing(count.fetch_add(1, SeqCst));
                    let (service, failed) = (service.clone(), failed.clone());
                    async move {
                        if let Some((status, code)) = refusal {
                            failed.fetch_add(1, SeqCst);
                            return Ok::<_, Infallible>(refused(status, code));
                        }
                        Ok(service.call(request.map(s3s::Body::from)).await.unwrap())
                    }
                });
                tokio::spawn(
                    http1::Builder::new().serve_connection(TokioIo::new(connection), answer),
                );
            }
        });
        Self {
            _dir: dir,
            endpoint,
            failed,
        }
    }

    fn store(&self) -> AmazonS3 {
        AmazonS3Builder::new()
            .with_endpoint(&self.endpoint)
            .with_allow_http(true)
            .with_bucket_name(BUCKET)
            .with_region("us-east-1")
            .with_access_key_id("id")
            .with_secret_access_key("secret")
            .build()
            .unwrap()
    }
}

fn refused(status: u16, code: &str) -> Response<s3s::Body> {
    let body = format!("<Error><Code>{code}</Code></Error>");
    Response::builder()
        .status(status)
        .body(s3s::Body::from(body))
        .unwrap()
}

/// Records of one shard: their number and filling.
fn records(
    count: usize,
    bytes: usize,
) -> impl Stream<Item = Result<Record<EncodedRecord>, GetError>> + Unpin {
    let at = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
    let key = PartitionKey::new("key").unwrap();
    stream::iter((0..count).map(move |number| {
        let data = format!("{number:08}:{}", "x".repeat(bytes));
        let data = EncodedRecord::new(key.clone(), data.into());
        let position = Position::new("shardId-000000000000".into(), (number as u128).into());
        Ok(Record::new(
            data,
            key.clone(),
            position,
            at + Duration::from_millis(number as u64 * 20),
        ))
    }))
}

/// Whether each record is there once.
async fn assert_complete(store: &dyn ObjectStore, count: usize) {
    let mut numbers: Vec<usize> = Vec::new();
    for bytes in objects(store).await.into_values() {
        let lines = bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        numbers.extend(lines.map(|line| {
            std::str::from_utf8(&line[..8])
                .unwrap()
                .parse::<usize>()
                .unwrap()
        }));
    }
    numbers.sort_unstable();
    assert!(
        numbers.iter().copied().eq(0..count),
        "{} records",
        numbers.len()
    );
}

fn every_tenth(number: usize) -> Option<(u16, &'static str)> {
    (number % 10 == 9).then_some((503, "SlowDown"))
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_complete_on_a_server_that_fails_every_tenth_request() {
    let server = Server::start(every_tenth).await;
    let delivery = || Delivery::to(server.store()).buffer(64 << 10, Duration::from_secs(5));
    let report = delivery().run(records(4_000, 400)).await.unwrap();
    assert_eq!(
        (report.kept, report.guard),
        (4_000, Some(Guard::CreateIfAbsent))
    );
    assert!(report.objects_written > 20, "{report:?}");
    assert!(server.failed.load(SeqCst) > 2);
    assert_complete(&server.store(), 4_000).await;
    // The same again: all are there, and compared.
    let again = delivery().run(records(4_000, 400)).await.unwrap();
    assert_eq!(
        (again.objects_written, again.objects_found),
        (0, report.objects_written)
    );
    assert_complete(&server.store(), 4_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_in_parts_is_complete_on_a_server_that_fails_every_tenth_request() {
    let server = Server::start(every_tenth).await;
    let delivery = || Delivery::to(server.store()).buffer(100 << 20, Duration::from_hours(1));
    let report = delivery().run(records(40_000, 1_000)).await.unwrap();
    assert_eq!(
        (report.kept, report.objects_written),
        (40_000, 1),
        "{report:?}"
    );
    assert!(report.memory_bytes_most < 16 << 20, "{report:?}");
    assert_complete(&server.store(), 40_000).await;
    let again = delivery().run(records(40_000, 1_000)).await.unwrap();
    assert_eq!(
        (again.objects_written, again.objects_found),
        (0, 1),
        "{again:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_dropped_while_the_credentials_have_expired() {
    let server =
        Server::start(|number| (12..20).contains(&number).then_some((400, "ExpiredToken"))).await;
    let denied =
        Server::start(|number| (12..20).contains(&number).then_some((403, "AccessDenied"))).await;
    for server in [server, denied] {
        let delivery = Delivery::to(server.store()).buffer(64 << 10, Duration::from_secs(5));
        let delivery = delivery.compression(Compression::None);
        let report = delivery.run(records(2_000, 400)).await.unwrap();
        assert_eq!(report.kept, 2_000);
        assert_eq!(server.failed.load(SeqCst), 8, "each was made again");
        assert_complete(&server.store(), 2_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_in_parts_is_complete_though_its_credentials_expired_between_them() {
    // After the four requests of the start: three tries to begin it, and three of its fourth part.
    let expired: Failing = |n| matches!(n, 4..7 | 11..14).then_some((400, "ExpiredToken"));
    let denied: Failing = |n| matches!(n, 4..7 | 11..14).then_some((403, "AccessDenied"));
    for failing in [expired, denied] {
        let server = Server::start(failing).await;
        let delivery = Delivery::to(server.store()).buffer(100 << 20, Duration::from_hours(1));
        let report = delivery.run(records(40_000, 1_000)).await.unwrap();
        assert_eq!((report.kept, report.objects_written), (40_000, 1));
        assert_eq!(server.failed.load(SeqCst), 6, "each was made again");
        assert_complete(&server.store(), 40_000).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_cannot_be_used_at_the_start_is_an_error_that_says_why() {
    let answers: [(Failing, StoreFault); 4] = [
        (|_| Some((404, "NoSuchBucket")), StoreFault::NoBucket),
        (|_| Some((403, "AccessDenied")), StoreFault::Denied),
        (
            |_| Some((403, "InvalidAccessKeyId")),
            StoreFault::Credentials,
        ),
        (|_| Some((400, "ExpiredToken")), StoreFault::Credentials),
    ];
    for (answer, expected) in answers {
        let server = Server::start(answer).await;
        let ended = Delivery::to(server.store()).run(records(1, 10)).await;
        let Err(DeliveryError::NotUsable { fault, .. }) = ended else {
            panic!("{ended:?}");
        };
        assert_eq!(fault, expected);
        assert_eq!(server.failed.load(SeqCst), 1, "it is not tried again");
    }
}
