//! The handle of a stream, and its methods.
//!
//! - `put`: writing.
//! - `get`: reading.

mod get;
mod put;

use std::{fmt, marker::PhantomData, sync::Arc};

use crate::{clock::Clock, put::SharedPut, service::Kinesis, service::StreamId, target::Target};

/// A handle of a Kinesis stream with records of type `R`: the start of every put, reader, producer and worker.
///
/// Get one from `KinesisStream::connect` (AWS, feature `aws`), `LocalKinesis::stream` (tests, feature `local`) or
/// [`with_service`](Self::with_service). Making one never checks that the stream exists: the first call does.
///
/// Cheap to clone; clones share one put pipeline, so that their concurrent puts share requests.
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use bytes::Bytes;
/// use kinesis_pipeline::{KinesisStream, LocalKinesis, StartAt, Until};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 2).await?;
///
/// let receipt = stream.put(&"21.5".into()).await?; // one record; see also `put_all` and `producer`
/// let mut records = stream.reader().start(StartAt::TrimHorizon).until(Until::Tip).open().await?;
/// let record = records.next().await.ok_or("no record")??;
/// assert_eq!((&record.data[..], record.position()), (&b"21.5"[..], &receipt.position()));
/// # Ok(())
/// # }
/// ```
pub struct KinesisStream<R> {
    pub(crate) target: Target,
    /// The field with the partition key of untyped records, if the configuration names one.
    pub(crate) key_field: Option<Arc<str>>,
    pub(crate) put: SharedPut,
    record: PhantomData<fn(R) -> R>,
}

impl<R> KinesisStream<R> {
    /// Makes a stream on a service of your own, with the [clock of the runtime](Clock::of_runtime). No call is made.
    pub fn with_service(service: Arc<dyn Kinesis>, stream: impl Into<StreamId>) -> Self {
        Self {
            target: Target {
                service,
                stream: stream.into(),
                clock: Clock::of_runtime(),
            },
            key_field: None,
            put: SharedPut::default(),
            record: PhantomData,
        }
    }

    /// Returns the same stream with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.target.clock = clock;
        self.put = self.put.unshared();
        self
    }

    /// Returns the same stream. Untyped records take their partition key from the field of this name.
    ///
    /// Typed records have a key of their own and ignore the field.
    #[must_use]
    pub fn with_partition_key_field(mut self, field: impl Into<Arc<str>>) -> Self {
        self.key_field = Some(field.into());
        self
    }

    /// Returns the same stream with records of another type. Its puts share requests with this handle's. Code that
    /// encodes records itself can use [`EncodedRecord`].
    ///
    /// The call only increments a few reference counts. So a record that borrows its fields may have a handle for each
    /// put, as in [`Producer::with_record_type`].
    ///
    /// [`EncodedRecord`]: crate::EncodedRecord
    /// [`Producer::with_record_type`]: crate::Producer::with_record_type
    #[must_use]
    pub fn with_record_type<S>(&self) -> KinesisStream<S> {
        KinesisStream {
            target: self.target.clone(),
            key_field: self.key_field.clone(),
            put: self.put.clone(),
            record: PhantomData,
        }
    }

    /// Returns the clock that all operations of this stream use.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.target.clock
    }

    /// Returns the stream's name or ARN.
    #[must_use]
    pub fn id(&self) -> &StreamId {
        &self.target.stream
    }

    /// Returns the service that has the stream.
    #[must_use]
    pub fn service(&self) -> &Arc<dyn Kinesis> {
        &self.target.service
    }
}

impl<R> Clone for KinesisStream<R> {
    fn clone(&self) -> Self {
        Self {
            target: self.target.clone(),
            key_field: self.key_field.clone(),
            put: self.put.clone(),
            record: PhantomData,
        }
    }
}

impl<R> fmt::Debug for KinesisStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KinesisStream")
            .field("stream", &self.target.stream)
            .field("endpoint", &self.target.service.endpoint())
            .finish_non_exhaustive()
    }
}
