//! Puts records: encode, queue per shard, batch into `PutRecords`, retry, acknowledge.
//!
//! ```text
//!   handles/    Producer, PutStream, ProducerSink, stream.put: what users hold
//!      │ encode, size limit, memory budget                admission/
//!      ▼
//!   pipeline    lock-free queue in; starts the driver
//!      │
//!   driver      the only task: timer, calls in flight
//!      │ events                                           (below this line no clock and no I/O)
//!      ▼
//!   scheduler/  what to send now, when to wake, what a response changes; retry
//!   queue/      one queue per shard; pacer (token bucket, AIMD); retry queue
//!   request/    entries and KPL aggregates of one PutRecords call
//!   pending/    a record's completion: receipt, flush group, budget charge
//!   shard_map/  hash key -> shard; listed again when a record lands in another shard
//! ```
//!
//! Imports go down this list, and everything may import `admission/`, which imports no other room.
//!
//! A record is in exactly one place: the queue of the pipeline, the queue of its shard (or its open aggregate), a
//! request in flight, the retry queue; then it is complete.
//!
//! | question | answer |
//! |---|---|
//! | What holds a put back when memory is full? | `admission/budget`: a put reserves its bytes and waits until completed records give theirs back. |
//! | Who sends? | `driver`: it asks the scheduler for the next request and spawns `request/send`. At most `requests_in_flight_max` calls at a time. |
//! | Who decides? | `scheduler/scheduler`: a state machine that takes `now` as an argument. |
//! | Where does a record wait while its shard is throttled? | A failed record in `queue/retry_queue` until its back-off is over; then, and all later ones, in the shard's queue, which `queue/pacer` holds back. |
//! | Who enforces linger? | `queue/shard_queue`: a queue is ripe when it is full or its oldest record has waited for `linger_max`. The driver's timer is set to that time. |
//! | What does a flush wait for? | All flush groups up to its own (`pending/flush`). Each record counts in the group that was open when it was accepted. |
//! | What happens on a reshard? | A record that lands in an unexpected shard asks for a listing (`shard_map/refresh`). `scheduler/on_shards` takes the new map into use and `queue/remap` moves what waits; with `Order::PerKey` nothing is sent between the two. User records of an aggregate that the shard does not cover are put again. |
//! | Where does an aggregate get its MD5? | In `request/draft`, for all aggregates of one request side by side, when the request is sent. |
//!
//! `stream.put` and its kin use one queue and no aggregates; the [`Producer`] has a queue for each shard. Where a
//! record waits (`queue/queues` decides):
//!
//! | the producer | the record waits |
//! |---|---|
//! | aggregates, keeps no order | written into the open aggregate of its shard; only its completion is kept beside |
//! | does not aggregate, keeps no order | in one queue with all others (`fresh`); in its shard's queue if the shard has no room |
//! | keeps an order, or retries | in the slab (`pending/slab`), with a key of 8 bytes in its shard's queue |

mod admission;
mod driver;
mod error;
mod handles;
mod options;
mod pending;
mod pipeline;
mod queue;
mod request;
mod scheduler;
mod shard_map;
#[cfg(test)]
mod tests;

use std::{
    borrow::Borrow,
    sync::{Arc, OnceLock},
};

#[cfg(any(test, not(feature = "metrics")))]
pub(crate) use admission::metrics::PutMetrics;
pub use admission::stats::ProducerStats;
pub use error::{AttemptError, PutError, PutFailure};
use futures_core::Stream;
use futures_util::StreamExt as _;
pub use handles::builder::ProducerBuilder;
pub use handles::producer::{CloseError, FlushError, Producer, Reservation};
pub use handles::put_stream::PutStream;
pub use handles::results::PutResults;
pub use handles::sink::{ProducerSink, SinkError};
pub use options::{InvalidPutOption, Order, PutOptions};
pub use pending::receipt::{PendingReceipt, Receipt};

use self::{admission::shared::Shared, pipeline::Pipeline};
use crate::{
    record::{EncodedRecord, KinesisRecord},
    stream::KinesisStream,
    target::Target,
};

/// The put pipeline that all clones of one stream handle share. It is made by the first put.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedPut {
    options: PutOptions,
    pipeline: Arc<OnceLock<Arc<Pipeline>>>,
}

impl SharedPut {
    fn with_options(options: PutOptions) -> Self {
        Self {
            options,
            pipeline: Arc::default(),
        }
    }

    /// Another pipeline with the same options, for another target.
    pub(crate) fn unshared(&self) -> Self {
        Self::with_options(self.options.clone())
    }

    fn pipeline(&self, target: &Target) -> &Arc<Pipeline> {
        self.pipeline.get_or_init(|| {
            let shared = Shared::new(target.clone(), self.options.clone());
            Pipeline::new(shared, fastrand::Rng::new())
        })
    }
}

impl<R> KinesisStream<R> {
    /// The same stream with other put options. Puts of the handle that is returned, and of its clones, share
    /// requests with each other, not with those of the handle before.
    ///
    /// # Errors
    /// [`InvalidPutOption`]: an option is out of its range.
    pub fn with_put_options(mut self, options: PutOptions) -> Result<Self, InvalidPutOption> {
        options.check()?;
        self.put = SharedPut::with_options(options);
        Ok(self)
    }
}

impl<R: KinesisRecord> KinesisStream<R> {
    /// Puts one record and waits until it is stored.
    ///
    /// Puts that run at the same time, on this handle or its clones, share requests. A failure that may pass
    /// is retried as [`PutOptions`] say; if an answer is lost on the way, a retry can store the record twice.
    /// Concurrent puts are stored in no particular order, unless [`PutOptions::order`] says otherwise.
    ///
    /// While the pipeline holds as much as its options allow, a put waits for room.
    ///
    /// # Errors
    /// [`PutError`] says why the record was not stored, whether to put it again
    /// ([`is_retryable`](PutError::is_retryable)), and whether it may be in the stream all the same
    /// ([`may_have_been_stored`](PutError::may_have_been_stored)).
    ///
    /// # Cancel safety
    /// A put that is dropped while it waits for room has done nothing. After that the record is sent
    /// although nobody waits for its receipt, as long as the runtime runs.
    pub async fn put(&self, record: &R) -> Result<Receipt, PutError> {
        let encoded = self.encode(record)?;
        self.pipeline().put(encoded).await?.await
    }

    /// Puts many records, owned or by reference, and returns one result per record in their order.
    ///
    /// Requests are as large as the service allows. A record that was not stored comes back with its error;
    /// it does not keep the others from being stored. At most 10,000 records and the bytes of
    /// [`PutOptions::in_flight_bytes_max`] are on their way at a time; the iterator is read as they are
    /// stored.
    ///
    /// Records are stored in no particular order, as requests run side by side and what failed is sent again: also two
    /// records of one key. [`PutOptions::order`] with [`Order::PerKey`] keeps the order of each key.
    ///
    /// ```
    /// # use bytes::Bytes;
    /// # async fn journey(stream: kinesis_pipeline::KinesisStream<Bytes>) -> Result<(), Box<dyn std::error::Error>> {
    /// use kinesis_pipeline::{Order, PutOptions};
    ///
    /// let in_order = stream.with_put_options(PutOptions::new().order(Order::PerKey))?;
    /// let readings = [Bytes::from("21.5"), Bytes::from("19.0")];
    /// let receipts = in_order.put_all(readings).await.ok()?;
    /// # Ok(())
    /// # }
    /// ```
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

    /// Puts the records of a stream, owned or by reference, and returns a stream of one result per record in
    /// their order.
    ///
    /// It reads ahead of the results as [`put_all`](Self::put_all) does, and only while it is polled. Results come in
    /// the order of the records; the records are stored in the same order as by [`put_all`](Self::put_all): none by
    /// default, that of each key with [`Order::PerKey`].
    ///
    /// # Cancel safety
    /// `next()` on it may be dropped at any time. Dropping the stream itself loses the results that were not
    /// read.
    pub fn put_stream<S>(&self, records: S) -> PutStream<R, S>
    where
        S: Stream,
        S::Item: Borrow<R>,
    {
        PutStream::new(self.clone(), Arc::clone(self.pipeline()), records)
    }

    fn encode(&self, record: &R) -> Result<EncodedRecord, PutError> {
        let Target { stream, clock, .. } = &self.target;
        admission::encode::encode(record, self.key_field.as_deref(), stream, clock)
    }

    fn pipeline(&self) -> &Arc<Pipeline> {
        self.put.pipeline(&self.target)
    }
}
