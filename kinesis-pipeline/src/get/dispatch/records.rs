use std::{
    future::poll_fn,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio::task::{JoinHandle, coop};

use super::{
    by_shard::ByShard,
    channel::{Delivery, Outlet, StopHandle},
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

/// The records of a stream, as they come: an open reader.
///
/// Read it with [`next`](Self::next), or as a futures [`Stream`] with all that `StreamExt` adds: `take(n)` ends a
/// batch after `n` records. The records of one shard come in order, and
/// those of one partition key also over splits and merges. Records are decoded when you ask for them, on your
/// task. Dropping the reader ends everything it does.
///
/// An error item about one record ([`GetError::Decode`]) is followed by the next record; any other error is
/// the last item. A passing fault is no item at all: the reader tries again, warns once in the log, and gives
/// up only after [`outage_max`](crate::Reader::outage_max).
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
/// // It is a stream: all that `StreamExt` has works.
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
    is_ended: bool,
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
            is_ended: false,
            driver,
            record: PhantomData,
        }
    }

    /// Gives the shards out one by one, each as a stream of its records, for those who want to read them side
    /// by side.
    pub fn by_shard(self) -> ByShard<R> {
        ByShard::new(self)
    }

    pub(super) fn taker(&mut self) -> &mut Taker {
        &mut self.taker
    }

    /// The next thing that the driver delivers; `None` after the end.
    pub(super) fn poll_delivery(&mut self, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        let delivery = ready!(self.outlet.poll_next(context));
        self.is_ended = matches!(delivery, Some(Delivery::End) | None);
        Poll::Ready(Some(delivery.unwrap_or_else(|| {
            let stream = self.taker.stream().clone();
            Delivery::Failed(GetError::Interrupted { stream })
        })))
    }

    /// Returns the counters of the reader, and the lag of each shard.
    #[must_use]
    pub fn stats(&self) -> ReaderStats {
        self.counters.stats()
    }

    /// Ends fetching. What was fetched still comes out, then `None`.
    pub fn stop(&self) {
        self.outlet.stop.stop();
    }

    /// Ends the reader at once and saves its checkpoints: those of all records that were given out count as
    /// finished, or with [`require_ack`](crate::Reader::require_ack) those that were acked. What was fetched
    /// and not given out is dropped; a reader that goes on from the checkpoints fetches it again.
    ///
    /// Dropping the reader ends it too, but saves nothing.
    ///
    /// # Errors
    /// [`GetError::Checkpoint`]: the store could not be written.
    pub async fn close(mut self) -> Result<(), GetError> {
        self.stop();
        self.driver.abort();
        // The driver's own save must not run beside ours.
        let _ = (&mut self.driver).await;
        self.taker.on_asked();
        let Some(tracker) = self.taker.tracker() else {
            return Ok(());
        };
        let saved = tracker.save().await;
        saved.map_err(|error| GetError::checkpoint(self.taker.stream(), error))
    }

    /// A handle that stops this reader from elsewhere: another task, a signal handler.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.outlet.stop.clone()
    }
}

impl<R: KinesisRecord> Records<R> {
    /// The next record; `None` after the end.
    ///
    /// Cancel safe: a record leaves the reader only as the result of this call, so a call that is dropped
    /// while it waits loses nothing.
    pub async fn next(&mut self) -> Option<Result<Record<R>, GetError>> {
        poll_fn(|context| self.poll_record(context)).await
    }

    fn poll_record(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Record<R>, GetError>>> {
        self.taker.on_asked();
        // Pages come thousands of records at a time: without this a busy loop over them would never let
        // another task run.
        let progress = ready!(coop::poll_proceed(context));
        let item = loop {
            if let Some(item) = self.taker.next() {
                self.end_at(&item);
                break Some(item);
            }
            match ready!(self.poll_delivery(context)) {
                Some(Delivery::Page(page)) => self.taker.open(page),
                Some(Delivery::ShardEnd(_)) => {}
                Some(Delivery::Failed(error)) => break Some(Err(error)),
                Some(Delivery::End) | None => break None,
            }
        };
        progress.made_progress();
        Poll::Ready(item)
    }

    /// An error about a page that is more than one record's ends the reader here and now.
    fn end_at(&mut self, item: &Result<Record<R>, GetError>) {
        if item.as_ref().is_err_and(GetError::ends_the_stream) {
            self.stop();
            self.taker.leave();
            self.is_ended = true;
        }
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
            .field("is_ended", &self.is_ended)
            .finish_non_exhaustive()
    }
}
