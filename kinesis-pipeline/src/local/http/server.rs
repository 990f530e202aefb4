//! The listening socket and its connections.

use std::{net::SocketAddr, pin::pin, time::Duration};

use futures_util::future::{Either, select};
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

#[cfg(feature = "local-tls")]
use super::tls::Tls;
use super::{
    answer::Body,
    respond::{Face, NoAnswer, respond},
};
use crate::local::{LocalError, LocalKinesis};

/// The longest time that a stop waits for the requests that are being answered.
pub(super) const STOP_WAIT_MAX: Duration = Duration::from_secs(5);
/// The pause after a failed accept, most often for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// HTTP/2 windows, in which a request of 500 small records fits without a round trip.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 8 * STREAM_WINDOW_BYTES;
/// Requests and subscriptions at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 1_000;

/// An embedded Kinesis that is being served over HTTP, from [`LocalKinesis::serve`].
///
/// Dropping it stops the server at once; [`stop`](Self::stop) first lets running requests finish.
#[derive(Debug)]
pub struct LocalServer {
    address: SocketAddr,
    /// The region of the ARNs.
    #[cfg(feature = "aws")]
    pub(super) region: String,
    certificate_pem: Option<String>,
    stopping: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl LocalServer {
    pub(super) async fn start(local: LocalKinesis, address: &str) -> Result<Self, LocalError> {
        let (listener, address) = listen(address).await?;
        Ok(Self::on(listener, address, local, Transport::Plain))
    }

    #[cfg(feature = "local-tls")]
    pub(super) async fn start_tls(local: LocalKinesis, address: &str) -> Result<Self, LocalError> {
        let (listener, address) = listen(address).await?;
        let tls = Tls::new(address.ip()).map_err(|source| LocalError::Certificate { source })?;
        let mut server = Self::on(listener, address, local, Transport::Tls(tls.acceptor));
        server.certificate_pem = Some(tls.certificate_pem);
        Ok(server)
    }

    fn on(
        listener: TcpListener,
        address: SocketAddr,
        local: LocalKinesis,
        transport: Transport,
    ) -> Self {
        let (stopping, stopped) = watch::channel(false);
        #[cfg(feature = "aws")]
        let region = local.core.settings.region.clone();
        let face = Face {
            local,
            stopping: stopped,
        };
        Self {
            address,
            #[cfg(feature = "aws")]
            region,
            certificate_pem: None,
            stopping,
            task: tokio::spawn(serve(listener, face, transport)),
        }
    }

    /// Returns the address that the server listens on, with its real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL for the setting `endpoint_url` of an SDK, or the variable `AWS_ENDPOINT_URL_KINESIS`.
    ///
    /// A server that listens on all addresses of the machine is named by its loopback address.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        let scheme = match self.certificate_pem {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{}", reachable(self.address))
    }

    /// Returns the certificate that clients of a server with TLS must trust, in PEM; `None` without TLS.
    #[must_use]
    pub fn certificate_pem(&self) -> Option<&str> {
        self.certificate_pem.as_deref()
    }

    /// Stops the server: running requests finish, for at most 5 seconds, and subscriptions end.
    ///
    /// The embedded Kinesis itself, and what it stores, stays.
    ///
    /// # Cancel safety
    /// Dropping the future stops the server at once.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        // The task ends by itself; an error would mean that it was aborted, which is an end too.
        let _ = (&mut self.task).await;
    }
}

impl Drop for LocalServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The layer between the socket and HTTP.
#[derive(Clone)]
pub(super) enum Transport {
    Plain,
    #[cfg(feature = "local-tls")]
    Tls(tokio_rustls::TlsAcceptor),
}

pub(super) async fn listen(address: &str) -> Result<(TcpListener, SocketAddr), LocalError> {
    let failed = |source| LocalError::Listen {
        address: address.to_owned(),
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Returns the address under which a client on this machine reaches a server that listens on `address`.
pub(super) fn reachable(mut address: SocketAddr) -> SocketAddr {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// A face of a server: it answers the requests of all connections.
pub(super) trait Answering: Clone + Send + Sync + 'static {
    /// Answers one request.
    fn answer(
        self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Body>, NoAnswer>> + Send;

    /// Becomes true once the server stops.
    fn stopping(&self) -> watch::Receiver<bool>;
}

impl Answering for Face {
    fn answer(
        self,
        request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<Body>, NoAnswer>> + Send {
        respond(self, request)
    }

    fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.clone()
    }
}

/// Accepts connections until the stop, then waits for them, at most [`STOP_WAIT_MAX`]. Dropping the future drops them.
pub(super) async fn serve<A: Answering>(listener: TcpListener, face: A, transport: Transport) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut stopping = face.stopping();
    let mut stopped = pin!(stopping.wait_for(|stop| *stop));
    loop {
        let accepted = match select(pin!(listener.accept()), &mut stopped).await {
            Either::Left((accepted, _)) => accepted,
            Either::Right(_) => break,
        };
        // The set keeps the ends of connections until they are taken out.
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((socket, _)) => {
                let watcher = graceful.watcher();
                connections.spawn(connection(socket, transport.clone(), face.clone(), watcher));
            }
            Err(error) => {
                tracing::warn!(%error, "the embedded server cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(STOP_WAIT_MAX, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!("requests that took longer than the stop may wait were cut off");
    }
}

async fn connection<A: Answering>(
    socket: TcpStream,
    transport: Transport,
    face: A,
    watcher: Watcher,
) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "the connection keeps Nagle's delays");
    }
    match transport {
        Transport::Plain => requests(socket, face, watcher).await,
        #[cfg(feature = "local-tls")]
        Transport::Tls(acceptor) => {
            if let Some(stream) = handshake(acceptor, socket, face.stopping()).await {
                requests(stream, face, watcher).await;
            }
        }
    }
}

/// Does the TLS handshake. It ends with the stop, also if the client never finishes.
#[cfg(feature = "local-tls")]
async fn handshake(
    acceptor: tokio_rustls::TlsAcceptor,
    socket: TcpStream,
    mut stopping: watch::Receiver<bool>,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let stopped = pin!(stopping.wait_for(|stop| *stop));
    match select(acceptor.accept(socket), stopped).await {
        Either::Left((Ok(stream), _)) => Some(stream),
        Either::Left((Err(error), _)) => {
            tracing::debug!(%error, "a client broke the TLS handshake off");
            None
        }
        Either::Right(_) => None,
    }
}

async fn requests<S, A>(stream: S, face: A, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Answering,
{
    let service = service_fn(move |request| face.clone().answer(request));
    let builder = builder();
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(
            error = &*error,
            "a connection to the embedded server ended early"
        );
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http2()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(STREAMS_MAX);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_reached_through_loopback() {
        let reached = |text: &str| reachable(text.parse().unwrap()).to_string();
        assert_eq!(reached("0.0.0.0:1"), "127.0.0.1:1");
        assert_eq!(reached("[::]:1"), "[::1]:1");
        assert_eq!(reached("192.0.2.7:1"), "192.0.2.7:1");
    }
}
