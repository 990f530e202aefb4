//! A server with one canned answer, to test the SDK's side of the seam without a Kinesis.

use std::{collections::BTreeMap, time::Duration};

use aws_sdk_kinesis::{
    Client,
    config::{BehaviorVersion, Config, Credentials, Region, timeout::TimeoutConfig},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::sleep,
};

use super::{AwsKinesis, dialect::Form};

/// The headers of a request, by their names in lower case.
pub(super) type Headers = BTreeMap<String, String>;

/// The behaviour of the server once it has the request.
#[derive(Clone)]
pub(super) enum Answer {
    Http(u16, &'static str),
    /// In CBOR, whatever the request is in.
    Cbor(u16, Vec<u8>),
    /// In CBOR, within 3 seconds.
    Slowly(Vec<u8>),
    /// In CBOR, of which the second half never comes.
    Half(Vec<u8>),
    /// The first answer to a request in JSON, the second to any other.
    ByForm([(u16, &'static str); 2]),
    /// Closes the connection.
    Hangup,
    /// Says nothing.
    Silence,
}

pub(super) struct Stub {
    endpoint: String,
    requests: tokio::sync::Mutex<mpsc::Receiver<(bool, Value)>>,
}

impl Stub {
    pub(super) async fn answering(status: u16, body: &'static str) -> Self {
        Self::start(Answer::Http(status, body)).await
    }

    pub(super) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel(16);
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(connection, answer.clone(), sender.clone()));
            }
        });
        Self {
            endpoint,
            requests: requests.into(),
        }
    }

    pub(super) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn aws(&self) -> AwsKinesis {
        aws_at(&self.endpoint)
    }

    /// Returns the body of the next request as JSON, also of one in CBOR.
    pub(super) async fn request(&self) -> Value {
        self.requests.lock().await.recv().await.unwrap().1
    }

    /// Whether each of the requests so far was in CBOR.
    pub(super) async fn forms(&self) -> Vec<bool> {
        let mut requests = self.requests.lock().await;
        std::iter::from_fn(|| requests.try_recv().ok())
            .map(|(is_cbor, _)| is_cbor)
            .collect()
    }
}

/// Returns a client of this endpoint that waits 200 ms for an answer.
pub(super) fn aws_at(endpoint: &str) -> AwsKinesis {
    let timeouts = TimeoutConfig::builder()
        .read_timeout(Duration::from_millis(200))
        .build();
    let config = config(endpoint)
        .credentials_provider(Credentials::new("id", "secret", None, None, "test"))
        .timeout_config(timeouts);
    AwsKinesis::new(&Client::from_conf(config.build()))
}

/// Returns a configuration for this endpoint, without credentials.
pub(super) fn config(endpoint: &str) -> aws_sdk_kinesis::config::Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .endpoint_url(endpoint)
}

async fn serve(mut connection: TcpStream, answer: Answer, requests: mpsc::Sender<(bool, Value)>) {
    let Some((headers, body)) = read_request(&mut connection).await else {
        return;
    };
    let content_type = headers.get("content-type").map(String::as_str);
    let is_cbor = content_type == Some(Form::Cbor.content_type());
    let request = if is_cbor {
        in_json(&ciborium::from_reader(&body[..]).unwrap())
    } else {
        serde_json::from_slice(&body).unwrap_or(Value::Null)
    };
    let _ = requests.try_send((is_cbor, request));
    let (status, form, body) = match answer {
        Answer::Http(status, body) => (status, "json", body.into()),
        Answer::Cbor(status, ref body) => (status, "cbor", body.clone()),
        Answer::Slowly(ref body) | Answer::Half(ref body) => (200, "cbor", body.clone()),
        Answer::ByForm(answers) => {
            let (status, body) = answers[usize::from(is_cbor)];
            (status, "json", body.into())
        }
        Answer::Hangup => return,
        Answer::Silence => std::future::pending().await,
    };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/x-amz-{form}-1.1\r\n\
         x-amzn-requestid: request-1\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    let (first, second) = body.split_at(body.len() / 2);
    match answer {
        Answer::Slowly(_) => {
            for piece in body.chunks(body.len().div_ceil(30)) {
                sleep(Duration::from_millis(100)).await;
                connection.write_all(piece).await.unwrap();
            }
        }
        Answer::Half(_) => {
            connection.write_all(first).await.unwrap();
            std::future::pending::<()>().await;
        }
        _ => {
            connection.write_all(first).await.unwrap();
            connection.write_all(second).await.unwrap();
        }
    }
}

/// Converts a request to JSON.
fn in_json(value: &ciborium::Value) -> Value {
    use ciborium::Value as Cbor;
    match value {
        Cbor::Text(text) => text.as_str().into(),
        Cbor::Bytes(bytes) => base64_simd::STANDARD.encode_to_string(bytes).into(),
        Cbor::Integer(number) => u64::try_from(*number).unwrap().into(),
        Cbor::Array(elements) => elements.iter().map(in_json).collect(),
        Cbor::Map(members) => {
            let member =
                |(key, value): &(Cbor, Cbor)| (key.as_text().unwrap().to_owned(), in_json(value));
            Value::Object(members.iter().map(member).collect())
        }
        other => panic!("no request has {other:?}"),
    }
}

/// Reads a request: its headers by their names in lower case, and its body; `None` if the connection ends.
pub(super) async fn read_request(connection: &mut TcpStream) -> Option<(Headers, Vec<u8>)> {
    let mut read = Vec::new();
    loop {
        let head_bytes = read.windows(4).position(|end| end == b"\r\n\r\n");
        if let Some(head_bytes) = head_bytes {
            let head = String::from_utf8_lossy(&read[..head_bytes]);
            let header = |line: &str| {
                let (name, value) = line.split_once(':')?;
                Some((name.to_lowercase(), value.trim().to_owned()))
            };
            let headers: Headers = head.lines().skip(1).filter_map(header).collect();
            let length = headers.get("content-length");
            let body_bytes: usize = length.map_or(0, |length| length.parse().unwrap());
            if read.len() >= head_bytes + 4 + body_bytes {
                return Some((headers, read.split_off(head_bytes + 4)));
            }
        }
        if connection.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    }
}
