//! The HTTP face of the embedded Kinesis, for the official SDKs and for clients in other languages.
//!
//! ```text
//!   socket ─> server ─> request (route, signature, body) ─> operations ─> answer ─> socket
//!                                                               └─ subscription ─> events ─┘
//! ```
//!
//! It speaks HTTP/1.1 and HTTP/2 (without TLS by prior knowledge), JSON 1.1 and both CBOR protocols. The answer has the
//! protocol of its request. A signature must be there, but is not verified: any credentials will do.

mod answer;
#[cfg(feature = "aws")]
mod clients;
mod cors;
mod dynamodb;
mod events;
mod request;
mod respond;
mod server;
mod signature;
#[cfg(feature = "local-tls")]
mod tls;

pub use dynamodb::LocalDynamoDb;
pub use server::LocalServer;

use super::{LocalError, LocalKinesis};

impl LocalKinesis {
    /// Serves this Kinesis over HTTP, on an address such as `127.0.0.1:4567`; port 0 takes a free one.
    ///
    /// The server runs on tasks of the current tokio runtime until the returned handle is stopped or dropped.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use kinesis_pipeline::local::LocalKinesis;
    ///
    /// let kinesis = LocalKinesis::start().await?;
    /// let server = kinesis.serve("127.0.0.1:0").await?;
    /// println!("export AWS_ENDPOINT_URL_KINESIS={}", server.endpoint_url());
    /// server.stop().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`LocalError::Listen`] if the address is none, or something else listens there.
    ///
    /// # Cancel safety
    /// Nothing is served if the future is dropped before it is done.
    pub async fn serve(&self, address: &str) -> Result<LocalServer, LocalError> {
        LocalServer::start(self.clone(), address).await
    }

    /// Returns the same as [`serve`](Self::serve) over TLS, with a certificate made for this start.
    ///
    /// Clients must trust [`LocalServer::certificate_pem`], or check no certificate. It holds for `localhost`
    /// and for the address.
    ///
    /// # Errors
    /// [`LocalError::Listen`] if the address is none, or something else listens there;
    /// [`LocalError::Certificate`] if no certificate could be made.
    ///
    /// # Cancel safety
    /// Nothing is served if the future is dropped before it is done.
    #[cfg(feature = "local-tls")]
    pub async fn serve_tls(&self, address: &str) -> Result<LocalServer, LocalError> {
        LocalServer::start_tls(self.clone(), address).await
    }

    /// Starts an empty DynamoDB beside this Kinesis and serves it over HTTP; port 0 takes a free one.
    ///
    /// It keeps the leases and checkpoints of fleets, of this library and of others. What it stores ends with
    /// the returned handle.
    ///
    /// # Errors
    /// [`LocalError::Listen`] if the address is none, or something else listens there;
    /// [`LocalError::Database`] if the database does not start.
    ///
    /// # Cancel safety
    /// Nothing is served if the future is dropped before it is done.
    pub async fn serve_dynamodb(&self, address: &str) -> Result<LocalDynamoDb, LocalError> {
        LocalDynamoDb::start(self, address).await
    }
}
