//! The embedded Kinesis: a Kinesis in this process, for development and tests.
//!
//! ```text
//!   KinesisStream ── the seam ──────┐
//!                                   ├──> operations ──> state: streams ──> shards ──> records
//!   SDKs ── the HTTP face ──────────┘
//! ```
//!
//! It answers as the service does in everything that a client's correctness hangs on: limits, errors,
//! resharding, iterators, retention. Nothing in it runs by itself: what is due is done by the next call, by
//! the clock that the [builder](LocalKinesis::builder) was given.

#[cfg_attr(
    not(feature = "local-server"),
    expect(dead_code, reason = "only the HTTP face needs the status of an error")
)]
mod api_error;
mod builder;
mod core;
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
mod validate;

use std::sync::Arc;

use self::core::Core;
use crate::{service::Kinesis, stream::KinesisStream};

pub use builder::LocalKinesisBuilder;
pub use error::LocalError;
pub use faults::{Fault, Faults};
#[cfg(feature = "local-server")]
pub use http::{LocalDynamoDb, LocalServer};

/// A Kinesis in this process. Cheap to clone; clones are the same Kinesis, which lives as long as any of them
/// or any stream handle.
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
#[derive(Clone, Debug)]
pub struct LocalKinesis {
    pub(crate) core: Arc<Core>,
}

impl LocalKinesis {
    /// Starts an empty Kinesis with the defaults of [`builder`](Self::builder).
    ///
    /// # Errors
    /// As [`LocalKinesisBuilder::start`].
    pub async fn start() -> Result<Self, LocalError> {
        Self::builder().start().await
    }

    /// A Kinesis with settings of yours.
    pub fn builder() -> LocalKinesisBuilder {
        LocalKinesisBuilder::default()
    }

    /// The stream of this name; it is created with `shard_count` shards, and usable at once, if it is absent.
    ///
    /// The handle reaches this Kinesis in process and goes by its clock.
    ///
    /// # Errors
    /// [`LocalError::Refused`]: the name is not one of a stream, or the count is 0 or over the limit.
    #[expect(clippy::unused_async, reason = "a later backend waits for its disk")]
    pub async fn stream<R>(
        &self,
        name: &str,
        shard_count: u32,
    ) -> Result<KinesisStream<R>, LocalError> {
        operations::create_stream::check(name, shard_count)
            .and_then(|()| self.core.ensure_stream(name, shard_count))
            .map_err(LocalError::refused)?;
        let stream = KinesisStream::with_service(self.service(), name);
        Ok(stream.with_clock(self.core.clock.clone()))
    }

    /// The faults of this Kinesis: what goes wrong with the next calls.
    #[must_use]
    pub fn faults(&self) -> Faults {
        Faults {
            kinesis: self.clone(),
        }
    }

    /// This Kinesis behind the seam, without a socket.
    #[must_use]
    pub fn service(&self) -> Arc<dyn Kinesis> {
        Arc::new(self.clone())
    }
}

#[cfg(test)]
mod tests;
