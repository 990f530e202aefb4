//! The loop of a reader: events in, calls out.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::SystemTime,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    budget::Budget,
    calls::{Answer, Calls},
    elsewhere::Elsewhere,
    listing::Listing,
    lost::Absence,
    retention::Retention,
    save_timer::SaveTimer,
};
use crate::{
    get::{
        dispatch::channel::{Delivery, Feed, News},
        error::GetError,
        plan::{
            options::Options,
            plan::{Begin, Bound},
        },
        shard_reader::shard_reader::{ReadUntil, ShardState},
        stats::Counters,
    },
    service::Subscription,
    shard::{SequenceNumber, Shard, ShardId, lineage::Lineage},
    target::Target,
};

/// The driver of one reader: it reads all shards, and is the only place of the get pipeline with effects.
///
/// Every member of the lineage that is being read has an entry in `shards`. A shard whose next call may be made stands
/// in `timers` until the call is due, and then in `due` until the budget allows it. An entry there that the shard's
/// state no longer agrees with is skipped when its turn comes.
pub(in crate::get) struct Driver {
    pub(super) target: Target,
    pub(super) options: Options,
    pub(super) feed: Feed,
    pub(super) lineage: Lineage,
    /// The start positions of members that have not been read; the others begin at their oldest record.
    pub(super) starts: HashMap<ShardId, Begin>,
    pub(super) bound: Option<Bound>,
    pub(super) shards: HashMap<ShardId, ShardState>,
    pub(super) timers: BTreeSet<(Instant, ShardId)>,
    pub(super) due: VecDeque<ShardId>,
    pub(super) budget: Budget,
    pub(super) listing: Listing,
    pub(super) elsewhere: Elsewhere,
    pub(super) save_timer: SaveTimer,
    pub(in crate::get) counters: Counters,
    /// Shards that the service does not know, until it answers about them again. Listings show whether they have expired.
    pub(super) lost: HashMap<ShardId, Absence>,
    pub(super) retention: Retention,
    /// The first sequence numbers of the listed shards, which tell them from those of another stream of the same name.
    pub(super) first_numbers: HashMap<ShardId, SequenceNumber>,
    /// The times up to which ended shards were read, for their children; kept until the shards expire.
    pub(super) ended: HashMap<ShardId, ReadUntil>,
    pub(super) calls: Calls,
    /// The ARN of the consumer that subscribes to shards; `None` if they are polled.
    pub(super) consumer_arn: Option<Arc<str>>,
    /// The subscriptions whose next events are not awaited, because the budget does not allow it.
    pub(super) subscriptions: HashMap<ShardId, Subscription>,
    /// The awaited events of the other subscriptions, at most one per shard. They may take long, so they do not count as
    /// calls.
    pub(super) events: Calls,
    /// The time before which everything that arrived was taken, for an owner who keeps checkpoints itself.
    pub(super) tip: Option<watch::Sender<Option<SystemTime>>>,
}

enum Event {
    Answer(Answer),
    News(News),
    Timer,
}

/// The parts of a driver that differ from reader to reader.
pub(in crate::get) struct Setup {
    pub(in crate::get) target: Target,
    pub(in crate::get) options: Options,
    pub(in crate::get) feed: Feed,
    pub(in crate::get) lineage: Lineage,
    pub(in crate::get) starts: HashMap<ShardId, Begin>,
    pub(in crate::get) bound: Option<Bound>,
    pub(in crate::get) counters: Counters,
    pub(in crate::get) consumer_arn: Option<Arc<str>>,
}

impl Driver {
    /// Makes a driver that reads nothing yet.
    pub(in crate::get) fn new(setup: Setup) -> Self {
        let Setup {
            target,
            options,
            feed,
            lineage,
            starts,
            bound,
            counters,
            consumer_arn,
        } = setup;
        Self {
            feed,
            lineage,
            starts,
            bound,
            shards: HashMap::new(),
            timers: BTreeSet::new(),
            due: VecDeque::new(),
            budget: Budget::new(options.prefetch_bytes_max),
            listing: Listing::new(),
            elsewhere: Elsewhere::default(),
            save_timer: SaveTimer::new(options.checkpoint_interval, target.clock.instant()),
            counters,
            lost: HashMap::new(),
            retention: Retention::default(),
            first_numbers: HashMap::new(),
            ended: HashMap::new(),
            calls: FuturesUnordered::new(),
            consumer_arn,
            subscriptions: HashMap::new(),
            events: FuturesUnordered::new(),
            tip: None,
            target,
            options,
        }
    }

    /// Returns the driver with the listing by which it was planned.
    pub(in crate::get) fn planned_by(mut self, shards: &[Shard]) -> Self {
        self.note_first_numbers(shards);
        self
    }

    /// Returns the driver of one shard, which tells when the shard was read to its tip.
    pub(in crate::get) fn telling_tip(mut self, tip: watch::Sender<Option<SystemTime>>) -> Self {
        self.tip = Some(tip);
        self
    }

    /// Reads until its end is reached, the owner stops it, or an error ends it. Then saves the owner's positions.
    pub(in crate::get) async fn run(mut self) {
        if let Err(error) = self.read().await {
            self.feed.send(Delivery::Failed(error));
        }
        self.counters.metrics().on_end();
        // Drops the calls in flight. Without this an older save (O) could run beside the last one (L): O takes position
        // 5, L takes 7, the store writes 7, the store writes 5, and records 6 and 7 are read again.
        self.calls.clear();
        self.events.clear();
        self.subscriptions.clear();
        if let Some(saver) = &self.options.saver
            && self.feed.drained().await
            && let Err(error) = saver.save_last().await
        {
            let error = GetError::checkpoint(&self.target.stream, error);
            self.feed.send(Delivery::Failed(error));
        }
        self.feed.send(Delivery::End);
    }

    async fn read(&mut self) -> Result<(), GetError> {
        loop {
            self.open_ready_shards();
            if self.lineage.is_finished() {
                return Ok(());
            }
            self.call_what_is_due()?;
            self.counters.metrics().on_prefetched(self.budget.used());
            match self.next_event().await {
                Event::Answer(answer) => self.on_answer(answer)?,
                Event::News(News::Took(taken)) => self.on_taken(&taken.shard_id, taken.bytes),
                Event::News(News::Left(shard_id)) => self.on_left(&shard_id),
                Event::News(News::Stop | News::Gone) => return Ok(()),
                Event::News(News::Waits(_)) | Event::Timer => {}
            }
        }
    }

    async fn next_event(&mut self) -> Event {
        let timer = self.timers.first().map(|(at, _)| *at);
        let save = self
            .options
            .saver
            .as_ref()
            .and_then(|_| self.save_timer.due());
        let wake_at = timer
            .into_iter()
            .chain(self.listing.due())
            .chain(self.elsewhere.due())
            .chain(save)
            .min();
        let timer = async {
            match wake_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            news = self.feed.next() => Event::News(news),
            Some(answer) = self.calls.next(), if !self.calls.is_empty() => Event::Answer(answer),
            Some(event) = self.events.next(), if !self.events.is_empty() => Event::Answer(event),
            () = timer => Event::Timer,
        }
    }

    pub(super) fn schedule(&mut self, shard_id: &ShardId) {
        if let Some(at) = self.shards.get(shard_id).and_then(ShardState::due) {
            self.timers.insert((at, shard_id.clone()));
        }
    }
}
