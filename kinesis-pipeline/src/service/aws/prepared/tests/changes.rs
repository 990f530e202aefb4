//! Changes while calls are prepared: of credentials, clocks, streams, time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError, future},
};
use aws_smithy_types::{DateTime, date_time::Format};
use bytes::Bytes;

use super::{
    super::{Form, LIFETIME, PreparedCalls, RENEWAL, Way, pattern},
    STORED, is_prepared, ok, put, put_to,
    server::{Request, Server},
    signature::signature,
};
use crate::service::{ErrorClass, StreamId};

/// Returns the time of a request's signature on the service's clock, in whole seconds from now.
fn signed_in(request: &Request) -> i64 {
    let date = &request.headers["x-amz-date"];
    let at = pattern::time(date).unwrap();
    DateTime::from(at).secs() - now_secs()
}

/// Returns the header of a service whose clock is so many seconds ahead.
fn date_in(secs: i64) -> String {
    let date = DateTime::from_secs(now_secs() + secs);
    format!("date: {}\r\n", date.fmt(Format::HttpDate).unwrap())
}

fn now_secs() -> i64 {
    DateTime::from(crate::Clock::system().now()).secs()
}

/// Keys with a number that grows, each valid for one call; or none.
#[derive(Clone, Debug, Default)]
struct Rotating {
    given: Arc<AtomicUsize>,
    is_empty: Arc<AtomicBool>,
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
        let date = date_in(offset);
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
    assert!(matches!(way("other", Form::Cbor), Way::Sdk(Some(_))));
    assert!(matches!(way("s", Form::Json), Way::Sdk(Some(_))));
    put_to(&aws, "other").await.unwrap();
    assert!(matches!(way("other", Form::Cbor), Way::Prepared(_)));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(55)).await;
    assert!(is_prepared(&aws));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(matches!(way("s", Form::Cbor), Way::Sdk(Some(_))));
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
        assert_eq!(aws.prepared.lock().streams.len(), kept);
    }
    tokio::time::pause();
    tokio::time::advance(LIFETIME).await;
    tokio::time::resume();
    put_to(&aws, "s4").await.unwrap();
    assert_eq!(aws.prepared.lock().streams.len(), 1);
}

#[tokio::test]
async fn a_clock_that_is_set_while_calls_are_prepared_costs_no_more_than_with_the_sdk_alone() {
    let date = date_in(3_600);
    let denied = (
        403,
        date.clone(),
        r#"{"__type":"InvalidSignatureException"}"#,
    );
    let stored = (200, date, STORED);
    let mut server = Server::start([ok(), denied.clone(), denied, stored.clone(), stored]).await;
    let aws = server.aws();
    put(&aws).await.unwrap();
    // Made by the prepared call, then by the SDK.
    let error = put(&aws).await.unwrap_err();
    assert_eq!(error.class, ErrorClass::AccessDenied);
    for _ in 0..2 {
        put(&aws).await.unwrap();
    }
    let mut offsets = Vec::new();
    for _ in 0..5 {
        offsets.push((signed_in(&server.request().await) + 60) / 3_600);
    }
    assert_eq!(offsets, [0, 0, 0, 1, 1]);
}

#[tokio::test]
async fn a_late_success_does_not_bring_back_a_pattern_that_failed() {
    let server = Server::start([ok()]).await;
    let aws = server.aws();
    let stream = StreamId::from("s");
    let Way::Sdk(Some(late)) = aws.prepared.way(&stream, Form::Cbor) else {
        panic!("nothing is prepared yet");
    };
    aws.prepared.forget(&StreamId::from("other"), None);
    assert!(!aws.prepared.lock().has_failed(&stream, late.begun));
    aws.prepared.forget(&stream, None);
    aws.prepared.prepare(&stream, &late, &Bytes::new());
    assert!(aws.prepared.lock().streams.is_empty());
}

#[tokio::test]
async fn a_late_failure_does_not_remove_a_newer_pattern() {
    let server = Server::start([ok(), ok()]).await;
    let aws = server.aws();
    let stream = StreamId::from("s");
    let call = || match aws.prepared.way(&stream, Form::Cbor) {
        Way::Prepared(call) => call,
        other @ Way::Sdk(_) => panic!("{other:?}"),
    };
    put(&aws).await.unwrap();
    let old = call();
    aws.prepared.forget(&stream, Some(&old));
    put(&aws).await.unwrap();
    aws.prepared.forget(&stream, Some(&old));
    assert!(is_prepared(&aws));
    aws.prepared.forget(&stream, Some(&call()));
    assert!(!is_prepared(&aws));
}

#[tokio::test]
async fn a_request_that_cannot_be_prepared_is_left_to_the_sdk_and_tried_again_by_one_call() {
    let server = Server::start([ok()]).await;
    let aws = server.aws();
    let stream = StreamId::from("s");
    let way = || aws.prepared.way(&stream, Form::Cbor);
    let Way::Sdk(Some(recording)) = way() else {
        panic!("nothing is prepared yet");
    };
    aws.prepared.prepare(&stream, &recording, &Bytes::new());
    assert!(matches!(way(), Way::Sdk(None)));
    tokio::time::pause();
    tokio::time::advance(RENEWAL).await;
    assert!(matches!(way(), Way::Sdk(Some(_))));
    assert!(matches!(way(), Way::Sdk(None)));
}

#[tokio::test]
async fn a_denied_call_is_made_again_by_the_sdk_and_a_limited_one_is_not() {
    let denied = (400, String::new(), r#"{"__type":"AccessDeniedException"}"#);
    let mut server = Server::start([ok(), denied, ok()]).await;
    let aws = server.aws();
    for _ in 0..2 {
        put(&aws).await.unwrap();
    }
    assert!(is_prepared(&aws));
    for _ in 0..3 {
        server.request().await;
    }
    let limited = r#"{"__type":"ProvisionedThroughputExceededException"}"#;
    let server = Server::start([ok(), (400, String::new(), limited)]).await;
    let aws = server.aws();
    put(&aws).await.unwrap();
    put(&aws).await.unwrap_err();
    assert!(is_prepared(&aws));
}

#[tokio::test]
async fn one_call_renews_a_pattern_while_the_others_use_it() {
    let server = Server::start([ok()]).await;
    let aws = server.aws();
    put(&aws).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(LIFETIME).await;
    assert!(matches!(
        aws.prepared.way(&"s".into(), Form::Cbor),
        Way::Sdk(Some(_))
    ));
    assert!(is_prepared(&aws));
    tokio::time::advance(RENEWAL).await;
    assert!(!is_prepared(&aws));
}
