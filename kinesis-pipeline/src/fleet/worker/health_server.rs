//! The health server of a worker: HTTP on `/health`, `/ready`, `/scale`.
//!
//! ```text
//!   socket ── at most 32, 5 s each ──> hyper ── one request ──> WorkerHandle::health ── JSON ──> socket
//!   WorkerEvents end ──> the listener closes, connections finish
//! ```

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{JoinHandle, JoinSet},
    time::timeout,
};

use super::{
    WorkerEvents, WorkerHandle,
    health_json::{HealthBody, Problem, ScaleBody},
};

/// The limit of connections at a time. Others wait in the socket's backlog.
const CONNECTIONS_MAX: usize = 32;
/// The time limit of a connection. It carries one request.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(5);
/// The limit of a request head, the smallest that hyper allows. Bodies are not read.
const HEAD_BYTES_MAX: usize = 8 * 1024;
/// The pause after a failed accept. The usual cause is a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const SHARDS_PER_WORKER: usize = 4;
const LAG_MAX: Duration = Duration::from_mins(1);

/// A builder of a worker's health server, from [`WorkerHandle::health_server`].
///
/// `GET` of three paths answers with JSON:
///
/// | path | status | body |
/// |---|---|---|
/// | `/health` | 200 if the worker [is healthy](crate::WorkerHealth::is_healthy), else 503 | the health, shard by shard |
/// | `/ready` | 200 if the worker [is ready](crate::WorkerHealth::is_ready), else 503 | the same |
/// | `/scale` | 200 once the fleet's leases are known, else 503 | `lag_seconds`, `shards`, `workers`, `desired_workers`, `since_listed_seconds` |
///
/// `lag_seconds` is that of this worker's shards; `shards` and `workers` are those of the fleet. The
/// [guide](crate::guide::kubernetes) has probes of Kubernetes and a scaler of KEDA that read them.
///
/// At most 32 connections are served at a time, each for one request and at most 5 s. A request head has at most 8 KiB.
/// No credential, record or key is shown. There is no access control: listen on an address that only your platform
/// reaches.
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// # use bytes::Bytes;
/// # use kinesis_pipeline::{KinesisStream, LocalKinesis, MemoryLeases};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 1).await?;
/// let worker = stream.worker("my-app").leases(MemoryLeases::new()).build()?;
/// let server = worker.handle().health_server().shards_per_worker(8).listen("127.0.0.1:0").await?;
/// println!("http://{}/health", server.address()); // served until the worker ends or `server` is dropped
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it listens"]
pub struct HealthServerBuilder {
    worker: WorkerHandle,
    shards_per_worker: usize,
    lag_max: Duration,
}

/// The reason why a health server cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HealthServerError {
    /// Another socket listens on this port.
    #[error("the health server cannot listen on {address}: the port is in use, take another one")]
    #[non_exhaustive]
    InUse {
        /// The address.
        address: String,
        /// The system's error.
        source: io::Error,
    },
    /// The address is invalid, is not one of this machine, or needs a right that the process does not have.
    #[error(
        "the health server cannot listen on {address}: give an address of this machine, such as 0.0.0.0:8080"
    )]
    #[non_exhaustive]
    Address {
        /// The address.
        address: String,
        /// The system's error.
        source: io::Error,
    },
}

/// A running health server. It ends with its worker, or when it is dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the serving"]
pub struct HealthServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl HealthServerBuilder {
    pub(super) fn new(worker: WorkerHandle) -> Self {
        Self {
            worker,
            shards_per_worker: SHARDS_PER_WORKER,
            lag_max: LAG_MAX,
        }
    }

    /// Sets the number of shards for each worker, for `/scale`. Default: 4, at least 1.
    pub fn shards_per_worker(mut self, shards: usize) -> Self {
        self.shards_per_worker = shards.max(1);
        self
    }

    /// Sets the lag above which `/scale` asks for one more worker. Default: 1 minute.
    pub fn lag_max(mut self, lag: Duration) -> Self {
        self.lag_max = lag;
        self
    }

    /// Listens on an address, such as `0.0.0.0:8080`. Port 0 takes a free port. Serves on a task of the current
    /// runtime.
    ///
    /// # Errors
    /// [`HealthServerError`]: the port is in use, or the address is not one of this machine.
    ///
    /// # Cancel safety
    /// Nothing is served if the future is dropped before it is done.
    pub async fn listen(self, address: &str) -> Result<HealthServer, HealthServerError> {
        let failed = |source: io::Error| {
            let address = address.to_owned();
            match source.kind() {
                io::ErrorKind::AddrInUse => HealthServerError::InUse { address, source },
                _ => HealthServerError::Address { address, source },
            }
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let events = self.worker.events();
        let task = tokio::spawn(serve(listener, Arc::new(self), events));
        Ok(HealthServer { address, task })
    }

    fn answer(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if method != Method::GET && method != Method::HEAD {
            let mut refused = problem(StatusCode::METHOD_NOT_ALLOWED, "only GET");
            let allowed = HeaderValue::from_static("GET, HEAD");
            refused.headers_mut().insert(ALLOW, allowed);
            return refused;
        }
        let health = self.worker.health();
        match path {
            "/health" => json(status(health.is_healthy()), &HealthBody::of(&health)),
            "/ready" => json(status(health.is_ready()), &HealthBody::of(&health)),
            "/scale" => match ScaleBody::of(&health, self.shards_per_worker, self.lag_max) {
                Some(scale) => json(StatusCode::OK, &scale),
                None => problem(status(false), "the leases are not known yet"),
            },
            _ => problem(StatusCode::NOT_FOUND, "/health, /ready or /scale"),
        }
    }
}

impl HealthServer {
    /// Returns the address of the server, with its actual port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HealthServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves until the worker has ended, and then the connections that are open.
async fn serve(listener: TcpListener, face: Arc<HealthServerBuilder>, events: WorkerEvents) {
    let mut connections = JoinSet::new();
    tokio::select! {
        () = accept(&listener, &face, &mut connections) => {}
        () = ended(events) => {}
    }
    drop(listener);
    // Each connection ends at its time limit.
    while connections.join_next().await.is_some() {}
}

/// Accepts connections for ever.
async fn accept(
    listener: &TcpListener,
    face: &Arc<HealthServerBuilder>,
    connections: &mut JoinSet<()>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = room.clone().acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((socket, _)) => {
                connections.spawn(connection(socket, face.clone(), permit));
            }
            Err(error) => {
                tracing::warn!(%error, "the health server cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Returns once the worker has ended: its events end then.
async fn ended(mut events: WorkerEvents) {
    while events.next().await.is_some() {}
}

async fn connection(
    socket: TcpStream,
    face: Arc<HealthServerBuilder>,
    _permit: OwnedSemaphorePermit,
) {
    let answer = service_fn(|request: Request<hyper::body::Incoming>| {
        let answer = face.answer(request.method(), request.uri().path());
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .header_read_timeout(CONNECTION_TIME_MAX)
        .serve_connection(TokioIo::new(socket), answer);
    match timeout(CONNECTION_TIME_MAX, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a health check failed"),
        Err(_) => tracing::debug!("a health check took too long"),
    }
}

fn status(is_so: bool) -> StatusCode {
    if is_so {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

fn problem(status: StatusCode, error: &'static str) -> Response<Full<Bytes>> {
    json(status, &Problem { error })
}

fn json(status: StatusCode, body: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
