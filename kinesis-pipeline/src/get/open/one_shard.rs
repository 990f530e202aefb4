use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::stream::FuturesUnordered;
use tokio::task::{JoinHandle, coop};
use tracing::Instrument as _;

use crate::{
    get::{
        dispatch::{
            channel::{Delivery, News, Outlet, Page, Taken, channel},
            deaggregate::{UserRecord, UserRecords},
        },
        driver::{
            budget::Budget, driver::Driver, elsewhere::Elsewhere, listing::Listing,
            retention::Retention, save_timer::SaveTimer,
        },
        error::GetError,
        plan::{options::Options, plan::Begin},
        stats::Counters,
    },
    service::StreamId,
    shard::{
        HashKeyRange, ShardId,
        lineage::{Lineage, Role, Scope},
    },
    target::Target,
};

/// A reader of one shard, without its children and without checkpoints: for those who keep track of both themselves.
///
/// Opening makes no call, so it cannot fail; what fails comes as the last item. Records come undecoded. Dropping the
/// reader ends everything it does.
pub(crate) struct OneShard {
    stream: StreamId,
    outlet: Outlet,
    page: Option<OpenPage>,
    counters: Counters,
    driver: JoinHandle<()>,
    range: Option<HashKeyRange>,
    drops_strays: bool,
    is_ended: bool,
}

/// The page whose records are being given out.
struct OpenPage {
    records: UserRecords,
    behind_latest: Option<Duration>,
    bytes: usize,
}

/// An item of a [`OneShard`].
#[derive(Debug)]
pub(crate) enum ShardItem {
    /// A record, and how far its page was behind the tip.
    Record(UserRecord, Option<Duration>),
    /// All of the shard came, and it is closed. The last item.
    End,
    /// The last item.
    Failed(GetError),
}

impl OneShard {
    /// A reader from `begin` on; by enhanced fan-out if the ARN of a consumer is given.
    pub(crate) fn open(
        target: Target,
        shard_id: &ShardId,
        range: Option<HashKeyRange>,
        begin: Begin,
        mut options: Options,
        consumer_arn: Option<Arc<str>>,
    ) -> Self {
        options.is_leased = true;
        let (feed, outlet) = channel();
        let mut lineage = Lineage::new(Scope::Leased);
        lineage.add(shard_id, &[], Role::Member);
        let counters = Counters::new(&target.stream);
        let span = tracing::info_span!("shard", stream = %target.stream, shard = %shard_id);
        let drops_strays = options.drops_strays;
        let stream = target.stream.clone();
        let driver = Driver {
            feed,
            lineage,
            starts: HashMap::from([(shard_id.clone(), begin)]),
            bound: None,
            shards: HashMap::new(),
            timers: BTreeSet::new(),
            due: VecDeque::new(),
            budget: Budget::new(options.prefetch_bytes_max),
            listing: Listing::new(),
            elsewhere: Elsewhere::default(),
            save_timer: SaveTimer::new(options.checkpoint_interval, target.clock.instant()),
            counters: counters.clone(),
            lost: HashMap::new(),
            retention: Retention::default(),
            ended: HashMap::new(),
            calls: FuturesUnordered::new(),
            consumer_arn,
            subscriptions: HashMap::new(),
            events: FuturesUnordered::new(),
            target,
            options,
        };
        Self {
            stream,
            outlet,
            page: None,
            counters,
            driver: tokio::spawn(driver.run().instrument(span)),
            range,
            drops_strays,
            is_ended: false,
        }
    }

    /// The next item; waits for one. Cancel safe. Pending for ever after the last item.
    pub(crate) async fn next(&mut self) -> ShardItem {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// The next record of the page that was begun, if anything is left of it.
    pub(crate) fn next_of_page(&mut self) -> Option<ShardItem> {
        let page = self.page.as_mut()?;
        if let Some(record) = page.records.next() {
            return Some(ShardItem::Record(record, page.behind_latest));
        }
        self.leave_page();
        None
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<ShardItem> {
        let progress = ready!(coop::poll_proceed(context));
        loop {
            if let Some(item) = self.next_of_page() {
                progress.made_progress();
                return Poll::Ready(item);
            }
            if self.is_ended {
                return Poll::Pending;
            }
            let item = match ready!(self.outlet.poll_next(context)) {
                Some(Delivery::Page(page)) => {
                    self.open_page(page);
                    continue;
                }
                Some(Delivery::ShardEnd(_)) => ShardItem::End,
                Some(Delivery::Failed(error)) => ShardItem::Failed(error),
                Some(Delivery::End) | None => ShardItem::Failed(GetError::Interrupted {
                    stream: self.stream.clone(),
                }),
            };
            self.is_ended = true;
            progress.made_progress();
            return Poll::Ready(item);
        }
    }

    fn open_page(&mut self, page: Page) {
        let records = UserRecords::new(page.shard_id, page.records, page.finished, false)
            .within(self.range, self.drops_strays);
        self.page = Some(OpenPage {
            records,
            behind_latest: page.behind_latest,
            bytes: page.bytes,
        });
    }

    /// Tells the driver that the page was taken, so that it fetches on.
    fn leave_page(&mut self) {
        if let Some(page) = self.page.take() {
            self.counters.on_given(page.records.given());
            // A driver that has ended has no use for it.
            let _ = self.outlet.news.send(News::Took(Taken {
                shard_id: page.records.shard_id().clone(),
                bytes: page.bytes,
            }));
        }
    }
}

impl Drop for OneShard {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
