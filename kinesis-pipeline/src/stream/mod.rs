//! The handle of a stream, and its verbs.
//!
//! - `put`: writing.
//! - `get`: reading.

mod get;
mod put;

use std::{fmt, marker::PhantomData, sync::Arc};

use crate::{clock::Clock, put::SharedPut, service::Kinesis, service::StreamId, target::Target};

/// A Kinesis stream of records of type `R`: the handle that everything starts from.
///
/// Cheap to clone; clones share one put pipeline, so that their concurrent puts share requests.
pub struct KinesisStream<R> {
    pub(crate) target: Target,
    /// The field that holds the partition key of untyped records, if the configuration names one.
    pub(crate) key_field: Option<Arc<str>>,
    pub(crate) put: SharedPut,
    record: PhantomData<fn(R) -> R>,
}

impl<R> KinesisStream<R> {
    /// A stream of a service of yours, on the [clock of the runtime](Clock::of_runtime). No call is made.
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

    /// The same stream on another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.target.clock = clock;
        self.put = self.put.unshared();
        self
    }

    /// The same stream, the partition key of its untyped records taken from the field of this name.
    ///
    /// Typed records know their key and ignore it.
    #[must_use]
    pub fn with_partition_key_field(mut self, field: impl Into<Arc<str>>) -> Self {
        self.key_field = Some(field.into());
        self
    }

    /// The same stream with records of another type, whose puts share requests with this handle's: for code that
    /// encodes them itself, name [`EncodedRecord`].
    ///
    /// It costs a few reference counts: a record that borrows its fields may have a handle for each put, as in
    /// [`Producer::with_record_type`].
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

    /// The clock that everything on this stream goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.target.clock
    }

    /// The stream's name or ARN.
    #[must_use]
    pub fn id(&self) -> &StreamId {
        &self.target.stream
    }

    /// The service that holds the stream.
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
