use std::{
    collections::HashMap,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, SystemTime},
};

use tokio::{sync::watch, task::JoinHandle};
use tracing::Instrument as _;

use crate::{
    get::{
        dispatch::{
            channel::{Delivery, Outlet, Page, channel},
            deaggregate::UserRecord,
            ranges::Ranges,
            taker::{Splitting, Taker},
        },
        driver::{
            driver::{Driver, Setup},
            members::Opened,
        },
        error::GetError,
        fetch::service_clock::ServiceClock,
        open::retained::begin_retained,
        plan::{
            options::Options,
            plan::{Begin, start_again},
        },
        poll_budget::{PollBudget, PollShare},
        stats::{Counters, ReaderGauge},
    },
    service::ChildShard,
    shard::{
        HashKeyRange, ShardId,
        lineage::{Lineage, Role, Scope},
    },
    target::Target,
};

/// A reader of one shard whose records come undecoded.
///
/// An error of reading comes as the last item. Dropping the reader ends its fetching.
pub(crate) struct RawShardReader {
    shard_id: ShardId,
    outlet: Outlet,
    taker: Taker,
    pub(super) counters: Counters,
    /// The children by the last page; `None` before the end of the shard.
    children: Option<Vec<ChildShard>>,
    tip: watch::Receiver<Option<SystemTime>>,
    driver: JoinHandle<()>,
    /// The share of the budget for polls.
    _polls: Option<PollShare>,
}

/// An item of a [`RawShardReader`].
#[derive(Debug)]
pub(crate) enum ShardItem {
    /// A record, and the lag of its page behind the tip.
    Record(UserRecord, Option<Duration>),
    /// The end of a closed shard, after all of its records. The last item.
    End,
    /// An error. The last item.
    Failed(GetError),
}

/// The shard to read, with the settings of the reader.
pub(crate) struct SingleShard {
    pub(crate) target: Target,
    pub(crate) shard_id: ShardId,
    /// The range of hash keys of the shard; without it no record counts as a stray.
    pub(crate) range: Option<HashKeyRange>,
    pub(crate) begin: Begin,
    pub(crate) options: Options,
    /// The ARN of the consumer that subscribes; `None` if the shard is polled.
    pub(crate) consumer_arn: Option<Arc<str>>,
}

impl RawShardReader {
    /// Opens a reader. Its first call will fix the position. Also returns the start to open it at again, should it fail
    /// before the first record. If the records behind the start have expired, both begin where the policy says.
    pub(crate) async fn open(mut shard: SingleShard) -> Result<(Self, Begin), GetError> {
        let (target, policy) = (&shard.target, shard.options.on_trimmed);
        let counters = Counters::new(&target.stream);
        let latest = ServiceClock::unknown(target.clock.now()).reached;
        let (begin, is_gap) = begin_retained(target, &shard.shard_id, shard.begin, policy).await?;
        if is_gap {
            counters.on_gap();
        }
        shard.begin = begin.clone();
        let reader = Self::with_position(shard, Opened::Nothing, counters);
        Ok((reader, start_again(begin, latest)))
    }

    /// Opens a reader whose position is fixed by `opened`.
    pub(super) fn with_position(shard: SingleShard, opened: Opened, counters: Counters) -> Self {
        let SingleShard {
            target,
            shard_id,
            range,
            begin,
            mut options,
            consumer_arn,
        } = shard;
        let budget = options.poll_budget.as_ref();
        let polls = budget.filter(|_| consumer_arn.is_none());
        let polls = polls.map(PollBudget::share);
        // The settings may be shared with readers of other shards, but each learns its own ranges.
        options.ranges = Ranges::default();
        if let Some(range) = range {
            options.ranges.learn(&shard_id, range);
        }
        let (feed, outlet) = channel(&target.stream);
        let splitting = Splitting {
            keeps_aggregates: options.keeps_aggregates,
            drops_strays: options.drops_strays,
            ranges: options.ranges.clone(),
        };
        let (stream, news) = (target.stream.clone(), outlet.news.clone());
        let taker = Taker::new(stream, news, None, splitting, counters.clone());
        let span = tracing::info_span!("shard", stream = %target.stream, shard = %shard_id);
        let mut lineage = Lineage::new(Scope::Leased);
        lineage.add(&shard_id, &[], Role::Member);
        lineage.take_ready();
        let mut driver = Driver::new(Setup {
            target,
            options,
            feed,
            lineage,
            starts: HashMap::new(),
            bound: None,
            counters: counters.clone(),
            consumer_arn,
        });
        let (told, tip) = watch::channel(None);
        driver = driver.telling_tip(told);
        driver.read_shard(&shard_id, begin, opened);
        Self {
            shard_id,
            outlet,
            taker,
            counters,
            children: None,
            tip,
            driver: tokio::spawn(driver.run().instrument(span)),
            _polls: polls,
        }
    }

    /// Waits for the next item. Cancel safe. Must not be called again after the last item.
    pub(crate) async fn next(&mut self) -> ShardItem {
        match poll_fn(|context| self.poll_with(context, |taker| taker.next_raw().map(Ok))).await {
            Some(Ok((record, behind_latest))) => ShardItem::Record(record, behind_latest),
            Some(Err(error)) => ShardItem::Failed(error),
            None if self.children.is_some() => ShardItem::End,
            None => ShardItem::Failed(GetError::Interrupted {
                stream: self.taker.stream().clone(),
            }),
        }
    }

    /// Returns the time before which everything that arrived is in the open page or was given out. It changes now and then
    /// while no records come.
    pub(crate) fn tip(&self) -> watch::Receiver<Option<SystemTime>> {
        self.tip.clone()
    }

    /// Returns a view of the reader's lag and errors, for another task.
    pub(crate) fn gauge(&self) -> ReaderGauge {
        ReaderGauge::new(self.counters.clone(), self.shard_id.clone())
    }

    /// Returns the next record of the open page, if one is left.
    pub(crate) fn next_of_page(&mut self) -> Option<ShardItem> {
        let (record, behind_latest) = self.taker.next_raw()?;
        Some(ShardItem::Record(record, behind_latest))
    }

    /// Polls for the next item, which `take` takes from the open page; `None` after the last.
    pub(super) fn poll_with<T>(
        &mut self,
        context: &mut Context<'_>,
        take: impl Fn(&mut Taker) -> Option<Result<T, GetError>>,
    ) -> Poll<Option<Result<T, GetError>>> {
        let Self {
            taker,
            outlet,
            children,
            ..
        } = self;
        taker.poll_next(context, take, |context| {
            poll_page(outlet, children, context)
        })
    }

    pub(super) fn shard_id(&self) -> &ShardId {
        &self.shard_id
    }

    pub(super) fn children(&self) -> Option<&[ChildShard]> {
        self.children.as_deref()
    }
}

/// Polls for the next page of the shard. At its end it sets `children`.
fn poll_page(
    outlet: &mut Outlet,
    children: &mut Option<Vec<ChildShard>>,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Page, GetError>>> {
    if children.is_some() {
        return Poll::Ready(None);
    }
    Poll::Ready(match ready!(outlet.poll_next(context)) {
        Some(Delivery::Page(page)) => Some(Ok(page)),
        Some(Delivery::Failed(error)) => Some(Err(error)),
        Some(Delivery::ShardEnd { children: told, .. }) => {
            *children = Some(told);
            None
        }
        Some(Delivery::End) | None => None,
    })
}

impl Drop for RawShardReader {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
