//! Servers that the journeys run against.

use std::net::SocketAddr;

use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use ferrokinesis::{create_app, serve_plain_http, store::StoreOptions};
use kinesis_pipeline::{KinesisStream, LocalKinesis, local::LocalServer};

/// A Kinesis on a loopback port, for as long as the value lives.
#[derive(Debug)]
pub struct Server {
    endpoint_url: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Embedded(#[expect(dead_code, reason = "serves until it is dropped")] LocalServer),
    Ferrokinesis(tokio::task::JoinHandle<()>),
}

impl Server {
    /// The embedded Kinesis behind its HTTP face.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn embedded() -> Self {
        let local = LocalKinesis::start()
            .await
            .expect("the embedded Kinesis starts");
        let server = local.serve("127.0.0.1:0").await.expect("a free port");
        Self {
            endpoint_url: server.endpoint_url(),
            kind: Kind::Embedded(server),
        }
    }

    /// A Kinesis that nobody here wrote.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn ferrokinesis() -> Self {
        let (app, _) = create_app(StoreOptions {
            create_stream_ms: 0,
            delete_stream_ms: 0,
            update_stream_ms: 0,
            shard_limit: 1000,
            ..StoreOptions::default()
        });
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let task = tokio::spawn(async move {
            serve_plain_http(listener, app, std::future::pending())
                .await
                .expect("ferrokinesis serves");
        });
        Self {
            endpoint_url: format!("http://{address}"),
            kind: Kind::Ferrokinesis(task),
        }
    }

    /// Whether this is ferrokinesis, whose known faults a journey leaves out by name.
    #[must_use]
    pub fn is_ferrokinesis(&self) -> bool {
        matches!(self.kind, Kind::Ferrokinesis(_))
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoint_url(&self) -> &str {
        &self.endpoint_url
    }

    /// An official client of it.
    #[must_use]
    pub fn client(&self) -> aws_sdk_kinesis::Client {
        client_of(&self.endpoint_url)
    }

    /// A new stream of `shards` shards, through the official client.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn stream<R>(&self, name: &str, shards: i32) -> KinesisStream<R> {
        let client = self.client();
        client
            .create_stream()
            .stream_name(name)
            .shard_count(shards)
            .send()
            .await
            .expect("a new stream");
        wait_until_active(&client, name).await;
        KinesisStream::with_client(client, name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Kind::Ferrokinesis(task) = &self.kind {
            task.abort();
        }
    }
}

/// An official client of the server at this URL.
#[must_use]
pub fn client_of(endpoint_url: &str) -> aws_sdk_kinesis::Client {
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .endpoint_url(endpoint_url)
        .build();
    aws_sdk_kinesis::Client::from_conf(config)
}

/// Returns once the stream takes calls again after it was created, split or merged.
///
/// # Panics
/// When it is not active after 10 s.
pub async fn wait_until_active(client: &aws_sdk_kinesis::Client, name: &str) {
    for _ in 0..200 {
        let answer = client
            .describe_stream_summary()
            .stream_name(name)
            .send()
            .await;
        let status = answer
            .ok()
            .and_then(|answer| answer.stream_description_summary)
            .map(|summary| summary.stream_status);
        if status == Some(aws_sdk_kinesis::types::StreamStatus::Active) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("stream {name} is not active after 10 s");
}

/// The README's code, run as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
