use std::{
    sync::Arc,
    task::{self, Poll, ready},
    time::Duration,
};

use tokio::sync::{mpsc, watch};

use super::deaggregate::Finished;
use crate::{
    get::error::GetError,
    service::{ChildShard, StoredRecord, StreamId},
    shard::ShardId,
};

/// A delivery from the driver to the reader's owner, in order.
#[derive(Debug)]
pub(in crate::get) enum Delivery {
    Page(Page),
    /// The last page of a shard has been delivered. A server may leave the children out.
    ShardEnd {
        shard_id: ShardId,
        children: Vec<ChildShard>,
    },
    Failed(GetError),
    /// The last delivery. A queue that closes without it was cut off: the driver's task was ended from outside.
    End,
}

/// Records of one shard.
#[derive(Debug)]
pub(in crate::get) struct Page {
    pub(in crate::get) shard_id: ShardId,
    pub(in crate::get) records: Vec<StoredRecord>,
    /// The part of the first record that was finished before this reader.
    pub(in crate::get) finished: Option<Finished>,
    pub(in crate::get) behind_latest: Option<Duration>,
    /// The bytes of the page in the prefetch budget.
    pub(in crate::get) bytes: usize,
}

/// A page whose records were all taken by the owner.
#[derive(Debug)]
pub(in crate::get) struct Taken {
    pub(in crate::get) shard_id: ShardId,
    pub(in crate::get) bytes: usize,
}

/// The driver's side of the queue between the driver and the reader's owner.
///
/// The channels themselves are unbounded, so neither side ever waits inside a send. The driver keeps the bound: it
/// fetches nothing for a shard whose pages wait, nor beyond the byte budget, and each page comes back as one [`Taken`].
/// A slow owner only holds back fetching.
#[derive(Debug)]
pub(in crate::get) struct Feed {
    deliveries: mpsc::UnboundedSender<Delivery>,
    news: mpsc::UnboundedReceiver<News>,
    stop: watch::Receiver<bool>,
    is_stopped: bool,
    /// The number of deliveries that were sent.
    sent: u64,
    /// The number of deliveries that the owner had received when it last waited.
    waits_at: u64,
    /// The number of pages among them that were not taken yet.
    pages_out: u64,
}

pub(super) type NewsSender = mpsc::UnboundedSender<News>;

/// The owner's side.
#[derive(Debug)]
pub(in crate::get) struct Outlet {
    stream: StreamId,
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    pub(in crate::get) news: NewsSender,
    pub(super) stop: StopHandle,
    /// The number of deliveries that were received.
    received: u64,
    /// The number of deliveries received when the driver was last told that the owner waits.
    told: Option<u64>,
    /// Whether the last delivery was received.
    is_ended: bool,
}

/// A handle that stops a reader from another task. Cheap to clone; it does not keep the reader alive.
#[derive(Clone, Debug)]
pub struct StopHandle {
    stop: Arc<watch::Sender<bool>>,
}

impl StopHandle {
    /// Ends fetching. Records that were fetched still come out of the reader, then its end.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether the reader was told to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }
}

/// Makes the queue between the driver of a reader of this stream and the reader's owner.
pub(in crate::get) fn channel(stream: &StreamId) -> (Feed, Outlet) {
    let (deliver, deliveries) = mpsc::unbounded_channel();
    let (tell, news) = mpsc::unbounded_channel();
    let (stop, is_stopped) = watch::channel(false);
    let feed = Feed {
        deliveries: deliver,
        news,
        stop: is_stopped,
        is_stopped: false,
        sent: 0,
        waits_at: 0,
        pages_out: 0,
    };
    let outlet = Outlet {
        stream: stream.clone(),
        deliveries,
        news: tell,
        stop: StopHandle {
            stop: Arc::new(stop),
        },
        received: 0,
        told: None,
        is_ended: false,
    };
    (feed, outlet)
}

/// A message of the owner to the driver.
#[derive(Debug)]
pub(in crate::get) enum News {
    /// All records of a page were given out.
    Took(Taken),
    /// The owner waits, and has received this number of deliveries.
    Waits(u64),
    /// The owner has dropped the reader of this shard.
    Left(ShardId),
    /// The owner wants no more to be fetched.
    Stop,
    /// The owner has dropped the reader.
    Gone,
}

impl Feed {
    /// Sends a delivery to the owner. [`next`](Self::next) notices an owner that is gone.
    pub(in crate::get) fn send(&mut self, delivery: Delivery) {
        self.sent += 1;
        self.pages_out += u64::from(matches!(delivery, Delivery::Page(_)));
        let _ = self.deliveries.send(delivery);
    }

    /// Returns the owner's next message. A stop is returned once.
    pub(in crate::get) async fn next(&mut self) -> News {
        let is_stopped = self.is_stopped;
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stop| *stop), if !is_stopped => {
                self.is_stopped = true;
                News::Stop
            }
            news = self.news.recv() => {
                match news {
                    Some(News::Waits(received)) => self.waits_at = received,
                    Some(News::Took(_)) => self.pages_out = self.pages_out.saturating_sub(1),
                    _ => {}
                }
                news.unwrap_or(News::Gone)
            }
        }
    }

    /// Waits until the owner has taken everything that was sent. Returns whether the owner still exists.
    ///
    /// A message that the owner waits may be older than the last delivery:
    ///
    /// ```text
    ///   driver                     owner
    ///   sends delivery 5           finds nothing after delivery 4: sends Waits(4)
    ///   reads Waits(4)             receives delivery 5
    /// ```
    ///
    /// So the message has the number of deliveries that the owner had, and counts only if that is the number sent.
    pub(in crate::get) async fn drained(&mut self) -> bool {
        while self.waits_at < self.sent || self.pages_out > 0 {
            if let News::Gone = self.next().await {
                return false;
            }
        }
        true
    }
}

impl Outlet {
    /// Polls for the next delivery; `None` after the last one. A queue that was cut off ends with an error.
    ///
    /// If there is none yet, it tells the driver that the owner waits.
    pub(in crate::get) fn poll_next(
        &mut self,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Delivery>> {
        if self.is_ended {
            return Poll::Ready(None);
        }
        match self.deliveries.poll_recv(context) {
            Poll::Ready(delivery) => {
                self.received += 1;
                self.is_ended = matches!(delivery, Some(Delivery::End) | None);
                Poll::Ready(match delivery {
                    Some(Delivery::End) => None,
                    Some(delivery) => Some(delivery),
                    None => Some(Delivery::Failed(GetError::Interrupted {
                        stream: self.stream.clone(),
                    })),
                })
            }
            Poll::Pending => {
                if self.told != Some(self.received) {
                    self.told = Some(self.received);
                    // A driver that has ended needs no message.
                    let _ = self.news.send(News::Waits(self.received));
                }
                Poll::Pending
            }
        }
    }

    /// Polls for the next page of any shard; `None` after the last delivery.
    pub(super) fn poll_page(
        &mut self,
        context: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Page, GetError>>> {
        loop {
            match ready!(self.poll_next(context)) {
                Some(Delivery::Page(page)) => return Poll::Ready(Some(Ok(page))),
                Some(Delivery::Failed(error)) => return Poll::Ready(Some(Err(error))),
                Some(Delivery::ShardEnd { .. }) => {}
                Some(Delivery::End) | None => return Poll::Ready(None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_driver_is_told_once_that_the_owner_waits() {
        let (mut feed, mut outlet) = channel(&"test".into());
        let mut context = task::Context::from_waker(Waker::noop());
        for _ in 0..3 {
            assert!(outlet.poll_next(&mut context).is_pending());
        }
        assert!(matches!(feed.next().await, News::Waits(0)));
        let more = tokio::time::timeout(Duration::from_secs(1), feed.next());
        assert!(more.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_that_is_gone_is_not_waited_for() {
        let (mut feed, outlet) = channel(&"test".into());
        feed.send(Delivery::End);
        drop(outlet);
        assert!(!feed.drained().await);
    }
}
