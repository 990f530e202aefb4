//! The connections to the database behind the face, kept open from one request to the next.

use std::{net::SocketAddr, sync::Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::local::{http::respond::NoAnswer, locks::lock};

/// The most idle connections that are kept.
const IDLE_MAX: usize = 64;

/// A pool of connections.
#[derive(Debug)]
pub(super) struct Upstream {
    address: SocketAddr,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

impl Upstream {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            idle: Mutex::default(),
        }
    }

    /// Sends one request and reads its answer to the end.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, NoAnswer> {
        let mut connection = self.connection().await?;
        let answer = connection.send_request(request).await;
        let (head, body) = answer.map_err(unreachable)?.into_parts();
        let body = body.collect().await.map_err(unreachable)?.to_bytes();
        let mut idle = lock(&self.idle);
        if idle.len() < IDLE_MAX {
            idle.push(connection);
        }
        drop(idle);
        Ok(Response::from_parts(head, body))
    }

    /// Takes an idle connection that is still open, or opens one.
    async fn connection(&self) -> Result<SendRequest<Full<Bytes>>, NoAnswer> {
        loop {
            let idle = lock(&self.idle).pop();
            let Some(mut connection) = idle else {
                return self.connect().await;
            };
            if connection.ready().await.is_ok() {
                return Ok(connection);
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, NoAnswer> {
        let socket = TcpStream::connect(self.address)
            .await
            .map_err(unreachable)?;
        socket.set_nodelay(true).map_err(unreachable)?;
        let (sender, connection) = handshake(TokioIo::new(socket)).await.map_err(unreachable)?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the embedded DynamoDB ended early");
            }
        });
        Ok(sender)
    }
}

fn unreachable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> NoAnswer {
    NoAnswer::Unreachable(error.into())
}
