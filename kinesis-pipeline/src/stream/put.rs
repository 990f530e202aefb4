//! The methods that put records.

use std::borrow::Borrow;

use futures_core::Stream;
use futures_util::StreamExt as _;

use super::KinesisStream;
use crate::{
    put::{
        InvalidPutOption, ProducerBuilder, PutError, PutOptions, PutResults, PutStream, Receipt,
        SharedPut,
    },
    record::KinesisRecord,
};

impl<R> KinesisStream<R> {
    /// Returns the same stream with other put options. Puts of the returned handle and its clones share requests with
    /// each other, but not with those of the old handle.
    ///
    /// # Errors
    /// [`InvalidPutOption`]: an option is out of its range.
    pub fn with_put_options(mut self, options: PutOptions) -> Result<Self, InvalidPutOption> {
        options.check()?;
        self.put = SharedPut::with_options(options);
        Ok(self)
    }

    /// Returns the same stream with put options that were checked already.
    #[cfg(feature = "firehose")]
    pub(crate) fn with_checked_put_options(mut self, options: PutOptions) -> Self {
        self.put = SharedPut::with_options(options);
        self
    }

    /// Returns a builder of a producer, for puts as fast as the shards allow.
    #[must_use]
    pub fn producer(&self) -> ProducerBuilder<R> {
        ProducerBuilder::new(self.clone())
    }
}

impl<R: KinesisRecord> KinesisStream<R> {
    /// Puts one record and waits until it is stored.
    ///
    /// Concurrent puts, on this handle or its clones, share requests. Temporary failures are retried as [`PutOptions`]
    /// say. If an answer is lost, a retry can store the record twice: see [duplicates](crate::guide::duplicates).
    /// Concurrent puts are stored in no particular order, unless [`PutOptions::order`] is set.
    ///
    /// While the memory limits of the options are reached, a put waits for room.
    ///
    /// # Errors
    /// [`PutError`] has the reason. It states whether to put the record again
    /// ([`is_retryable`](PutError::is_retryable)), and whether the record may be in the stream anyway
    /// ([`may_have_been_stored`](PutError::may_have_been_stored)).
    ///
    /// # Cancel safety
    /// A put that is dropped while it waits for room has no effect. After that the record is still sent, as long as the
    /// runtime runs.
    pub async fn put(&self, record: &R) -> Result<Receipt, PutError> {
        self.put.put(self, record).await
    }

    /// Puts many records, owned or by reference. Returns one result for each record, in their order.
    ///
    /// Requests are as large as the service allows. A record that was not stored is returned with its error, and does
    /// not affect the others. At most 10,000 records, and the bytes of [`PutOptions::in_flight_bytes_max`], are in
    /// flight at a time. The iterator is read as records are stored.
    ///
    /// Records are stored in no particular order, even those of one key, since requests are concurrent and failed
    /// records are sent again. [`PutOptions::order`] with [`Order::PerKey`](crate::Order::PerKey) keeps the order of
    /// each key.
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
    /// Dropping the future loses the results: records that were read from the iterator may or may not be stored.
    pub async fn put_all<T, I>(&self, records: I) -> PutResults<T>
    where
        I: IntoIterator<Item = T>,
        T: Borrow<R>,
    {
        let results = self.put_stream(futures_util::stream::iter(records));
        results.collect::<Vec<_>>().await.into()
    }

    /// Puts the records of a stream, owned or by reference. Returns a stream with one result for each record, in their
    /// order.
    ///
    /// It reads ahead of the results as [`put_all`](Self::put_all) does, and only while it is polled. The order in
    /// which the records are stored is that of [`put_all`](Self::put_all): none by default, and that of each key with
    /// [`Order::PerKey`](crate::Order::PerKey).
    ///
    /// # Cancel safety
    /// Its `next()` may be dropped at any time. Dropping the stream loses the results that were not read.
    pub fn put_stream<S>(&self, records: S) -> PutStream<R, S>
    where
        S: Stream,
        S::Item: Borrow<R>,
    {
        self.put.put_stream(self, records)
    }
}
