//! The producer: records in as fast as the shards take them.

use std::{borrow::Borrow, fmt, sync::Arc, time::Duration};

use futures_core::Stream;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::shared_put::{NotAccepted, encode_for, try_accept};
use super::{put_stream::PutStream, results::PutResults};
use crate::{
    put::{
        admission::{budget::Permit, stats::ProducerStats},
        error::{CloseError, FlushError, PutError, PutFailure},
        pending::receipt::PendingReceipt,
        pipeline::pipeline::{NotNow, Pipeline},
    },
    record::KinesisRecord,
    service::StreamId,
    stream::KinesisStream,
};

/// A handle that puts records as fast as the stream's shards take them, on request in [aggregates](crate::guide::words)
/// of many records.
///
/// It finds each record's shard, fills requests across all shards, writes to each shard at the shard's rate, and
/// retries only the records that failed. Its memory is bounded: [`put`](Self::put) waits while the limits of the
/// [builder](crate::ProducerBuilder) are reached. A put has two awaits: the first waits for room and returns a
/// [`PendingReceipt`], the second, on that, waits until the record is stored and returns its
/// [`Receipt`](crate::Receipt).
///
/// Cheap to clone; clones share queue, limits and order.
///
/// **Call [`close`](Self::close) before the program ends.** A record whose put has returned is accepted, but not yet
/// stored. When the runtime ends, as at the end of `main`, records that wait to be sent are dropped. When the last
/// handle is dropped and the runtime runs on, they are still sent, but their failures are not reported.
///
/// ```
/// # use bytes::Bytes;
/// # async fn journey(stream: kinesis_pipeline::KinesisStream<Bytes>) -> Result<(), Box<dyn std::error::Error>> {
/// let producer = stream.producer().aggregate(true).build()?;
/// let pending = producer.put(&Bytes::from("21.5")).await?;
/// println!("stored at {}", pending.await?.position());
/// producer.close().await?;
/// # Ok(())
/// # }
/// ```
///
/// The example `shutdown` is a whole program that puts until it is told to stop.
#[must_use = "a producer that is dropped without `close` tells nobody whether its records are stored"]
pub struct Producer<R> {
    stream: KinesisStream<R>,
    pipeline: Arc<Pipeline>,
    close_timeout: Duration,
}

impl<R> Producer<R> {
    pub(super) fn new(
        stream: KinesisStream<R>,
        pipeline: Arc<Pipeline>,
        close_timeout: Duration,
    ) -> Self {
        Self {
            stream,
            pipeline,
            close_timeout,
        }
    }

    /// Waits until every record whose put returned before this call is stored or given up. Records that wait for others
    /// to share their request are sent at once.
    ///
    /// # Errors
    /// [`FlushError`] has the number of records that were not stored since the flush before. The receipt of each has the
    /// reason.
    ///
    /// # Cancel safety
    /// Dropping the future only stops the waiting.
    pub async fn flush(&self) -> Result<(), FlushError> {
        self.pipeline.flush().await
    }

    /// Closes the producer and all its clones for new records, and waits until the accepted records are stored or given
    /// up.
    ///
    /// # Errors
    /// [`CloseError`] counts the records that were not stored, and those that have no result yet when the time of
    /// [`ProducerBuilder::close_timeout`](crate::ProducerBuilder::close_timeout) is over. The latter are still sent as
    /// long as the runtime runs.
    ///
    /// # Cancel safety
    /// Dropping the future only stops the waiting: the producer stays closed.
    pub async fn close(self) -> Result<(), CloseError> {
        let closed = timeout(self.close_timeout, self.pipeline.close()).await;
        let stats = self.stats();
        let (records_failed, records_pending) = match closed {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(FlushError::NotStored { records, .. })) => (records, 0),
            Ok(Err(FlushError::Gone { .. })) => (stats.records_failed, stats.records_pending),
            Ok(Err(FlushError::NoRuntime { .. })) | Err(_) => (0, stats.records_pending),
        };
        Err(CloseError {
            stream: self.id().clone(),
            records_failed,
            records_pending,
        })
    }

    /// Returns the counters so far.
    #[must_use]
    pub fn stats(&self) -> ProducerStats {
        self.pipeline.shared().counters.snapshot()
    }

    /// Returns a handle of the same producer for records of another type. Both share queues, requests, order and limits.
    ///
    /// For records with a lifetime, make the handle where the record is:
    ///
    /// ```
    /// # #[cfg(feature = "derive")] {
    /// use kinesis_pipeline::{KinesisRecord, Producer, PutError};
    /// use serde::Serialize;
    ///
    /// #[derive(Serialize, KinesisRecord)]
    /// #[kinesis(put_only)]
    /// struct Visit<'a> {
    ///     #[kinesis(partition_key)]
    ///     page: &'a str,
    /// }
    ///
    /// async fn log(producer: &Producer<bytes::Bytes>, pages: Vec<String>) -> Result<(), PutError> {
    ///     for page in &pages {
    ///         producer.with_record_type().put(&Visit { page }).await?;
    ///     }
    ///     Ok(())
    /// }
    /// # }
    /// ```
    pub fn with_record_type<S>(&self) -> Producer<S> {
        Producer {
            stream: self.stream.with_record_type(),
            pipeline: Arc::clone(&self.pipeline),
            close_timeout: self.close_timeout,
        }
    }

    pub(in crate::put) fn pipeline(&self) -> &Arc<Pipeline> {
        &self.pipeline
    }

    /// Returns the stream's name or ARN.
    #[must_use]
    pub fn id(&self) -> &StreamId {
        self.stream.id()
    }
}

impl<R: KinesisRecord> Producer<R> {
    /// Accepts a record as soon as there is room for it, and returns the future of its receipt.
    ///
    /// # Errors
    /// The record cannot be put as it is ([`PutError::Key`], [`PutError::Encode`], [`PutError::TooLarge`]), or the producer
    /// is closed. Later errors come from the [`PendingReceipt`].
    ///
    /// # Cancel safety
    /// A put that is dropped while it waits for room has no effect.
    pub async fn put(&self, record: &R) -> Result<PendingReceipt, PutError> {
        // Most puts find room at once: they move their record once, not through the futures of a wait.
        match self.try_accept(record) {
            Ok(pending) => Ok(pending),
            Err(NotAccepted::NoRoom(record)) => self.pipeline.put_later(*record).await,
            Err(NotAccepted::Refused(error)) => Err(*error),
        }
    }

    /// Puts many records, owned or by reference, and returns one result per record in their order.
    ///
    /// It reads the iterator as there is room, at most 10,000 records ahead of the results. The records are stored in the
    /// order of [`ProducerBuilder::order`](crate::ProducerBuilder::order).
    ///
    /// # Cancel safety
    /// Dropping the future loses the results: records that were read from the iterator may be stored or not.
    pub async fn put_all<T, I>(&self, records: I) -> PutResults<T>
    where
        I: IntoIterator<Item = T>,
        T: Borrow<R>,
    {
        let results = self.put_stream(futures_util::stream::iter(records));
        results.collect::<Vec<_>>().await.into()
    }

    /// Puts the records of a stream, owned or by reference, and returns a stream of one result per record in their
    /// order: as [`put_all`](Self::put_all), and only while it is polled.
    ///
    /// # Cancel safety
    /// `next()` on it may be dropped at any time. Dropping the stream itself loses the results that were not read.
    pub fn put_stream<S>(&self, records: S) -> PutStream<R, S>
    where
        S: Stream,
        S::Item: Borrow<R>,
    {
        PutStream::new(self.stream.clone(), Arc::clone(&self.pipeline), records)
    }

    /// Accepts a record, owned or by reference, if there is room for it now, and otherwise gives it back.
    ///
    /// A record over 1 MiB is accepted once a [`put`](Self::put) has found out that the stream takes such
    /// records.
    ///
    /// # Errors
    /// The record comes back with [`PutError::NoRoom`], with [`PutError::LimitUnknown`] if it has over 1 MiB and no put has
    /// asked for the limit yet, or with the reason why it cannot be put as it is.
    pub fn try_put<T: Borrow<R>>(&self, record: T) -> Result<PendingReceipt, PutFailure<T>> {
        let accepted = encode_for(&self.stream, record.borrow(), |encoded| {
            let accepted = self.pipeline.try_put(encoded);
            accepted.map_err(|reason| match reason {
                NotNow::NoRoom => Box::new(self.not_now(encoded.size_bytes())),
                NotNow::Refused(error) => error,
            })
        });
        accepted.map_err(|error| PutFailure::new(*error, record))
    }

    /// Waits for room for one record of up to `bytes` bytes (data and key), and reserves it for a put that does not have to
    /// wait. For over 1 MiB it also waits until the stream has told whether it takes such records.
    ///
    /// # Errors
    /// [`PutError::Closed`].
    ///
    /// # Cancel safety
    /// A wait that is dropped reserves nothing.
    pub async fn reserve(&self, bytes: usize) -> Result<Reservation<'_, R>, PutError> {
        self.pipeline.ready().map_err(|error| *error)?;
        let shared = self.pipeline.shared();
        if !shared.limit.allows(bytes) {
            // A smaller record may come. The put of one that is too large tells why.
            let _ = shared.limit.check(bytes, shared).await;
        }
        let permit = self.pipeline.reserve(bytes).await?;
        Ok(Reservation {
            producer: self,
            permit,
        })
    }

    /// Accepts a record if there is room for it now, or returns it encoded.
    #[inline]
    pub(super) fn try_accept(&self, record: &R) -> Result<PendingReceipt, NotAccepted> {
        try_accept(&self.stream, &self.pipeline, record)
    }

    /// Returns the error of a record of this size that could only be accepted after a wait.
    fn not_now(&self, bytes: usize) -> PutError {
        let shared = self.pipeline.shared();
        if !shared.limit.allows(bytes) {
            return shared.limit.refusal(bytes, shared);
        }
        PutError::NoRoom {
            stream: self.id().clone(),
        }
    }
}

impl<R> Clone for Producer<R> {
    fn clone(&self) -> Self {
        Self {
            stream: self.stream.clone(),
            pipeline: Arc::clone(&self.pipeline),
            close_timeout: self.close_timeout,
        }
    }
}

impl<R> fmt::Debug for Producer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("stream", self.id())
            .finish_non_exhaustive()
    }
}

/// Room in a producer's memory budget that is reserved for one record: see [`Producer::reserve`]. Dropping it gives
/// the room back.
#[must_use = "the room stays reserved until the reservation is used or dropped"]
pub struct Reservation<'a, R> {
    producer: &'a Producer<R>,
    permit: Permit,
}

impl<R: KinesisRecord> Reservation<'_, R> {
    /// Accepts a record, owned or by reference, at once. A record larger than the reservation is accepted if there is
    /// room for the rest now.
    ///
    /// # Errors
    /// As [`Producer::try_put`].
    pub fn put<T: Borrow<R>>(mut self, record: T) -> Result<PendingReceipt, PutFailure<T>> {
        let accepted = encode_for(&self.producer.stream, record.borrow(), |encoded| {
            let bytes = encoded.size_bytes();
            let pipeline = &self.producer.pipeline;
            if !pipeline.shared().limit.allows(bytes) || !self.permit.resize(bytes) {
                return Err(Box::new(self.producer.not_now(bytes)));
            }
            pipeline.put_reserved(encoded, self.permit)
        });
        accepted.map_err(|error| PutFailure::new(*error, record))
    }
}

impl<R> fmt::Debug for Reservation<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation")
            .field("producer", self.producer)
            .finish_non_exhaustive()
    }
}
