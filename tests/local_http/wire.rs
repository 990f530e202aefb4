//! Tests of requests that are written by hand: refusals before the operation is looked at, and their messages.

use std::{net::SocketAddr, time::Duration};

use kinesis_pipeline::local::{LocalKinesis, LocalServer};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

pub(crate) const SIGNED: &str = "Authorization: AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0\r\n\
                      X-Amz-Date: 20260101T000000Z\r\n";
pub(crate) const JSON: &str = "Content-Type: application/x-amz-json-1.1\r\n";
const LIST_STREAMS: &str = "X-Amz-Target: Kinesis_20131202.ListStreams\r\n";
/// The longest wait of these tests for an answer.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(20);

pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

pub(crate) async fn server() -> LocalServer {
    let local = LocalKinesis::start().await.unwrap();
    local.serve("127.0.0.1:0").await.unwrap()
}

/// Sends one request on its own connection, and reads the answer to its end.
pub(crate) async fn send(server: &LocalServer, path: &str, headers: &str, body: &[u8]) -> Answer {
    send_to(server.address(), path, headers, body).await
}

pub(crate) async fn send_to(address: SocketAddr, path: &str, headers: &str, body: &[u8]) -> Answer {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: local\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    );
    exchange(address, &[head.as_bytes(), body]).await
}

pub(crate) async fn exchange(address: SocketAddr, request: &[&[u8]]) -> Answer {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let mut bytes = Vec::new();
    let exchange = async {
        for part in request {
            socket.write_all(part).await.unwrap();
        }
        socket.read_to_end(&mut bytes).await.unwrap();
    };
    tokio::time::timeout(ANSWER_WAIT_MAX, exchange)
        .await
        .unwrap();
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer {
        status,
        head,
        body: bytes[end + 4..].to_vec(),
    }
}

async fn refusal(headers: &str, body: &[u8]) -> (u16, String) {
    let server = server().await;
    let answer = send(&server, "/", headers, body).await;
    let code = answer.json()["__type"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("x-amzn-errortype"), Some(&*code));
    (answer.status, code)
}

#[tokio::test]
async fn every_answer_carries_its_ids_and_the_media_type_of_its_request() {
    let server = server().await;
    let answer = send(
        &server,
        "/",
        &format!("{SIGNED}{JSON}{LIST_STREAMS}"),
        b"{}",
    )
    .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/x-amz-json-1.1")
    );
    assert_eq!(answer.header("x-amzn-requestid").map(str::len), Some(36));
    assert!(answer.header("x-amz-id-2").is_some());
    assert_eq!(
        answer.json(),
        json!({"StreamNames": [], "HasMoreStreams": false, "StreamSummaries": []})
    );
}

#[tokio::test]
async fn a_body_that_is_no_json_object_cannot_be_read() {
    for body in [
        &b"{"[..],
        b"[]",
        b"",
        b"{\"Limit\": \"three\"}",
        b"\xFF\xFE",
    ] {
        let headers = format!("{SIGNED}{JSON}{LIST_STREAMS}");
        let refused = (400, "SerializationException".to_owned());
        assert_eq!(refusal(&headers, body).await, refused, "{body:?}");
    }
}

#[tokio::test]
async fn an_unknown_target_is_an_unknown_operation() {
    for target in [
        "X-Amz-Target: Kinesis_20131202.Fly\r\n",
        "X-Amz-Target: Other.ListStreams\r\n",
        "",
    ] {
        let headers = format!("{SIGNED}{JSON}{target}");
        let refused = (400, "UnknownOperationException".to_owned());
        assert_eq!(refusal(&headers, b"{}").await, refused, "{target:?}");
    }
}

#[tokio::test]
async fn a_request_must_be_signed_but_by_any_key() {
    let unsigned = refusal(&format!("{JSON}{LIST_STREAMS}"), b"{}").await;
    assert_eq!(
        unsigned,
        (400, "MissingAuthenticationTokenException".to_owned())
    );
    let half = "Authorization: AWS4-HMAC-SHA256 Credential=a\r\n";
    let half_signed = refusal(&format!("{half}{JSON}{LIST_STREAMS}"), b"{}").await;
    assert_eq!(
        half_signed,
        (400, "IncompleteSignatureException".to_owned())
    );
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_after_it_was_sent() {
    let body = vec![b' '; 20 * 1024 * 1024];
    let refused = refusal(&format!("{SIGNED}{JSON}{LIST_STREAMS}"), &body).await;
    assert_eq!(refused, (413, "RequestEntityTooLargeException".to_owned()));
}

#[tokio::test]
async fn a_body_may_come_in_chunks() {
    let server = server().await;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: local\r\nConnection: close\r\n{SIGNED}{JSON}{LIST_STREAMS}\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    let chunks = b"1\r\n{\r\n9\r\n\"Limit\":1\r\n1\r\n}\r\n0\r\n\r\n";
    let answer = exchange(server.address(), &[head.as_bytes(), chunks]).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn the_java_sdks_cbor_is_answered_in_cbor() {
    let server = server().await;
    let headers = format!("{SIGNED}Content-Type: application/x-amz-cbor-1.1\r\n{LIST_STREAMS}");
    let answer = send(&server, "/", &headers, b"\xBF\xFF").await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("content-type"),
        Some("application/x-amz-cbor-1.1")
    );
    assert!(answer.body.windows(11).any(|name| name == b"StreamNames"));
}

#[tokio::test]
async fn rpc_v2_names_the_operation_in_the_path() {
    let server = server().await;
    let headers =
        format!("{SIGNED}Content-Type: application/cbor\r\nsmithy-protocol: rpc-v2-cbor\r\n");
    let path = "/service/Kinesis_20131202/operation/ListStreams";
    let answer = send(&server, path, &headers, b"").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("smithy-protocol"), Some("rpc-v2-cbor"));
    let answer = send(
        &server,
        "/service/Kinesis_20131202/operation/Fly",
        &headers,
        b"",
    )
    .await;
    assert_eq!(answer.status, 400);
    let code = b"com.amazonaws.kinesis#UnknownOperationException";
    assert!(answer.body.windows(code.len()).any(|part| part == code));
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_names_the_address() {
    let server = server().await;
    let address = server.address().to_string();
    let other = LocalKinesis::start().await.unwrap();
    let error = other.serve(&address).await.unwrap_err();
    assert!(error.to_string().contains(&address), "{error}");
}

#[tokio::test]
async fn a_server_that_is_stopped_or_dropped_frees_its_port() {
    let local = LocalKinesis::start().await.unwrap();
    let stopped = local.serve("127.0.0.1:0").await.unwrap();
    let address = stopped.address().to_string();
    // An idle connection must not delay the stop.
    let _idle = TcpStream::connect(stopped.address()).await.unwrap();
    stopped.stop().await;
    let dropped = local.serve(&address).await.unwrap();
    drop(dropped);
    // The dropped task ends when the runtime runs it again.
    let mut tries = 0;
    while local.serve(&address).await.is_err() {
        tries += 1;
        assert!(tries < 1_000, "the port stays taken");
        tokio::task::yield_now().await;
    }
}
