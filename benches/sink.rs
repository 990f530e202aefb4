//! The cheapest Kinesis that a client can use. It finds the shard of each record of a request, and answers that all are
//! stored. Its shards stay empty. It answers in the form of the request, JSON or CBOR. A stream named `bench-N` has N
//! shards, a power of two; any other has one. Puts to `silent-bench-N` are never answered.

use std::{convert::Infallible, fmt::Write as _, net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use md5::{Digest, Md5};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivatePkcs8KeyDer},
};

/// Serves for ever, with TLS if there is an acceptor.
///
/// # Panics
/// Panics if it cannot listen.
pub async fn serve(tls: Option<TlsAcceptor>, announce: impl FnOnce(SocketAddr)) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    announce(listener.local_addr().expect("a bound address"));
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            return;
        };
        let _ = socket.set_nodelay(true);
        match tls.clone() {
            None => drop(tokio::spawn(converse(socket))),
            Some(tls) => drop(tokio::spawn(async move {
                if let Ok(socket) = tls.accept(socket).await {
                    converse(socket).await;
                }
            })),
        }
    }
}

async fn converse(socket: impl AsyncRead + AsyncWrite + Unpin) {
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service_fn(answer));
    let _ = connection.await;
}

/// Makes an acceptor with a new certificate for `localhost`. Returns it with the certificate in PEM.
///
/// # Panics
/// Panics if the cryptography does not work.
#[must_use]
pub fn tls() -> (TlsAcceptor, String) {
    let names = vec!["localhost".to_owned()];
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(names).expect("a certificate");
    let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key.into())
        .expect("a key of the certificate");
    (TlsAcceptor::from(Arc::new(config)), cert.pem())
}

async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let header = |name| {
        let header = request.headers().get(name);
        header.map(|value| value.as_bytes().to_vec())
    };
    let operation = header("x-amz-target").unwrap_or_default();
    let is_cbor = header("content-type").is_some_and(|form| form == CBOR.as_bytes());
    let body = request
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    if operation.ends_with(b"PutRecords") && memchr::memmem::find(&body, SILENT).is_some() {
        std::future::pending::<()>().await;
    }
    let mut form = "application/x-amz-json-1.1";
    let answer = match operation.rsplit(|byte| *byte == b'.').next() {
        Some(b"PutRecords") if is_cbor => {
            form = CBOR;
            put_answer_in_cbor(&body).into()
        }
        Some(b"GetRecords") if is_cbor => {
            form = CBOR;
            empty_page_in_cbor().into()
        }
        Some(b"PutRecords") => put_answer(&body).into(),
        Some(b"ListShards") => list_answer(shards_of(&body)).into(),
        Some(b"DescribeStreamSummary") => SUMMARY.into(),
        Some(b"GetShardIterator") => r#"{"ShardIterator":"iterator"}"#.into(),
        Some(b"GetRecords") => empty_page().into(),
        _ => "{}".into(),
    };
    let response = Response::builder().header("content-type", form);
    Ok(response.body(Full::new(answer)).expect("a response"))
}

/// The name of a stream whose puts are never answered begins with this.
const SILENT: &[u8] = b"silent-";

const CBOR: &str = "application/x-amz-cbor-1.1";

/// Returns the shard of a record, by the MD5 of its key or by its explicit hash key, as the service does.
fn shard_of(key: &[u8], explicit_hash_key: Option<&[u8]>, shards: u128) -> u128 {
    let hash_key = match explicit_hash_key {
        Some(digits) => number_of(digits),
        None => u128::from_be_bytes(Md5::digest(key).into()),
    };
    hash_key / (u128::MAX / shards + u128::from(shards > 1)).max(1)
}

fn put_answer(body: &[u8]) -> String {
    let shards = shards_of(body);
    let mut answer = String::from(r#"{"FailedRecordCount":0,"Records":["#);
    let keys = memchr::memmem::find_iter(body, PARTITION_KEY);
    for (number, at) in keys.enumerate() {
        let (key, rest) = text_at(&body[at + PARTITION_KEY.len()..]);
        let explicit = rest.strip_prefix(EXPLICIT_HASH_KEY);
        let shard = shard_of(key, explicit.map(|digits| text_at(digits).0), shards);
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

/// Returns the answer of `put_answer` as CBOR, for the same records.
fn put_answer_in_cbor(body: &[u8]) -> Vec<u8> {
    let shards = shards_of(body);
    let mut answer = b"\xBF\x71FailedRecordCount\x00\x67Records\x9F".to_vec();
    let (mut request, mut number) = (Cbor(body), 10_u128.pow(20));
    request.opened();
    while !request.ended() {
        if request.string() != b"Records" {
            request.string();
            continue;
        }
        request.opened();
        while !request.ended() {
            let (key, explicit) = request.entry();
            let shard = shard_of(key, explicit, shards);
            let sequence_number = format!("49551479315998225220804774498660962{number}");
            answer.extend_from_slice(b"\xBF\x6ESequenceNumber\x78\x38");
            answer.extend_from_slice(sequence_number.as_bytes());
            answer.extend_from_slice(b"\x67ShardId\x74");
            answer.extend_from_slice(format!("shardId-{shard:012}").as_bytes());
            answer.push(END);
            number += 1;
        }
    }
    answer.extend_from_slice(&[END, END]);
    answer
}

/// The end of a map or an array.
const END: u8 = 0xFF;

/// The unread rest of a request of the library. Its maps and arrays have indefinite lengths, and its members are texts
/// or bytes.
struct Cbor<'a>(&'a [u8]);

impl<'a> Cbor<'a> {
    /// Enters a map or an array.
    fn opened(&mut self) {
        self.0 = self.0.get(1..).unwrap_or_default();
    }

    /// Whether the map or the array ends here. Skips the end.
    fn ended(&mut self) -> bool {
        let ends = self.0.first().is_none_or(|byte| *byte == END);
        if ends {
            self.opened();
        }
        ends
    }

    fn string(&mut self) -> &'a [u8] {
        let Some((head, rest)) = self.0.split_first() else {
            return &[];
        };
        let width = match head & 31 {
            24 => 1,
            25 => 2,
            26 => 4,
            _ => 0,
        };
        let (width, rest) = rest.split_at(rest.len().min(width));
        let length = if width.is_empty() {
            usize::from(head & 31)
        } else {
            let shift_in = |length, byte: &u8| length << 8 | usize::from(*byte);
            width.iter().fold(0, shift_in)
        };
        let (string, rest) = rest.split_at(rest.len().min(length));
        self.0 = rest;
        string
    }

    /// Returns the key of a record, and its explicit hash key.
    fn entry(&mut self) -> (&'a [u8], Option<&'a [u8]>) {
        let (mut key, mut explicit): (&[u8], _) = (&[], None);
        self.opened();
        while !self.ended() {
            let name = self.string();
            let value = self.string();
            match name {
                b"PartitionKey" => key = value,
                b"ExplicitHashKey" => explicit = Some(value),
                _ => {}
            }
        }
        (key, explicit)
    }
}

const PARTITION_KEY: &[u8] = br#""PartitionKey":""#;
const EXPLICIT_HASH_KEY: &[u8] = br#","ExplicitHashKey":""#;

/// Returns a text up to its end, and the bytes behind it.
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

/// Returns the number behind `bench-`.
fn shards_of(body: &[u8]) -> u128 {
    const NAME: &[u8] = b"bench-";
    let name = memchr::memmem::find(body, NAME);
    name.map_or(1, |at| {
        let digits = &body[at + NAME.len()..];
        let end = digits.iter().position(|byte| !byte.is_ascii_digit());
        number_of(&digits[..end.unwrap_or(digits.len())])
    })
}

/// Returns the answer to a list of shards. `shards` is a power of two.
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

/// An iterator as long as the service's.
const ITERATOR: &str = concat!(
    "AAAAAAAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
);

/// Returns a page of a shard without new records.
fn empty_page() -> String {
    format!(r#"{{"MillisBehindLatest":0,"NextShardIterator":"{ITERATOR}","Records":[]}}"#)
}

fn empty_page_in_cbor() -> Vec<u8> {
    let head = b"\xBF\x72MillisBehindLatest\x00\x71NextShardIterator\x78";
    let length = u8::try_from(ITERATOR.len()).expect("one byte's worth");
    let tail = b"\x67Records\x9F\xFF\xFF";
    [head, &[length][..], ITERATOR.as_bytes(), tail].concat()
}

const SUMMARY: &str = r#"{"StreamDescriptionSummary":{"StreamName":"bench","StreamARN":"arn:aws:kinesis:us-east-1:000000000000:stream/bench","StreamStatus":"ACTIVE","StreamModeDetails":{"StreamMode":"PROVISIONED"},"RetentionPeriodHours":24,"StreamCreationTimestamp":1700000000,"EnhancedMonitoring":[],"EncryptionType":"NONE","OpenShardCount":4,"ConsumerCount":0}}"#;
