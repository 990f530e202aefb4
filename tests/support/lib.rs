//! Servers for the journeys.

use std::{io::Write as _, net::SocketAddr};

use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use ferrokinesis::{create_app, serve_plain_http, store::StoreOptions};
use kinesis_pipeline::{KinesisStream, LocalKinesis, local::LocalServer};

/// A Kinesis on a loopback port. It stops when the value is dropped.
#[derive(Debug)]
pub struct Server {
    endpoint_url: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Embedded(#[expect(dead_code, reason = "serves until it is dropped")] LocalServer),
    Ferrokinesis(tokio::task::JoinHandle<()>),
    /// A server that was started before the tests, which share it.
    KinesisMock,
}

impl Server {
    /// Starts the embedded Kinesis behind HTTP.
    ///
    /// # Panics
    /// Panics if it cannot start.
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

    /// Starts a Kinesis that others wrote.
    ///
    /// # Panics
    /// Panics if it cannot start.
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

    /// Returns the kinesis-mock that `KINESIS_MOCK_URL` names. Without the variable `test` is skipped, with a line on
    /// standard error.
    #[must_use]
    pub fn kinesis_mock(test: &str) -> Option<Self> {
        let Ok(endpoint_url) = std::env::var("KINESIS_MOCK_URL") else {
            // The `eprintln` macro is not used: its output is hidden when a test passes.
            let told = format!("skipped: {test}: KINESIS_MOCK_URL names no running kinesis-mock\n");
            let _: std::io::Result<()> = std::io::stderr().write_all(told.as_bytes());
            return None;
        };
        let kind = Kind::KinesisMock;
        Some(Self { endpoint_url, kind })
    }

    /// Whether this is ferrokinesis.
    #[must_use]
    pub fn is_ferrokinesis(&self) -> bool {
        matches!(self.kind, Kind::Ferrokinesis(_))
    }

    /// Whether this is kinesis-mock.
    #[must_use]
    pub fn is_kinesis_mock(&self) -> bool {
        matches!(self.kind, Kind::KinesisMock)
    }

    /// Returns the name of a stream that no other test uses. A server for a single test uses the name as it is.
    #[must_use]
    pub fn name_of(&self, name: &str) -> String {
        match self.kind {
            Kind::KinesisMock => format!("{name}-{:016x}", fastrand::u64(..)),
            Kind::Embedded(_) | Kind::Ferrokinesis(_) => name.to_owned(),
        }
    }

    /// Returns the URL of the server.
    #[must_use]
    pub fn endpoint_url(&self) -> &str {
        &self.endpoint_url
    }

    /// Returns an official client of the server.
    #[must_use]
    pub fn client(&self) -> aws_sdk_kinesis::Client {
        client_of(&self.endpoint_url)
    }

    /// Makes a stream of `shards` shards with the official client. Its name begins with `name`.
    ///
    /// # Panics
    /// Panics if the server refuses a call.
    pub async fn stream<R>(&self, name: &str, shards: i32) -> KinesisStream<R> {
        let (client, name) = (self.client(), self.name_of(name));
        client
            .create_stream()
            .stream_name(&name)
            .shard_count(shards)
            .send()
            .await
            .expect("a new stream");
        wait_until_active(&client, &name).await;
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

/// Returns an official client of the server at this URL.
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

/// Waits until the stream accepts calls again after it was created, split or merged.
///
/// # Panics
/// Panics if it is not active after 10 s.
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
