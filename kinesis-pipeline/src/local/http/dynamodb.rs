//! DynamoDB beside the embedded Kinesis: `dynoxide`, in memory, behind a face that mends its answers.
//!
//! ```text
//!   socket ─> face: ARNs in, ARNs and missing members out ─> dynoxide, on a loopback address of its own
//!               └─ continuous backups, a second switch of TTL: answered here
//! ```
//!
//! Left out, as dynoxide leaves it out: backups and restoring, global tables, the sizes of warm throughput that a
//! table asks for, table ARNs in `PartiQL` statements, policies of resources.

mod arns;
mod backups;
mod face;
mod members;
mod upstream;

use std::{net::SocketAddr, sync::Arc};

use dynoxide::{Database, server};
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};

use self::{arns::Arns, backups::Backups, face::DynamoFace, upstream::Upstream};
use super::server::{Transport, listen, reachable, serve};
use crate::local::{LocalError, LocalKinesis};

/// The address of the database behind the face.
const BEHIND: &str = "127.0.0.1:0";

/// An embedded DynamoDB that is being served over HTTP, from
/// [`LocalKinesis::serve_dynamodb`](crate::local::LocalKinesis::serve_dynamodb).
///
/// It lives in memory. Dropping the handle stops it without waiting for running requests.
///
/// Not there: backups and restoring (a table's point-in-time recovery is switched on and off, and keeps nothing),
/// global tables, sizes of warm throughput, table ARNs in `PartiQL` statements, policies of resources.
#[derive(Debug)]
pub struct LocalDynamoDb {
    address: SocketAddr,
    /// The region of the Kinesis beside it.
    #[cfg_attr(
        not(feature = "aws"),
        expect(dead_code, reason = "only the settings for the SDK name it")
    )]
    pub(super) region: String,
    stopping: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl LocalDynamoDb {
    pub(super) async fn start(local: &LocalKinesis, address: &str) -> Result<Self, LocalError> {
        let database = Database::memory().map_err(|error| LocalError::Database {
            source: Box::new(error),
        })?;
        let (listener, address) = listen(address).await?;
        let (behind, behind_address) = listen(BEHIND).await?;
        let (stopping, stopped) = watch::channel(false);
        let settings = &local.core.settings;
        let face = DynamoFace {
            upstream: Arc::new(Upstream::new(behind_address)),
            arns: Arns::new(&settings.region, &settings.account_id),
            backups: Arc::new(Backups::new(local.core.clock.clone())),
            ttl_switch: Arc::default(),
            stopping: stopped,
        };
        let task = tokio::spawn(async move {
            // Dropped at the end, with which the database stops.
            let (_running, ended) = oneshot::channel::<()>();
            let ended = async {
                let _ = ended.await;
            };
            let database = tokio::spawn(async move {
                if let Err(error) = server::serve_with_shutdown(behind, database, ended).await {
                    tracing::warn!(error, "the embedded DynamoDB ended early");
                }
            });
            serve(listener, face, Transport::Plain).await;
            database.abort();
        });
        Ok(Self {
            address,
            region: settings.region.clone(),
            stopping,
            task,
        })
    }

    /// Returns the address that the server listens on, with its real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL for the setting `endpoint_url` of an SDK, or the variable `AWS_ENDPOINT_URL_DYNAMODB`.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", reachable(self.address))
    }

    /// Stops the server: running requests finish, for at most 5 seconds. What it stored is gone.
    ///
    /// # Cancel safety
    /// Dropping the future stops the server without waiting.
    pub async fn stop(mut self) {
        self.stopping.send_replace(true);
        // The task ends by itself; an error would mean that it was aborted, which is an end too.
        let _ = (&mut self.task).await;
    }
}

impl Drop for LocalDynamoDb {
    fn drop(&mut self) {
        self.task.abort();
    }
}
