//! The embedded Kinesis: a Kinesis in this process, for development and tests.
//!
//! ```text
//!   KinesisStream ── the seam ──────┐
//!                                   ├──> operations ──> state: streams ──> shards ──> records
//!   SDKs ── the HTTP face ──────────┘
//! ```
//!
//! It imitates what clients of the service depend on: answers and errors, resharding, iterators, retention, and on
//! request the limits of shards and calls.
//!
//! No background task changes its state. A change that is due, such as the end of a split or the expiry of a record, is
//! made by the next call. Its time is that of the clock that the [builder](LocalKinesis::builder) was given, or else
//! that of the runtime in which it starts. Under `#[tokio::test(start_paused = true)]` a day passes when the test
//! advances the clock.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use kinesis_pipeline::{KinesisStream, LocalKinesis};
//!
//! let stream: KinesisStream<String> = LocalKinesis::start().await?.stream("readings", 1).await?;
//! stream.put(&"expires".to_owned()).await?;
//! tokio::time::advance(Duration::from_hours(25)).await;
//! stream.put(&"stays".to_owned()).await?;
//! let mut records = stream.iter_from_all().await?;
//! let record = records.next().await.ok_or("no record")??;
//! assert_eq!(record.data, "stays");
//! # Ok(())
//! # }
//! ```

#[cfg_attr(
    not(any(feature = "local-server", all(test, feature = "local-durable"))),
    expect(dead_code, reason = "only the HTTP face needs the status of an error")
)]
mod api_error;
mod builder;
mod core;
#[cfg(feature = "local-durable")]
mod durable;
mod error;
mod faults;
#[cfg(feature = "local-server")]
mod http;
mod limits;
mod locks;
#[cfg_attr(
    not(any(feature = "local-server", test)),
    expect(dead_code, reason = "only the HTTP face reaches every operation")
)]
mod operations;
mod protocol;
mod seam;
mod state;
mod stream_ref;
mod validate;

use std::{fmt, sync::Arc, time::Duration};

use self::core::{Core, Presence};
use crate::{service::Kinesis, stream::KinesisStream};

pub use crate::{fleet::check_lease_store, get::check_checkpoint_store};
pub use builder::LocalKinesisBuilder;
pub use error::LocalError;
pub use faults::{Fault, Faults};
#[cfg(feature = "local-server")]
pub use http::{LocalDynamoDb, LocalServer};

/// The bounds of a handle's wait for a stream that is being changed: the number of checks, and the shortest time between
/// two.
const WAITS_MAX: u32 = 1_000;
const WAIT_MIN: Duration = Duration::from_millis(1);

/// The embedded Kinesis: a Kinesis in this process. Cheap to clone; clones are the same Kinesis, which lives as long as
/// any of them or any stream handle.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use kinesis_pipeline::local::LocalKinesis;
/// use bytes::Bytes;
///
/// let kinesis = LocalKinesis::start().await?;
/// let stream = kinesis.stream::<Bytes>("readings", 4).await?;
/// assert_eq!(stream.id().name(), "readings");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LocalKinesis {
    core: Arc<Core>,
    /// The keeper of the data directory, which ends with the last handle.
    #[cfg(feature = "local-durable")]
    _keeper: Option<Arc<durable::Keeper>>,
}

impl LocalKinesis {
    /// Starts an empty Kinesis with the defaults of [`builder`](Self::builder).
    ///
    /// # Errors
    /// As [`LocalKinesisBuilder::start`].
    pub async fn start() -> Result<Self, LocalError> {
        Self::builder().start().await
    }

    /// Returns a builder, for a Kinesis with other settings.
    pub fn builder() -> LocalKinesisBuilder {
        LocalKinesisBuilder::default()
    }

    /// Returns a handle of the stream of this name. Creates it with `shard_count` shards, usable at once, if it does not
    /// exist.
    ///
    /// If it exists and is not usable yet, this waits until it is. The handle calls this Kinesis in process and uses its
    /// clock.
    ///
    /// # Errors
    /// [`LocalError::Refused`]: the name is not one of a stream, the count is 0 or over the limit, or the stream
    /// does not become usable.
    pub async fn stream<R>(
        &self,
        name: &str,
        shard_count: u32,
    ) -> Result<KinesisStream<R>, LocalError> {
        operations::create_stream::check(name, shard_count).map_err(LocalError::refused)?;
        for _ in 0..WAITS_MAX {
            let presence = self.core.ensure_stream(name, shard_count);
            match presence.map_err(LocalError::refused)? {
                Presence::Usable => {
                    self.core.kept().await.map_err(LocalError::refused)?;
                    let stream = KinesisStream::with_service(self.service(), name);
                    return Ok(stream.with_clock(self.core.clock.clone()));
                }
                Presence::NotYet(due) => tokio::time::sleep(due.max(WAIT_MIN)).await,
            }
        }
        Err(LocalError::refused(api_error::ApiError::in_use(format!(
            "Stream {name} does not become ACTIVE"
        ))))
    }

    /// Returns the faults of this Kinesis, for the next calls.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults {
            book: self.core.faults.clone(),
        }
    }

    /// Returns this Kinesis as a service, without a socket.
    #[must_use]
    pub fn service(&self) -> Arc<dyn Kinesis> {
        Arc::new(self.clone())
    }
}

impl fmt::Debug for LocalKinesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalKinesis").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
