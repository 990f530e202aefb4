mod server;
mod signature;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use aws_sdk_kinesis::{
    Client,
    config::{StalledStreamProtectionConfig, timeout::TimeoutConfig},
};
use aws_smithy_types::{DateTime, date_time::Format};

use self::{
    server::{Answer, Request, Server},
    signature::signature,
};
use super::{Form, PreparedCalls, Way};
use crate::{
    record::{EncodedRecord, PartitionKey},
    service::{
        ErrorClass, Kinesis as _, PutRecords, PutRecordsAnswer, ServiceError, StreamId,
        aws::{AwsKinesis, stub},
    },
};

const STORED: &str = r#"{"Records":[{"ShardId":"shardId-1","SequenceNumber":"17"}]}"#;

fn ok() -> Answer {
    (200, String::new(), STORED)
}

async fn put(aws: &AwsKinesis) -> Result<PutRecordsAnswer, ServiceError> {
    put_to(aws, "s").await
}

async fn put_to(aws: &AwsKinesis, stream: &str) -> Result<PutRecordsAnswer, ServiceError> {
    let record = EncodedRecord::new(PartitionKey::known("k"), bytes::Bytes::from_static(b"one"));
    aws.put_records(PutRecords::new(StreamId::from(stream), vec![record]))
        .await
}

/// Whether the next call is prepared.
fn is_prepared(aws: &AwsKinesis) -> bool {
    let way = aws.prepared.way(&StreamId::from("s"), Form::Cbor);
    matches!(way, Way::Prepared(_))
}

/// Returns the time of a request's signature on the service's clock, in whole seconds from now.
fn signed_in(request: &Request) -> i64 {
    let date = &request.headers["x-amz-date"];
    let at = super::pattern::time(date).unwrap();
    let now = crate::Clock::system().now();
    DateTime::from(at).secs() - DateTime::from(now).secs()
}

#[tokio::test]
async fn a_prepared_call_has_the_headers_of_the_sdk_and_a_signature_and_identifier_of_its_own() {
    let mut server = Server::start([ok(), ok(), ok()]).await;
    let aws = server.aws_with(Credentials::new(
        "id",
        "secret",
        Some("token".to_owned()),
        None,
        "test",
    ));
    assert!(!is_prepared(&aws));
    for _ in 0..3 {
        assert!(put(&aws).await.unwrap().results[0].is_ok());
        assert!(is_prepared(&aws));
    }
    let requests = [
        server.request().await,
        server.request().await,
        server.request().await,
    ];
    let [of_sdk, second, third] = &requests;
    for request in &requests {
        let authorization = &request.headers["authorization"];
        assert!(
            authorization.ends_with(&signature(request, "secret")),
            "{authorization}"
        );
        assert_eq!(request.headers["x-amz-security-token"], "token");
        assert_eq!(request.body, of_sdk.body);
        assert_eq!(request.connection, 0);
    }
    let constant = |request: &Request| {
        let mut headers = request.headers.clone();
        headers.retain(|name, _| {
            !["authorization", "x-amz-date", "amz-sdk-invocation-id"].contains(&name.as_str())
        });
        headers
    };
    assert_eq!(constant(second), constant(of_sdk));
    assert_eq!(
        second.headers.keys().collect::<Vec<_>>(),
        of_sdk.headers.keys().collect::<Vec<_>>()
    );
    let id = |request: &Request| request.headers["amz-sdk-invocation-id"].clone();
    assert!(id(of_sdk) != id(second) && id(second) != id(third));
    let [id, other] =
        [id(second), id(of_sdk)].map(|id| id.split('-').map(str::len).collect::<Vec<_>>());
    assert_eq!(id, other);
}

/// Puts twice to a server whose second answer is this. Returns the errors of a call that was prepared and of one that was
/// not.
async fn errors(answer: Answer) -> [ServiceError; 2] {
    let server = Server::start([ok(), answer.clone()]).await;
    let aws = server.aws();
    put(&aws).await.unwrap();
    assert!(is_prepared(&aws));
    let prepared = put(&aws).await.unwrap_err();
    assert!(!is_prepared(&aws), "{answer:?}");
    let server = Server::start([ok(), answer]).await;
    let aws = server.aws().without_prepared_calls();
    put(&aws).await.unwrap();
    assert!(!is_prepared(&aws));
    [prepared, put(&aws).await.unwrap_err()]
}

#[tokio::test]
async fn the_errors_of_a_prepared_call_are_those_of_the_sdk_which_makes_the_next_one() {
    let coded = |status, body| (status, String::new(), body);
    for answer in [
        coded(
            400,
            r#"{"__type":"ProvisionedThroughputExceededException","message":"slow"}"#,
        ),
        coded(
            400,
            r#"{"__type":"com.amazonaws.kinesis#ResourceNotFoundException","message":"no s"}"#,
        ),
        coded(400, r#"{"__type":"ExpiredTokenException"}"#),
        (
            400,
            "x-amzn-errortype: KMSDisabledException\r\n".to_owned(),
            "",
        ),
        coded(500, r#"{"__type":"InternalFailure"}"#),
        coded(503, "<html>"),
        coded(429, ""),
        coded(200, "{\"Records\":"),
        // An answer that is cut off.
        (
            200,
            "connection: close\r\ncontent-length: 1000\r\n".to_owned(),
            "{",
        ),
    ] {
        let [prepared, of_sdk] = errors(answer.clone()).await;
        let [prepared, of_sdk] = [prepared, of_sdk].map(|error| {
            let text = error.to_string();
            let text = text
                .split(" at http")
                .next()
                .map(str::to_owned)
                .zip(text.split(" failed").nth(1).map(str::to_owned));
            (
                error.class,
                error.code,
                error.may_have_been_done,
                error.request_id,
                text,
            )
        });
        assert_eq!(prepared, of_sdk, "{answer:?}");
    }
}

#[tokio::test]
async fn a_lost_connection_and_silence_may_have_stored_the_records() {
    // Closed after the first answer.
    let server = Server::start([ok()]).await;
    let aws = server.aws();
    put(&aws).await.unwrap();
    let error = put(&aws).await.unwrap_err();
    assert!(
        error.may_have_been_done && error.class == ErrorClass::Transient,
        "{error:?}"
    );
    assert!(!is_prepared(&aws));
    for (limits, protection) in [
        (
            TimeoutConfig::builder().operation_timeout(Duration::from_millis(300)),
            None,
        ),
        (
            TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(300)),
            None,
        ),
        (TimeoutConfig::builder(), Some(Duration::from_millis(300))),
    ] {
        // The second half of the answer never comes.
        let half = (200, "content-length: 1000\r\n".to_owned(), "{");
        let server = Server::start([ok(), half]).await;
        let protection = match protection {
            Some(grace) => StalledStreamProtectionConfig::enabled()
                .grace_period(grace)
                .build(),
            None => StalledStreamProtectionConfig::disabled(),
        };
        let config = stub::config(&server.endpoint)
            .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
            .timeout_config(limits.build())
            .stalled_stream_protection(protection);
        let aws = AwsKinesis::new(&Client::from_conf(config.build()));
        put(&aws).await.unwrap();
        assert!(is_prepared(&aws));
        let put = tokio::time::timeout(Duration::from_secs(20), put(&aws));
        let error = put.await.expect("it ends").unwrap_err();
        assert!(
            error.may_have_been_done && error.class == ErrorClass::Transient,
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_fault_of_the_service_closes_the_connection() {
    let fault = (500, String::new(), r#"{"__type":"InternalFailure"}"#);
    let mut server = Server::start([ok(), ok(), fault, ok()]).await;
    let aws = server.aws();
    for is_ok in [true, true, false, true] {
        assert_eq!(put(&aws).await.is_ok(), is_ok);
    }
    let mut connections = Vec::new();
    for _ in 0..4 {
        connections.push(server.request().await.connection);
    }
    assert_eq!(connections, [0, 0, 0, 1]);
}

/// Keys with a number that grows, each valid for one call; or none.
#[derive(Clone, Debug, Default)]
struct Rotating {
    given: Arc<AtomicUsize>,
    is_empty: Arc<std::sync::atomic::AtomicBool>,
}

impl ProvideCredentials for Rotating {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        if self.is_empty.load(Ordering::SeqCst) {
            return future::ProvideCredentials::ready(Err(CredentialsError::provider_error("503")));
        }
        let id = format!("id{}", self.given.fetch_add(1, Ordering::SeqCst) / 2);
        let keys = Credentials::new(id, "secret", None, Some(SystemTime::UNIX_EPOCH), "test");
        future::ProvideCredentials::ready(Ok(keys))
    }
}

#[tokio::test]
async fn each_prepared_call_is_signed_with_the_credentials_of_its_time() {
    let mut server = Server::start([ok(), ok(), ok(), ok()]).await;
    let source = Rotating::default();
    let aws = server.aws_with(source.clone());
    for _ in 0..3 {
        put(&aws).await.unwrap();
    }
    source.is_empty.store(true, Ordering::SeqCst);
    let error = put(&aws).await.unwrap_err();
    assert!(
        !error.may_have_been_done && error.class == ErrorClass::Transient,
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains("the source of the AWS credentials failed"),
        "{error}"
    );
    source.is_empty.store(false, Ordering::SeqCst);
    put(&aws).await.unwrap();
    let mut ids = Vec::new();
    for _ in 0..4 {
        let request = server.request().await;
        let authorization = &request.headers["authorization"];
        assert!(authorization.ends_with(&signature(&request, "secret")));
        let (_, id) = authorization.split_once("Credential=").unwrap();
        ids.push(id.split('/').next().unwrap().to_owned());
    }
    // The SDK and the check of the pattern ask once each.
    assert_eq!(ids, ["id0", "id1", "id1", "id2"]);
}

#[tokio::test]
async fn the_offset_of_the_services_clock_that_the_sdk_knows_holds_for_prepared_calls() {
    for offset in [-3_600_i64, 3_600] {
        let now = DateTime::from(crate::Clock::system().now());
        let date = DateTime::from_secs(now.secs() + offset)
            .fmt(Format::HttpDate)
            .unwrap();
        let date = format!("date: {date}\r\n");
        let skewed = (
            403,
            date.clone(),
            r#"{"__type":"InvalidSignatureException"}"#,
        );
        let stored = (200, date, STORED);
        let mut server = Server::start([skewed, stored.clone(), stored.clone(), stored]).await;
        let aws = server.aws();
        put(&aws).await.unwrap_err();
        for _ in 0..3 {
            put(&aws).await.unwrap();
        }
        assert!(is_prepared(&aws));
        assert!(signed_in(&server.request().await).abs() < 60);
        for _ in 0..3 {
            let signed_in = signed_in(&server.request().await);
            assert!((signed_in - offset).abs() < 60, "{signed_in}");
        }
    }
}

#[tokio::test]
async fn a_pattern_holds_for_a_minute_its_stream_and_its_form() {
    let server = Server::start((0..4).map(|_| ok())).await;
    let aws = server.aws();
    put(&aws).await.unwrap();
    assert!(is_prepared(&aws));
    let way = |stream: &str, form| aws.prepared.way(&StreamId::from(stream), form);
    assert!(matches!(way("other", Form::Cbor), Way::Recorded(_)));
    assert!(matches!(way("s", Form::Json), Way::Recorded(_)));
    put_to(&aws, "other").await.unwrap();
    assert!(matches!(way("other", Form::Cbor), Way::Prepared(_)));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(55)).await;
    assert!(is_prepared(&aws));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(matches!(way("s", Form::Cbor), Way::Recorded(_)));
}

#[tokio::test]
async fn a_request_with_an_unusual_header_or_another_signature_is_not_a_pattern() {
    let server = Server::start([ok()]).await;
    let aws = server.aws();
    let recorder = super::Recorder::default();
    let body = bytes::Bytes::from_static(b"\xA0");
    let (direct, _) = super::super::direct::Direct::new(
        &aws.dialect,
        (Form::Cbor, Some(body.clone())),
        &super::super::put_records::READ,
    );
    let sent = aws
        .client
        .put_records()
        .stream_name("s")
        .set_records(Some(Vec::new()));
    let sent = sent
        .customize()
        .interceptor(direct.recorded_by(Some(recorder.clone())));
    let _ = sent.send().await;
    let mut request = recorder.recorded().unwrap();
    let identity = Credentials::new("id", "secret", None, None, "test").into();
    let other = Credentials::new("id", "other", None, None, "test").into();
    let pattern = |request: &super::recorder::Recorded, identity| {
        super::pattern::Pattern::of(request, &body, identity).is_some()
    };
    assert!(pattern(&request, &identity));
    assert!(!pattern(&request, &other));
    let authorization = request.headers.get("authorization").unwrap().to_owned();
    for wrong in [
        "",
        "Bearer token",
        &authorization.replace("AWS4-HMAC", "AWS4-ECDSA"),
    ] {
        request.headers.insert("authorization", wrong.to_owned());
        assert!(!pattern(&request, &identity), "{wrong}");
    }
    request.headers.insert("authorization", authorization);
    assert!(pattern(&request, &identity));
    request.headers.insert("X-Amzn-Trace-Id", "Root=1");
    assert!(!pattern(&request, &identity));
}

#[tokio::test]
async fn the_streams_of_prepared_calls_are_bounded() {
    let server = Server::start((0..4).map(|_| ok())).await;
    let mut aws = server.aws();
    let mut prepared = PreparedCalls::new(true);
    prepared.streams_max = 2;
    aws.prepared = Arc::new(prepared);
    for (stream, kept) in [("s1", 1), ("s2", 2), ("s3", 2)] {
        put_to(&aws, stream).await.unwrap();
        assert_eq!(aws.prepared.lock().len(), kept);
    }
    tokio::time::pause();
    tokio::time::advance(super::LIFETIME).await;
    tokio::time::resume();
    put_to(&aws, "s4").await.unwrap();
    assert_eq!(aws.prepared.lock().len(), 1);
}
