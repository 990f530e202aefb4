use std::{sync::Arc, task, task::Poll, time::Duration};

use tokio::sync::{mpsc, watch};

use super::error::GetError;
use crate::{service::StoredRecord, shard::ShardId};

/// What goes from the driver to the reader's owner, in order.
#[derive(Debug)]
pub(crate) enum Delivery {
    Page(Page),
    Failed(GetError),
    /// Nothing follows. A queue that closes without it was cut off.
    End,
}

/// Records of one shard.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) shard_id: ShardId,
    pub(crate) records: Vec<StoredRecord>,
    pub(crate) behind_latest: Option<Duration>,
    /// What the page takes of the prefetch budget.
    pub(crate) bytes: usize,
}

/// The owner has taken all records of a page.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) shard_id: ShardId,
    pub(crate) bytes: usize,
}

/// The driver's side of the queue between the driver and the reader's owner.
///
/// The channels themselves have no bound; the driver keeps one: it fetches nothing for a shard that has its
/// pages waiting, nor beyond the byte budget, and each page comes back as one [`Taken`]. So neither side ever
/// waits inside a send, and a slow owner holds back fetching only.
#[derive(Debug)]
pub(crate) struct Feed {
    deliveries: mpsc::UnboundedSender<Delivery>,
    taken: mpsc::UnboundedReceiver<Taken>,
    stop: watch::Receiver<bool>,
}

/// The owner's side.
#[derive(Debug)]
pub(crate) struct Outlet {
    deliveries: mpsc::UnboundedReceiver<Delivery>,
    taken: mpsc::UnboundedSender<Taken>,
    pub(crate) stop: StopHandle,
}

/// Stops a reader from elsewhere. Cheap to clone; it keeps nothing alive.
#[derive(Clone, Debug)]
pub struct StopHandle {
    stop: Arc<watch::Sender<bool>>,
}

impl StopHandle {
    /// Ends fetching. What was fetched still comes out of the reader, then its end.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether the reader was told to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }
}

pub(crate) fn channel() -> (Feed, Outlet) {
    let (deliver, deliveries) = mpsc::unbounded_channel();
    let (take, taken) = mpsc::unbounded_channel();
    let (stop, is_stopped) = watch::channel(false);
    let feed = Feed {
        deliveries: deliver,
        taken,
        stop: is_stopped,
    };
    let outlet = Outlet {
        deliveries,
        taken: take,
        stop: StopHandle {
            stop: Arc::new(stop),
        },
    };
    (feed, outlet)
}

/// What the owner did.
#[derive(Debug)]
pub(crate) enum Wish {
    Took(Taken),
    Stop,
}

impl Feed {
    /// Hands something to the owner. An owner that is gone is noticed by [`next`](Self::next).
    pub(crate) fn send(&self, delivery: Delivery) {
        let _ = self.deliveries.send(delivery);
    }

    /// What the owner did next: took a page, or wants to stop, which is also what it means when it is gone.
    pub(crate) async fn next(&mut self) -> Wish {
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|is_stopped| *is_stopped) => Wish::Stop,
            taken = self.taken.recv() => taken.map_or(Wish::Stop, Wish::Took),
        }
    }
}

impl Outlet {
    pub(crate) fn poll_next(&mut self, context: &mut task::Context<'_>) -> Poll<Option<Delivery>> {
        self.deliveries.poll_recv(context)
    }

    /// Tells the driver that a page was taken. A driver that has ended has no use for it.
    pub(crate) fn took(&self, taken: Taken) {
        let _ = self.taken.send(taken);
    }
}
