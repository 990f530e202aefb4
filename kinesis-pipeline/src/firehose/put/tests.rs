//! Tests of puts over a real socket, to a strict server that refuses requests as Firehose does.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use aws_sdk_firehose::{
    Client,
    config::{BehaviorVersion, Config, Credentials, Region},
};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::{PutError, PutOptions, firehose::NewLine, service::ErrorClass};

/// The reply to a valid request.
enum Reply {
    /// A result for each record by its index in the request: `None` if it is stored, or an error code.
    Each(fn(usize) -> Option<&'static str>),
    /// An error for the whole request.
    Refuse(u16, &'static str),
    /// The records are stored, but the connection ends before the answer.
    Hangup,
}

type Script = fn(call: usize) -> Reply;

/// A Firehose that stores in memory. Limits by the API reference: 500 records, 4 MiB, 1,000 KiB for a record.
struct Server {
    script: Script,
    calls: AtomicUsize,
    stored: Mutex<Vec<Vec<u8>>>,
    requests: Mutex<Vec<(usize, usize)>>,
    endpoint: String,
}

impl Server {
    async fn start(script: Script) -> (Arc<Self>, DeliveryStream<Bytes>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = Arc::new(Self {
            script,
            calls: AtomicUsize::new(0),
            stored: Mutex::default(),
            requests: Mutex::default(),
            endpoint,
        });
        let accepting = Arc::clone(&server);
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                tokio::spawn(Arc::clone(&accepting).serve(connection));
            }
        });
        let stream = stream_at(&server.endpoint);
        (server, stream)
    }

    async fn serve(self: Arc<Self>, mut connection: TcpStream) {
        while let Some((head, body)) = read_request(&mut connection).await {
            assert!(
                head.contains("x-amz-target: firehose_20150804.putrecordbatch"),
                "{head}"
            );
            let Some((status, body)) = self.answer(&body) else {
                return;
            };
            let body = body.to_string();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-json-1.1\r\n\
                 x-amzn-requestid: request-1\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            if connection
                .write_all((head + &body).as_bytes())
                .await
                .is_err()
            {
                return;
            }
        }
    }

    fn answer(&self, body: &[u8]) -> Option<(u16, Value)> {
        let call = self.calls.fetch_add(1, SeqCst);
        let body: Value = serde_json::from_slice(body).unwrap();
        let records: Vec<Vec<u8>> = body["Records"]
            .as_array()
            .unwrap()
            .iter()
            .map(|record| {
                base64_simd::STANDARD
                    .decode_to_vec(record["Data"].as_str().unwrap())
                    .unwrap()
            })
            .collect();
        let bytes: usize = records.iter().map(Vec::len).sum();
        let over = records.is_empty()
            || records.len() > 500
            || bytes > 4 << 20
            || records.iter().any(|record| record.len() > 1_000 << 10);
        if over || body["DeliveryStreamName"] != "clicks" {
            return Some((
                400,
                json!({ "__type": "InvalidArgumentException", "message": "over a limit" }),
            ));
        }
        self.requests.lock().unwrap().push((records.len(), bytes));
        let mut stored = self.stored.lock().unwrap();
        match (self.script)(call) {
            Reply::Refuse(status, code) => {
                Some((status, json!({ "__type": code, "message": "no" })))
            }
            Reply::Hangup => {
                stored.extend(records);
                None
            }
            Reply::Each(code_of) => {
                let entry = |(number, record): (usize, Vec<u8>)| {
                    if let Some(code) = code_of(number) {
                        return json!({ "ErrorCode": code, "ErrorMessage": "slow down" });
                    }
                    stored.push(record);
                    json!({ "RecordId": format!("id-{}", stored.len()) })
                };
                let entries: Vec<Value> = records.into_iter().enumerate().map(entry).collect();
                let failed = entries
                    .iter()
                    .filter(|entry| entry["ErrorCode"].is_string())
                    .count();
                Some((
                    200,
                    json!({ "FailedPutCount": failed, "RequestResponses": entries }),
                ))
            }
        }
    }

    fn sorted(&self) -> Vec<Vec<u8>> {
        let mut stored = self.stored.lock().unwrap().clone();
        stored.sort();
        stored
    }
}

fn client_at(endpoint: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("id", "secret", None, None, "test"));
    Client::from_conf(config.build())
}

fn stream_at(endpoint: &str) -> DeliveryStream<Bytes> {
    let options = PutOptions::new()
        .backoff(Duration::from_millis(1), Duration::from_millis(2))
        .attempts_max(4)
        .throttled_attempts_max(6);
    DeliveryStream::with_client(client_at(endpoint), "clicks")
        .with_put_options(options)
        .unwrap()
}

/// Reads the head in lower case, and the body; `None` at the end of the connection.
async fn read_request(connection: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            while read.len() < end + 4 + length {
                if connection.read_buf(&mut read).await.ok()? == 0 {
                    return None;
                }
            }
            return Some((head, read.split_off(end + 4)));
        }
        if connection.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}

fn numbered(count: usize) -> Vec<Bytes> {
    (0..count)
        .map(|number| format!("{number:06}").into())
        .collect()
}

#[tokio::test]
async fn a_record_is_taken_with_its_new_line_and_has_firehoses_id() {
    let (server, clicks) = Server::start(|_| Reply::Each(|_| None)).await;
    let receipt = clicks.put(&Bytes::from("one")).await.unwrap();
    assert_eq!((receipt.record_id.as_str(), receipt.attempts), ("id-1", 1));
    clicks.put(&Bytes::from("two\n")).await.unwrap();
    let as_is = clicks.new_line(NewLine::AsIs);
    as_is.put(&Bytes::from("three")).await.unwrap();
    assert_eq!(
        *server.stored.lock().unwrap(),
        [&b"one\n"[..], b"two\n", b"three"]
    );
}

#[tokio::test]
async fn requests_are_cut_at_500_records() {
    let (server, clicks) = Server::start(|_| Reply::Each(|_| None)).await;
    let results = clicks.put_all(numbered(2_300)).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(server.sorted().len(), 2_300);
    let requests = server.requests.lock().unwrap();
    assert!(
        requests.iter().any(|(records, _)| *records == 500),
        "{requests:?}"
    );
    assert!(requests.len() < 20, "{requests:?}");
}

#[tokio::test]
async fn requests_are_cut_at_4_mib_and_a_record_at_1000_kib() {
    let (server, clicks) = Server::start(|_| Reply::Each(|_| None)).await;
    let clicks = clicks.new_line(NewLine::AsIs);
    let mut records = vec![Bytes::from(vec![b'x'; 1_000 << 10]); 11];
    records.push(vec![b'x'; (1_000 << 10) + 1].into());
    let mut results = clicks.put_all(records).await;
    let error = results.pop().unwrap().unwrap_err().error;
    assert!(
        matches!(
            error,
            PutError::TooLarge {
                bytes: 1_024_001,
                bytes_max: 1_024_000,
                ..
            }
        ),
        "{error}"
    );
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    let requests = server.requests.lock().unwrap().clone();
    assert_eq!(
        requests.iter().map(|(records, _)| records).sum::<usize>(),
        11
    );
    assert!(
        requests.iter().any(|(records, _)| *records == 4),
        "{requests:?}"
    );
    // With a new line the largest record is too large.
    let error = clicks
        .new_line(NewLine::Append)
        .put(&vec![b'x'; 1_000 << 10].into())
        .await;
    assert!(matches!(
        error,
        Err(PutError::TooLarge {
            bytes: 1_024_001,
            ..
        })
    ));
}

#[tokio::test]
async fn the_records_that_failed_are_put_again_and_no_others() {
    let (server, clicks) = Server::start(|call| match call {
        0..2 => Reply::Each(|number| (number % 3 == 0).then_some("ServiceUnavailableException")),
        2..4 => Reply::Each(|number| (number % 7 == 0).then_some("InternalFailure")),
        _ => Reply::Each(|_| None),
    })
    .await;
    let results = clicks.put_all(numbered(1_000)).await;
    let receipts: Vec<_> = results.into_iter().map(|result| result.unwrap()).collect();
    assert!(receipts.iter().any(|receipt| receipt.attempts > 1));
    let stored = server.sorted();
    let expected: Vec<_> = (0..1_000)
        .map(|number| format!("{number:06}\n").into_bytes())
        .collect();
    assert_eq!(stored, expected, "each once");
    let mut ids: Vec<_> = receipts.iter().map(|receipt| &receipt.record_id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1_000);
}

#[tokio::test]
async fn a_throttled_request_is_tried_as_often_as_throttling_allows() {
    let (server, clicks) =
        Server::start(|_| Reply::Refuse(500, "ServiceUnavailableException")).await;
    let error = clicks.put(&Bytes::from("one")).await.unwrap_err();
    assert_eq!(
        (error.attempts(), error.is_retryable()),
        (6, true),
        "{error}"
    );
    assert!(!error.may_have_been_stored());
    let attempt = error.last_attempt().unwrap();
    assert_eq!(attempt.class(), ErrorClass::Throttled);
    assert_eq!(server.calls.load(SeqCst), 6);
}

#[tokio::test]
async fn refusals_are_told_apart_and_not_repeated() {
    for (code, status, class, advice) in [
        (
            "ResourceNotFoundException",
            400,
            ErrorClass::NotFound,
            "create the stream",
        ),
        (
            "AccessDeniedException",
            400,
            ErrorClass::AccessDenied,
            "firehose:PutRecordBatch",
        ),
        (
            "InvalidKMSResourceException",
            400,
            ErrorClass::AccessDenied,
            "firehose:PutRecordBatch",
        ),
        (
            "InvalidSourceException",
            400,
            ErrorClass::Invalid,
            "correct the record",
        ),
    ] {
        let script: Script = match code {
            "ResourceNotFoundException" => |_| Reply::Refuse(400, "ResourceNotFoundException"),
            "AccessDeniedException" => |_| Reply::Refuse(400, "AccessDeniedException"),
            "InvalidKMSResourceException" => |_| Reply::Refuse(400, "InvalidKMSResourceException"),
            _ => |_| Reply::Refuse(400, "InvalidSourceException"),
        };
        let (server, clicks) = Server::start(script).await;
        let error = clicks.put(&Bytes::from("one")).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(
            error.last_attempt().unwrap().class(),
            class,
            "{status} {text}"
        );
        assert!(matches!(error, PutError::Rejected { .. }), "{text}");
        assert!(
            text.contains(code) && text.contains(advice) && text.contains("http://127.0.0.1"),
            "{text}"
        );
        assert_eq!(server.calls.load(SeqCst), 1);
    }
}

#[tokio::test]
async fn a_record_whose_answer_was_lost_may_be_there_twice_and_the_receipt_comes() {
    let (server, clicks) = Server::start(|call| match call {
        0 => Reply::Hangup,
        _ => Reply::Each(|_| None),
    })
    .await;
    let receipt = clicks.put(&Bytes::from("one")).await.unwrap();
    assert_eq!(receipt.attempts, 2);
    assert_eq!(server.sorted(), [b"one\n", b"one\n"]);
    let (_, clicks) = Server::start(|_| Reply::Hangup).await;
    let error = clicks.put(&Bytes::from("one")).await.unwrap_err();
    assert!(
        error.may_have_been_stored() && error.is_retryable(),
        "{error}"
    );
}

#[test]
fn an_order_is_refused_and_the_endpoint_of_a_region_is_told() {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("eu-west-1"));
    let clicks = DeliveryStream::<Bytes>::with_client(Client::from_conf(config.build()), "clicks");
    let text = format!("{clicks:?}");
    assert!(text.contains("Firehose in eu-west-1"), "{text}");
    let ordered = PutOptions::new().order(crate::Order::PerKey);
    let error = clicks.with_put_options(ordered).unwrap_err();
    assert!(
        error.to_string().contains("Firehose keeps no order"),
        "{error}"
    );
}

#[tokio::test]
async fn a_stream_goes_by_its_arn_with_the_region_of_the_arn() {
    let (server, _) = Server::start(|_| Reply::Each(|_| None)).await;
    let arn = "arn:aws:firehose:eu-west-1:000000000000:deliverystream/clicks";
    let by_arn = DeliveryStream::<Bytes>::with_client(client_at(&server.endpoint), arn);
    assert_eq!(by_arn.name(), "clicks");
    by_arn.put(&Bytes::from("one")).await.unwrap();
    assert_eq!(server.sorted(), [b"one\n"]);
    let config = Config::builder().behavior_version(BehaviorVersion::latest());
    let client = Client::from_conf(config.region(Region::from_static("us-east-1")).build());
    let shown = format!("{:?}", DeliveryStream::<Bytes>::with_client(client, arn));
    assert!(shown.contains("eu-west-1"), "{shown}");
}
