//! DynamoDB beside the embedded Kinesis: `dynoxide`, in memory.

use std::net::SocketAddr;

use dynoxide::{Database, server};
use tokio::{sync::oneshot, task::JoinHandle};

use super::server::{STOP_WAIT_MAX, listen, reachable};
use crate::local::{LocalError, LocalKinesis};

/// An embedded DynamoDB that is being served over HTTP, from
/// [`LocalKinesis::serve_dynamodb`](crate::local::LocalKinesis::serve_dynamodb).
///
/// It lives in memory. Dropping the handle stops it without waiting for running requests.
#[derive(Debug)]
pub struct LocalDynamoDb {
    address: SocketAddr,
    /// The region of the Kinesis beside it.
    #[cfg_attr(
        not(feature = "aws"),
        expect(dead_code, reason = "only the settings for the SDK name it")
    )]
    pub(super) region: String,
    stopping: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl LocalDynamoDb {
    pub(super) async fn start(local: &LocalKinesis, address: &str) -> Result<Self, LocalError> {
        let database = Database::memory().map_err(|error| LocalError::Database {
            source: Box::new(error),
        })?;
        let (listener, address) = listen(address).await?;
        let (stopping, stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let stopped = async {
                // An error means that the handle was dropped, which is a stop too.
                let _ = stopped.await;
            };
            if let Err(error) = server::serve_with_shutdown(listener, database, stopped).await {
                tracing::warn!(error, "the embedded DynamoDB ended early");
            }
        });
        Ok(Self {
            address,
            region: local.core.settings.region.clone(),
            stopping,
            task,
        })
    }

    /// The address that the server listens on, with its real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL for the setting `endpoint_url` of an SDK, or the variable `AWS_ENDPOINT_URL_DYNAMODB`.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", reachable(self.address))
    }

    /// Stops the server: running requests finish, for at most 5 seconds. What it stored is gone.
    ///
    /// # Cancel safety
    /// Dropping the future stops the server without waiting.
    pub async fn stop(self) {
        let Self {
            stopping, mut task, ..
        } = self;
        drop(stopping);
        if tokio::time::timeout(STOP_WAIT_MAX, &mut task)
            .await
            .is_err()
        {
            task.abort();
        }
    }
}
