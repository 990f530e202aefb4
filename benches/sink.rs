//! The cheapest Kinesis that a client can talk to: it finds the shard of each record of a request and says that all are
//! stored. Its shards stay empty.
//! A stream named `bench-N` has N shards, a power of two; any other has one.

use std::{convert::Infallible, fmt::Write as _, net::SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use md5::{Digest, Md5};
use tokio::net::TcpListener;

/// Serves for ever.
///
/// # Panics
/// When it cannot listen.
pub async fn serve(announce: impl FnOnce(SocketAddr)) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    announce(listener.local_addr().expect("a bound address"));
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            return;
        };
        let _ = socket.set_nodelay(true);
        let service = service_fn(answer);
        let connection = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(socket), service);
        tokio::spawn(connection);
    }
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
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
        Some(b"PutRecords") => put_answer(&body).into(),
        Some(b"ListShards") => list_answer(shards_of(&body)).into(),
        Some(b"DescribeStreamSummary") => SUMMARY.into(),
        Some(b"GetShardIterator") => r#"{"ShardIterator":"iterator"}"#.into(),
        Some(b"GetRecords") => EMPTY_PAGE.into(),
        _ => "{}".into(),
    };
    let response = Response::builder().header("content-type", "application/x-amz-json-1.1");
    Ok(response.body(Full::new(answer)).expect("a response"))
}

/// The service finds a record's shard by the MD5 of its key, or by its explicit hash key.
fn put_answer(body: &[u8]) -> String {
    let shards = shards_of(body);
    let mut answer = String::from(r#"{"FailedRecordCount":0,"Records":["#);
    let keys = memchr::memmem::find_iter(body, PARTITION_KEY);
    for (number, at) in keys.enumerate() {
        let (key, rest) = text_at(&body[at + PARTITION_KEY.len()..]);
        let hash_key = match rest.strip_prefix(EXPLICIT_HASH_KEY) {
            Some(explicit) => number_of(text_at(explicit).0),
            None => u128::from_be_bytes(Md5::digest(key).into()),
        };
        let shard = hash_key / (u128::MAX / shards + u128::from(shards > 1)).max(1);
        let comma = if number == 0 { "" } else { "," };
        let number = 10_u128.pow(20) + number as u128;
        let _ = write!(
            answer,
            r#"{comma}{{"SequenceNumber":"49551479315998225220804774498660962{number}","ShardId":"shardId-{shard:012}"}}"#
        );
    }
    answer.push_str("]}");
    answer
}

const PARTITION_KEY: &[u8] = br#""PartitionKey":""#;
const EXPLICIT_HASH_KEY: &[u8] = br#","ExplicitHashKey":""#;

/// A text up to its end, and what follows.
fn text_at(body: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'"', body).unwrap_or(body.len());
    let (text, rest) = body.split_at(end);
    (text, rest.get(1..).unwrap_or_default())
}

fn number_of(text: &[u8]) -> u128 {
    let digit =
        |number: u128, digit: &u8| number.wrapping_mul(10).wrapping_add(u128::from(digit & 15));
    text.iter().fold(0, digit)
}

/// The number behind `bench-`.
fn shards_of(body: &[u8]) -> u128 {
    const NAME: &[u8] = b"bench-";
    let name = memchr::memmem::find(body, NAME);
    name.map_or(1, |at| number_of(text_at(&body[at + NAME.len()..]).0))
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
