use std::{
    future::poll_fn,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::task::JoinHandle;

use super::{
    channel::{Delivery, Outlet, StopHandle},
    checkpoint_handle::CheckpointHandle,
    record::Record,
    taker::Taker,
};
use crate::{
    get::{
        error::GetError,
        stats::{Counters, ReaderStats},
    },
    record::KinesisRecord,
};

/// An open reader: the records of a stream, as they come.
///
/// Read it with [`next`](Self::next), or as a futures [`Stream`] with the methods of `StreamExt`: `take(n)` ends a
/// batch after `n` records. The records of one shard come in order, and those of one partition key also across splits
/// and merges. Records are decoded when you ask for them, on your task. Memory is bounded by
/// [`prefetch_bytes_max`](crate::Reader::prefetch_bytes_max). Dropping the reader ends its fetching.
///
/// An error item about one record ([`GetError::Decode`]) is followed by the next record; any other error is the last
/// item. A fault that may pass is no item: the reader retries, warns once in the log, and gives up only after
/// [`outage_max`](crate::Reader::outage_max).
///
/// # Examples
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use bytes::Bytes;
/// use futures_util::StreamExt as _;
/// use kinesis_pipeline::{KinesisStream, LocalKinesis};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 2).await?;
/// stream.put_all((0..10).map(|count| Bytes::from(count.to_string()))).await.ok()?;
///
/// let mut records = stream.iter_from_all().await?;
/// let stop = records.stop_handle(); // for a signal handler, or another task
/// let first = records.next().await.ok_or("no record")??;
/// println!("{} under the key {}", first.position(), first.partition_key);
///
/// // It is a stream: the methods of `StreamExt` work.
/// let more: Vec<_> = records.by_ref().take(9).collect().await;
/// assert_eq!(more.len(), 9);
/// println!("behind by {:?}", records.stats().behind_latest_max());
///
/// stop.stop();
/// assert!(records.next().await.is_none());
/// # Ok(())
/// # }
/// ```
#[must_use = "a reader fetches until it is dropped"]
pub struct Records<R> {
    outlet: Outlet,
    taker: Taker,
    counters: Counters,
    driver: JoinHandle<()>,
    record: PhantomData<fn() -> R>,
}

impl<R> Records<R> {
    pub(in crate::get) fn new(
        outlet: Outlet,
        taker: Taker,
        counters: Counters,
        driver: JoinHandle<()>,
    ) -> Self {
        Self {
            outlet,
            taker,
            counters,
            driver,
            record: PhantomData,
        }
    }

    pub(super) fn taker(&mut self) -> &mut Taker {
        &mut self.taker
    }

    /// Polls for the next delivery of the driver; `None` after the last one.
    pub(super) fn poll_delivery(&mut self, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.outlet.poll_next(context)
    }

    /// Returns the counters of the reader, and the lag of each shard.
    #[must_use]
    pub fn stats(&self) -> ReaderStats {
        self.counters.stats()
    }

    /// Ends fetching. Records that were fetched still come out, then `None`.
    pub fn stop(&self) {
        self.outlet.stop.stop();
    }

    /// Ends the reader at once and saves its checkpoints. All records that were given out count as finished, or with
    /// [`require_ack`](crate::Reader::require_ack) those that were acked. Fetched records that were not given out are
    /// dropped; a reader that goes on from the checkpoints fetches them again.
    ///
    /// Dropping the reader ends it too, but saves nothing.
    ///
    /// # Errors
    /// [`GetError::Checkpoint`]: the store could not be written, for 4 s.
    pub async fn close(mut self) -> Result<(), GetError> {
        self.stop();
        self.driver.abort();
        // The driver's own save must not run beside this one.
        let _ = (&mut self.driver).await;
        self.taker.on_asked();
        let Some(tracker) = self.taker.tracker() else {
            return Ok(());
        };
        let saved = tracker.save_last().await;
        saved.map_err(|error| GetError::checkpoint(self.taker.stream(), error))
    }

    /// Returns a handle that saves the checkpoints of this reader, also after the reader is gone; `None` for a reader
    /// without [`checkpoints`](crate::Reader::checkpoints).
    #[must_use]
    pub fn checkpoint_handle(&self) -> Option<CheckpointHandle> {
        let saver = self.taker.tracker()?.saver().clone();
        Some(CheckpointHandle::new(self.taker.stream().clone(), saver))
    }

    /// Returns a handle that stops this reader from another task, such as a signal handler.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.outlet.stop.clone()
    }
}

impl<R: KinesisRecord> Records<R> {
    /// Returns the next record; `None` after the end.
    ///
    /// Cancel safe: a record leaves the reader only as the result of this call, so a call that is dropped while it waits
    /// loses nothing.
    pub async fn next(&mut self) -> Option<Result<Record<R>, GetError>> {
        poll_fn(|context| self.poll_record(context)).await
    }

    #[inline]
    fn poll_record(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Record<R>, GetError>>> {
        let Self { taker, outlet, .. } = self;
        let polled = taker.poll_next(context, Taker::next, |context| outlet.poll_page(context));
        if taker.is_over() {
            outlet.stop.stop();
            taker.leave();
        }
        polled
    }
}

impl<R: KinesisRecord> Stream for Records<R> {
    type Item = Result<Record<R>, GetError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_record(context)
    }
}

impl<R> Drop for Records<R> {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl<R> std::fmt::Debug for Records<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records")
            .field("stream", self.taker.stream())
            .finish_non_exhaustive()
    }
}
