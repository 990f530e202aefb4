use std::{
    future::poll_fn,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_core::Stream;
use tokio::task::{JoinHandle, coop};

use super::{
    decode::decode,
    deliver::{Delivery, News, Outlet, Page, StopHandle, Taken},
    error::GetError,
    record::Record,
    split::UserRecords,
    track::Tracker,
};
use crate::{record::KinesisRecord, service::StreamId};

/// The records of a stream, as they come: an open reader.
///
/// Read it with [`next`](Self::next), or as a futures [`Stream`] with all that `StreamExt` adds: `take(n)` ends a
/// batch after `n` records. The records of one shard come in order, and
/// those of one partition key also over splits and merges. Records are decoded when you ask for them, on your
/// task. Dropping the reader ends everything it does.
///
/// An error item about one record ([`GetError::Decode`]) is followed by the next record; any other error is
/// the last item. A passing fault is no item at all: the reader tries again, warns once in the log, and gives
/// up only after [`outage_max`](super::Reader::outage_max).
#[must_use = "a reader fetches until it is dropped"]
pub struct Records<R> {
    stream: StreamId,
    outlet: Outlet,
    page: Option<OpenPage>,
    is_ended: bool,
    driver: JoinHandle<()>,
    /// Present when checkpoints are kept.
    tracker: Option<Tracker>,
    keeps_aggregates: bool,
    record: PhantomData<fn() -> R>,
}

/// The page whose records are being given out.
struct OpenPage {
    records: UserRecords,
    behind_latest: Option<Duration>,
    bytes: usize,
}

impl<R> Records<R> {
    pub(crate) fn new(
        stream: StreamId,
        outlet: Outlet,
        driver: JoinHandle<()>,
        tracker: Option<Tracker>,
        keeps_aggregates: bool,
    ) -> Self {
        Self {
            stream,
            outlet,
            page: None,
            is_ended: false,
            driver,
            tracker,
            keeps_aggregates,
            record: PhantomData,
        }
    }

    /// Ends fetching. What was fetched still comes out, then `None`.
    pub fn stop(&self) {
        self.outlet.stop.stop();
    }

    /// Ends the reader at once and saves its checkpoints: those of all records that were given out count as
    /// finished, or with [`require_ack`](super::Reader::require_ack) those that were acked. What was fetched
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
        let Some(mut tracker) = self.tracker.take() else {
            return Ok(());
        };
        tracker.on_asked();
        let saved = tracker.save().await;
        saved.map_err(|error| GetError::checkpoint(&self.stream, error))
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
        // Pages come thousands of records at a time: without this a busy loop over them would never let
        // another task run.
        if let Some(tracker) = &mut self.tracker {
            tracker.on_asked();
        }
        let progress = ready!(coop::poll_proceed(context));
        let item = loop {
            if let Some(item) = self.next_of_page() {
                break Some(item);
            }
            if self.is_ended {
                break None;
            }
            match ready!(self.outlet.poll_next(context)) {
                Some(Delivery::Page(page)) => {
                    self.page = Some(OpenPage::of(page, self.keeps_aggregates));
                }
                Some(Delivery::Failed(error)) => break Some(Err(error)),
                Some(Delivery::End) => self.is_ended = true,
                None => {
                    self.is_ended = true;
                    let stream = self.stream.clone();
                    break Some(Err(GetError::Interrupted { stream }));
                }
            }
        };
        progress.made_progress();
        Poll::Ready(item)
    }

    fn next_of_page(&mut self) -> Option<Result<Record<R>, GetError>> {
        let page = self.page.as_mut()?;
        if let Some(read) = page.records.next() {
            let (behind_latest, is_last) = (page.behind_latest, read.is_last);
            let item = decode(read, behind_latest);
            return Some(match &mut self.tracker {
                Some(tracker) => tracker.on_given(item, is_last, &self.stream),
                None => item,
            });
        }
        let page = self.page.take()?;
        self.outlet.tell(News::Took(page.into_taken()));
        None
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
            .field("stream", &self.stream)
            .field("is_ended", &self.is_ended)
            .finish_non_exhaustive()
    }
}

impl OpenPage {
    fn of(page: Page, keeps_aggregates: bool) -> Self {
        let Page {
            shard_id,
            records,
            finished,
            ..
        } = page;
        Self {
            records: UserRecords::new(shard_id, records, finished, keeps_aggregates),
            behind_latest: page.behind_latest,
            bytes: page.bytes,
        }
    }

    fn into_taken(self) -> Taken {
        Taken {
            shard_id: self.records.shard_id().clone(),
            bytes: self.bytes,
        }
    }
}
