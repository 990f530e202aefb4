mod changes;
mod faults;
mod server;
mod signature;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_runtime::invocation_id::{InvocationId, InvocationIdGenerator};
use aws_sdk_kinesis::{
    Client,
    config::{StalledStreamProtectionConfig, timeout::TimeoutConfig},
};
use aws_smithy_runtime_api::box_error::BoxError;
use futures_util::FutureExt as _;

use self::{
    server::{Answer, Request, Server},
    signature::signature,
};
use super::{Form, Way};
use crate::{
    record::{EncodedRecord, PartitionKey},
    service::{
        ErrorClass, Kinesis as _, PutRecords, PutRecordsAnswer, ServiceError, StreamId,
        aws::{
            AwsKinesis,
            put_records::{send_body, send_by_sdk},
            stub,
        },
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

/// Puts to a server that gives this answer from the second call on. Returns the errors of a call that was prepared and of
/// one that was not.
async fn errors(answer: Answer) -> [ServiceError; 2] {
    let server = Server::start([ok(), answer.clone(), answer.clone()]).await;
    let aws = server.aws();
    put(&aws).await.unwrap();
    assert!(is_prepared(&aws));
    let prepared = put(&aws).await.unwrap_err();
    assert_eq!(is_prepared(&aws), prepared.class == ErrorClass::Throttled);
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

#[tokio::test]
async fn a_request_with_an_unusual_header_or_another_signature_is_not_a_pattern() {
    let server = Server::start([ok()]).await;
    let aws = server.aws();
    let recorder = super::Recorder::default();
    let body = bytes::Bytes::from_static(b"\xA0");
    let sent = (Form::Cbor, &body);
    let _ = send_by_sdk(&aws, &"s".into(), sent, Some(recorder.clone())).await;
    let mut sample = recorder.take().unwrap();
    let identity = Credentials::new("id", "secret", None, None, "test").into();
    let other = Credentials::new("id", "other", None, None, "test").into();
    let is_pattern = |sample: &super::recorder::Recorded, identity| {
        super::pattern::Pattern::of(sample, &body, identity).is_some()
    };
    assert!(is_pattern(&sample, &identity));
    assert!(!is_pattern(&sample, &other));
    let right = sample.request.headers().get("authorization").unwrap();
    let right = right.to_owned();
    for wrong in ["", "Bearer token", &right.replace("HMAC", "ECDSA")] {
        let headers = sample.request.headers_mut();
        headers.insert("authorization", wrong.to_owned());
        assert!(!is_pattern(&sample, &identity), "{wrong}");
    }
    let headers = sample.request.headers_mut();
    headers.insert("authorization", right);
    assert!(is_pattern(&sample, &identity));
    let headers = sample.request.headers_mut();
    headers.insert("X-Amzn-Trace-Id", "Root=1");
    assert!(!is_pattern(&sample, &identity));
}

#[tokio::test]
async fn an_answer_in_many_parts_is_read_whole() {
    let server = Server::start([ok(), ok()]).await;
    let aws = server.aws();
    put(&aws).await.unwrap();
    server.slowly();
    let stored = put(&aws).await.unwrap();
    assert_eq!(
        stored.results[0].as_ref().unwrap().sequence_number.as_str(),
        "17"
    );
    assert!(is_prepared(&aws));
}

#[tokio::test]
async fn a_failed_or_dropped_call_keeps_no_body() {
    for (is_prepared, status, is_dropped) in [
        (false, 500, false),
        (false, 500, true),
        (false, 200, false),
        (true, 500, false),
        (true, 200, true),
        (true, 200, false),
    ] {
        let answer = (status, String::new(), STORED);
        let answers = is_prepared.then(ok).into_iter().chain([answer]);
        let server = Server::start(answers).await;
        let aws = server.aws();
        if is_prepared {
            put(&aws).await.unwrap();
        }
        let body = bytes::Bytes::from(vec![0xA0]);
        let stream = StreamId::from("s");
        let mut call = Box::pin(send_body(&aws, &stream, Form::Cbor, &body));
        assert!((&mut call).now_or_never().is_none());
        if !is_dropped {
            let _ = call.as_mut().await;
        }
        drop(call);
        // A connection's task may have it for a moment.
        let free = async {
            while !body.is_unique() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let free = tokio::time::timeout(Duration::from_secs(10), free);
        free.await.expect("nobody keeps the body");
    }
}

#[tokio::test]
async fn identifiers_of_the_users_own_are_left_to_the_sdk() {
    #[derive(Debug)]
    struct Own;

    impl InvocationIdGenerator for Own {
        fn generate(&self) -> Result<Option<InvocationId>, BoxError> {
            Ok(Some(InvocationId::new("own".to_owned())))
        }
    }

    let mut server = Server::start([ok(), ok()]).await;
    let config = stub::config(&server.endpoint)
        .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
        .invocation_id_generator(Own);
    let aws = AwsKinesis::new(&Client::from_conf(config.build()));
    for _ in 0..2 {
        put(&aws).await.unwrap();
        assert_eq!(
            server.request().await.headers["amz-sdk-invocation-id"],
            "own"
        );
    }
}
