use std::{
    collections::HashMap,
    fmt,
    future::poll_fn,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use tokio::sync::mpsc;

use super::{
    channel::{Delivery, News, Page, StopHandle, Taken},
    checkpoint_handle::CheckpointHandle,
    record::Record,
    records::Records,
    taker::Taker,
};
use crate::{
    get::{error::GetError, stats::ReaderStats},
    record::KinesisRecord,
    shard::ShardId,
};

/// A stream of the streams of single shards, made by [`Records::by_shard`].
///
/// Each shard comes out once, with its first records, and the children of a shard only after its stream was read to
/// its end. Keep asking for the next shard while you read: that call also hands the records on to the streams of the
/// shards, which may be read on other tasks.
///
/// # Examples
///
#[cfg_attr(feature = "local", doc = "```")]
#[cfg_attr(not(feature = "local"), doc = "```ignore")]
/// use bytes::Bytes;
/// use kinesis_pipeline::{GetError, KinesisStream, LocalKinesis, StartAt, Until};
/// use tokio::task::JoinSet;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let stream: KinesisStream<Bytes> = LocalKinesis::start().await?.stream("readings", 4).await?;
/// stream.put_all((0..100).map(|count| Bytes::from(count.to_string()))).await.ok()?;
///
/// let records = stream.reader().start(StartAt::TrimHorizon).until(Until::Tip).open().await?;
/// let (mut shards, mut tasks) = (records.by_shard(), JoinSet::new());
/// while let Some(shard) = shards.next().await {
///     let mut shard = shard?;
///     tasks.spawn(async move {
///         let mut count = 0;
///         while let Some(record) = shard.next().await {
///             let _reading = record?.data; // slow work: the other shards go on meanwhile
///             count += 1;
///         }
///         Ok::<_, GetError>(count)
///     });
/// }
/// let mut count = 0;
/// while let Some(shard) = tasks.join_next().await {
///     count += shard??;
/// }
/// assert_eq!(count, 100);
/// # Ok(())
/// # }
/// ```
#[must_use = "shards are handed on only while the next is asked for"]
pub struct ByShard<R> {
    records: Records<R>,
    shards: HashMap<ShardId, mpsc::UnboundedSender<Page>>,
    /// The shard whose page was begun before the shards were asked for.
    begun: Option<ShardRecords<R>>,
}

/// The records of one shard, in order.
///
/// Dropping it before its end ends the reading of the shard and of its descendants. Its pages count in the prefetch
/// budget until you take their records: a stream that is kept and not read can hold back the other shards.
#[must_use = "a shard's records wait until they are taken"]
pub struct ShardRecords<R> {
    shard_id: ShardId,
    pages: mpsc::UnboundedReceiver<Page>,
    taker: Taker,
    /// Whether the last page has come.
    is_ended: bool,
    record: PhantomData<fn() -> R>,
}

/// Reading shard by shard.
impl<R> Records<R> {
    /// Splits the reader into a stream of records for each shard, to read the shards side by side.
    pub fn by_shard(self) -> ByShard<R> {
        ByShard::new(self)
    }
}

impl<R> ByShard<R> {
    fn new(records: Records<R>) -> Self {
        let mut shards = Self {
            shards: HashMap::new(),
            begun: None,
            records,
        };
        if let Some((shard_id, taker)) = shards.records.taker().split_off() {
            shards.begun = Some(shards.begin(shard_id, taker));
        }
        shards
    }

    /// Returns the next shard with records; `None` after the end of the reader.
    ///
    /// An error is the last item. Cancel safe.
    pub async fn next(&mut self) -> Option<Result<ShardRecords<R>, GetError>> {
        poll_fn(|context| self.poll_shard(context)).await
    }

    /// Returns the counters of the reader, and the lag of each shard.
    #[must_use]
    pub fn stats(&self) -> ReaderStats {
        self.records.stats()
    }

    /// Ends fetching. Records that were fetched still come out, then `None`.
    pub fn stop(&self) {
        self.records.stop();
    }

    /// Returns a handle that saves the checkpoints, as [`Records::checkpoint_handle`].
    #[must_use]
    pub fn checkpoint_handle(&self) -> Option<CheckpointHandle> {
        self.records.checkpoint_handle()
    }

    /// Returns a handle that stops the reader from another task.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.records.stop_handle()
    }

    /// Ends the reader at once and saves its checkpoints. All records that were given out count as finished, except the
    /// last one of each shard if the next was not asked for.
    ///
    /// # Errors
    /// [`GetError::Checkpoint`]: the store could not be written.
    pub async fn close(self) -> Result<(), GetError> {
        self.records.close().await
    }

    fn poll_shard(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<ShardRecords<R>, GetError>>> {
        if let Some(shard) = self.begun.take() {
            return Poll::Ready(Some(Ok(shard)));
        }
        loop {
            match ready!(self.records.poll_delivery(context)) {
                Some(Delivery::Page(page)) => {
                    if let Some(shard) = self.hand_on(page) {
                        return Poll::Ready(Some(Ok(shard)));
                    }
                }
                Some(Delivery::ShardEnd { shard_id, .. }) => {
                    self.shards.remove(&shard_id);
                }
                Some(Delivery::Failed(error)) => return Poll::Ready(Some(Err(error))),
                Some(Delivery::End) | None => {
                    self.shards.clear();
                    return Poll::Ready(None);
                }
            }
        }
    }

    /// Sends a page to the stream of its shard. Returns the stream if the page is its first.
    fn hand_on(&mut self, page: Page) -> Option<ShardRecords<R>> {
        let Some(shard) = self.shards.get(&page.shard_id) else {
            let mut taker = self.records.taker().like();
            let shard_id = page.shard_id.clone();
            taker.open(page);
            return Some(self.begin(shard_id, taker));
        };
        if let Err(left) = shard.send(page) {
            take_unread(self.records.taker(), &left.0);
        }
        None
    }

    /// Makes the stream of a shard. `taker` has its first page.
    fn begin(&mut self, shard_id: ShardId, taker: Taker) -> ShardRecords<R> {
        let (send, pages) = mpsc::unbounded_channel();
        self.shards.insert(shard_id.clone(), send);
        ShardRecords {
            shard_id,
            pages,
            taker,
            is_ended: false,
            record: PhantomData,
        }
    }
}

/// Frees the budget of a page whose shard has no reader any more.
fn take_unread(taker: &Taker, page: &Page) {
    taker.tell(News::Took(Taken {
        shard_id: page.shard_id.clone(),
        bytes: page.bytes,
    }));
}

impl<R> Stream for ByShard<R> {
    type Item = Result<ShardRecords<R>, GetError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_shard(context)
    }
}

impl<R> fmt::Debug for ByShard<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByShard")
            .field("records", &self.records)
            .field("shards", &self.shards.len())
            .finish_non_exhaustive()
    }
}

impl<R> ShardRecords<R> {
    /// Returns the id of the shard.
    #[must_use]
    pub fn shard_id(&self) -> &ShardId {
        &self.shard_id
    }
}

impl<R: KinesisRecord> ShardRecords<R> {
    /// Returns the shard's next record; `None` after its end, and when the whole reader has ended.
    ///
    /// Cancel safe, as [`Records::next`].
    pub async fn next(&mut self) -> Option<Result<Record<R>, GetError>> {
        poll_fn(|context| self.poll_record(context)).await
    }

    fn poll_record(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Record<R>, GetError>>> {
        let Self {
            taker,
            pages,
            is_ended,
            ..
        } = self;
        taker.poll_next(context, Taker::next, |context| {
            let page = ready!(pages.poll_recv(context));
            *is_ended = page.is_none();
            Poll::Ready(page.map(Ok))
        })
    }
}

impl<R: KinesisRecord> Stream for ShardRecords<R> {
    type Item = Result<Record<R>, GetError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_record(context)
    }
}

impl<R> Drop for ShardRecords<R> {
    fn drop(&mut self) {
        // A page that comes at the same time is not lost to the budget: sent before the close, it is drained below; sent
        // after it, the send fails, and `hand_on` frees the page.
        self.pages.close();
        // Before the page is freed, so that the driver does not use the freed budget for this shard's next page.
        if !self.is_ended {
            self.taker.tell(News::Left(self.shard_id.clone()));
        }
        self.taker.leave();
        while let Ok(page) = self.pages.try_recv() {
            take_unread(&self.taker, &page);
        }
    }
}

impl<R> fmt::Debug for ShardRecords<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShardRecords")
            .field("shard_id", &self.shard_id)
            .field("is_ended", &self.is_ended)
            .finish_non_exhaustive()
    }
}
