//! The cheapest Kinesis that a client can talk to: it counts the records of a request and says that all are stored. Its
//! shards stay empty.
//! A stream named `bench-N` has N shards.

use std::{convert::Infallible, fmt::Write as _, net::SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

const RECORDS_MAX: usize = 500;

/// Serves for ever.
///
/// # Panics
/// When it cannot listen.
pub async fn serve(announce: impl FnOnce(SocketAddr)) {
    let answers: Vec<Bytes> = (0..=RECORDS_MAX).map(put_answer).collect();
    let answers: &'static [Bytes] = answers.leak();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    announce(listener.local_addr().expect("a bound address"));
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            return;
        };
        let _ = socket.set_nodelay(true);
        let service = service_fn(move |request| answer(request, answers));
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(socket), service);
        tokio::spawn(connection);
    }
}

async fn answer(
    request: Request<Incoming>,
    answers: &'static [Bytes],
) -> Result<Response<Full<Bytes>>, Infallible> {
    let target = request
        .headers()
        .get("x-amz-target")
        .map(|target| target.as_bytes().to_vec());
    let operation = target.unwrap_or_default();
    let body = request
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let answer = match operation.rsplit(|byte| *byte == b'.').next() {
        Some(b"PutRecords") => {
            let records = memchr::memmem::find_iter(&body, b"\"PartitionKey\"").count();
            answers[records.min(RECORDS_MAX)].clone()
        }
        Some(b"ListShards") => list_answer(shards_of(&body)).into(),
        Some(b"DescribeStreamSummary") => SUMMARY.into(),
        Some(b"GetShardIterator") => r#"{"ShardIterator":"iterator"}"#.into(),
        Some(b"GetRecords") => EMPTY_PAGE.into(),
        _ => "{}".into(),
    };
    let response = Response::builder().header("content-type", "application/x-amz-json-1.1");
    Ok(response.body(Full::new(answer)).expect("a response"))
}

fn put_answer(records: usize) -> Bytes {
    let mut answer = String::from(r#"{"FailedRecordCount":0,"Records":["#);
    for record in 0..records {
        let comma = if record == 0 { "" } else { "," };
        let number = 10_u128.pow(20) + record as u128;
        let shard = record % 4;
        let _ = write!(
            answer,
            r#"{comma}{{"SequenceNumber":"49551479315998225220804774498660962{number}","ShardId":"shardId-{shard:012}"}}"#
        );
    }
    answer.push_str("]}");
    answer.into()
}

/// The number behind `bench-`.
fn shards_of(body: &[u8]) -> u128 {
    let text = String::from_utf8_lossy(body);
    let digits = text
        .split("bench-")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(1)
}

/// `shards` is a power of two.
fn list_answer(shards: u128) -> String {
    let width = u128::MAX / shards;
    let shards: Vec<_> = (0..shards)
        .map(|shard| {
            let start = shard * (width + 1);
            let end = start + width;
            format!(
                r#"{{"ShardId":"shardId-{shard:012}","HashKeyRange":{{"StartingHashKey":"{start}","EndingHashKey":"{end}"}},"SequenceNumberRange":{{"StartingSequenceNumber":"49551479315998225220804774498660962603757541393499684882"}}}}"#
            )
        })
        .collect();
    format!(r#"{{"Shards":[{}]}}"#, shards.join(","))
}

/// Of a shard that has nothing new. The iterator is as long as the service's.
const EMPTY_PAGE: &str = concat!(
    r#"{"MillisBehindLatest":0,"NextShardIterator":"AAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"#,
    r#"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","Records":[]}"#,
);

const SUMMARY: &str = r#"{"StreamDescriptionSummary":{"StreamName":"bench","StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/bench","StreamStatus":"ACTIVE","StreamModeDetails":{"StreamMode":"PROVISIONED"},"RetentionPeriodHours":24,"StreamCreationTimestamp":1700000000,"EnhancedMonitoring":[],"EncryptionType":"NONE","OpenShardCount":4,"ConsumerCount":0}}"#;
