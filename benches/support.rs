//! Shared parts of the benchmarks: servers in other processes, a bare HTTP client, and ratios.

pub mod floor;
pub mod prost_aggregate;
pub mod readings;
pub mod sdk_loop;
pub mod sink;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use aws_sdk_kinesis::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
};
use bytes::Bytes;
use ferrokinesis::{create_app, serve_plain_http, store::StoreOptions};
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use kinesis_pipeline::LocalKinesis;
use tokio::net::{TcpListener, TcpStream};

/// A kind of Kinesis server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The embedded Kinesis.
    Embedded,
    /// ferrokinesis, which others wrote.
    Ferrokinesis,
    /// A sink that stores nothing.
    Sink,
    /// The same with TLS. Its certificate is in the file that the variable `CERTIFICATE` names.
    TlsSink,
}

impl Kind {
    /// Returns the name that the benchmarks print.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Ferrokinesis => "ferrokinesis",
            Self::Sink => "sink",
            Self::TlsSink => "tls-sink",
        }
    }
}

/// A server in another process. It stops when this is dropped.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    address: SocketAddr,
}

impl ServerProcess {
    /// Starts this benchmark's program again as a server.
    ///
    /// # Panics
    /// Panics if it does not start.
    #[must_use]
    pub fn start(kind: Kind) -> Self {
        Self::start_with(kind, "")
    }

    /// Starts it with a file for the certificate of TLS.
    ///
    /// # Panics
    /// Panics if it does not start.
    #[must_use]
    pub fn start_with(kind: Kind, certificate: impl AsRef<std::ffi::OsStr>) -> Self {
        let binary = std::env::current_exe().expect("the benchmark has a path");
        let mut child = Command::new(binary)
            .env("SERVE", kind.name())
            .env("CERTIFICATE", certificate)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let stdout = child.stdout.take().expect("a pipe was asked for");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("the server prints its address");
        Self {
            child,
            address: line.trim().parse().expect("an address"),
        }
    }

    /// Returns the address of the server.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves for ever if this process was started by [`ServerProcess::start`]. Otherwise returns.
///
/// # Panics
/// Panics if the server cannot start.
pub async fn serve_if_asked() {
    match std::env::var("SERVE").as_deref() {
        Ok("embedded") => serve_embedded().await,
        Ok("ferrokinesis") => serve_ferrokinesis().await,
        Ok("sink") => sink::serve(None, announce).await,
        Ok("tls-sink") => {
            let (tls, certificate) = sink::tls();
            let file = std::env::var("CERTIFICATE").expect("a file for the certificate");
            std::fs::write(file, certificate).expect("the certificate is written");
            sink::serve(Some(tls), announce).await;
        }
        _ => {}
    }
}

async fn serve_embedded() {
    let local = LocalKinesis::start()
        .await
        .expect("the embedded Kinesis starts");
    let server = local.serve("127.0.0.1:0").await.expect("a free port");
    announce(server.address());
    std::future::pending::<()>().await;
}

async fn serve_ferrokinesis() {
    let (app, _) = create_app(StoreOptions {
        create_stream_ms: 0,
        shard_limit: 1000,
        ..StoreOptions::default()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    announce(listener.local_addr().expect("a bound address"));
    serve_plain_http(listener, app, std::future::pending())
        .await
        .expect("ferrokinesis serves");
}

fn announce(address: SocketAddr) {
    println!("{address}");
}

/// An HTTP/1.1 connection that costs the client next to nothing, as its bodies are made once.
#[derive(Debug)]
pub struct BareClient {
    connection: SendRequest<Full<Bytes>>,
}

impl BareClient {
    /// Connects.
    ///
    /// # Panics
    /// Panics if no server listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address)
            .await
            .expect("the server listens");
        socket.set_nodelay(true).expect("a TCP socket");
        let (connection, driver) = hyper::client::conn::http1::handshake(TokioIo::new(socket))
            .await
            .expect("HTTP/1.1");
        tokio::spawn(driver);
        Self { connection }
    }

    /// Makes one call of the API, in JSON 1.1. Returns the bytes of the answer.
    ///
    /// # Panics
    /// Panics if the call fails.
    pub async fn call(&mut self, operation: &str, body: Bytes) -> Bytes {
        let form = "application/x-amz-json-1.1";
        self.call_in(form, operation, body).await
    }

    async fn call_in(&mut self, form: &str, operation: &str, body: Bytes) -> Bytes {
        const SIGNATURE: &str = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kinesis/aws4_request, \
                                 SignedHeaders=host;x-amz-date, Signature=00";
        let request = Request::post("/")
            .header("host", "localhost")
            .header("content-type", form)
            .header("x-amz-target", format!("Kinesis_20131202.{operation}"))
            .header("x-amz-date", "20260101T000000Z")
            .header("authorization", SIGNATURE)
            .body(Full::new(body))
            .expect("a request");
        self.connection.ready().await.expect("an open connection");
        let answer = self
            .connection
            .send_request(request)
            .await
            .expect("an answer");
        let status = answer.status();
        let bytes = answer
            .into_body()
            .collect()
            .await
            .expect("the whole answer")
            .to_bytes();
        assert!(
            status.is_success(),
            "{operation}: {status} {}",
            String::from_utf8_lossy(&bytes)
        );
        bytes
    }
}

/// Returns a client of the official SDK.
#[must_use]
pub fn client(url: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "bench"))
        .endpoint_url(url)
        .build();
    Client::from_conf(config)
}

/// Returns the CPU time of this process's threads, user and system.
///
/// # Panics
/// Panics on other systems than Linux.
#[must_use]
pub fn cpu_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux");
    let nanos = tasks.filter_map(|task| {
        let stat = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

/// Returns the resident memory of this process, in bytes; 0 if the system does not report it.
#[must_use]
pub fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
    kib.unwrap_or(0) * 1024
}

/// Returns a rate per second.
#[must_use]
pub fn rate(count: usize, elapsed: Duration) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of a benchmark are far below 2^52"
    )]
    let count = count as f64;
    count / elapsed.as_secs_f64()
}

/// Returns the median of some figures.
///
/// # Panics
/// Panics if there are none.
#[must_use]
pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
