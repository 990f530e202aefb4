use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use super::{
    budget::Budget, elsewhere::Elsewhere, listing::Listing, lost::Absence, retention::Retention,
    save_timer::SaveTimer,
};
use crate::{
    get::{
        checkpoint::{Checkpoint, CheckpointError, CheckpointPlace},
        dispatch::channel::{Delivery, Feed, News},
        error::GetError,
        fetch,
        fetch::consumer,
        plan::{
            options::Options,
            plan::{Begin, Bound},
        },
        shard_reader::{
            poll_pacer::PollPacer,
            shard_reader::{Call, End, PAGES_MAX, ReadUntil, ShardState},
        },
        stats::Counters,
    },
    service::{
        IteratorStart, RecordPage, ServiceError, ShardIterator, StreamSummary, Subscription,
        SubscriptionEvent, list_all::list_all,
    },
    shard::{Shard, ShardId, lineage::Lineage},
    target::Target,
};

/// The most calls of one reader that are in flight at a time.
const CALLS_MAX: usize = 128;

/// Reads all shards of one reader: the only place of the get pipeline that has effects.
///
/// Every member of the lineage that is being read has an entry in `shards`. A shard whose next call may be
/// made stands in `timers` until the call is due and in `due` until there is room for it; an entry that the
/// shard's state no longer agrees with is skipped when its turn comes.
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
    /// Shards that the service says it does not know, until it answers about them again. Listings tell whether they
    /// have expired.
    pub(super) lost: HashMap<ShardId, Absence>,
    pub(super) retention: Retention,
    /// The times up to which ended shards were read, for their children; kept until the shards expire.
    pub(super) ended: HashMap<ShardId, ReadUntil>,
    pub(super) calls: Calls,
    /// The ARN of the consumer that subscribes to shards; without one they are polled.
    pub(super) consumer_arn: Option<Arc<str>>,
    /// The subscriptions that nothing is awaited from, because there is no room.
    pub(super) subscriptions: HashMap<ShardId, Subscription>,
    /// The next events of the others: at most one per shard. They may be long in coming, so they do not count
    /// as calls.
    pub(super) events: Calls,
}

pub(super) type Calls = FuturesUnordered<Pin<Box<dyn Future<Output = Answer> + Send>>>;

/// The first call of a shard.
#[derive(Debug)]
pub(in crate::get) enum Opened {
    Nothing,
    Iterator(ShardIterator),
    Subscription(fetch::Subscribed),
}

/// The answer to a call in flight.
pub(in crate::get) enum Answer {
    Iterator {
        shard_id: ShardId,
        result: Result<ShardIterator, ServiceError>,
    },
    Page {
        shard_id: ShardId,
        reserved: usize,
        result: Result<RecordPage, ServiceError>,
    },
    Subscribed {
        shard_id: ShardId,
        result: Result<fetch::Subscribed, ServiceError>,
    },
    Event {
        shard_id: ShardId,
        subscription: Subscription,
        result: Result<Option<SubscriptionEvent>, ServiceError>,
    },
    /// A listing, and whether the consumer that was looked for is gone.
    Shards(Result<Vec<Shard>, ServiceError>, bool),
    Summary(Result<StreamSummary, ServiceError>),
    Saved(Result<(), CheckpointError>),
    Loaded(Result<Vec<Checkpoint>, CheckpointError>),
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
    /// A driver that reads nothing yet.
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
            ended: HashMap::new(),
            calls: FuturesUnordered::new(),
            consumer_arn,
            subscriptions: HashMap::new(),
            events: FuturesUnordered::new(),
            target,
            options,
        }
    }

    /// Reads until everything wanted was read, the owner stops it, or an error ends it; then saves how far the
    /// owner has come.
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
            && let Err(error) = saver.save().await
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

    /// Begins to read the shards whose parents have ended.
    fn open_ready_shards(&mut self) {
        while let Some(shard_id) = self.lineage.take_ready() {
            let begin = self.starts.remove(&shard_id);
            let begin = begin.unwrap_or(IteratorStart::TrimHorizon.into());
            if !self.waits_elsewhere(&shard_id, &begin) {
                self.begin_shard(&shard_id, begin);
            }
        }
    }

    pub(super) fn begin_shard(&mut self, shard_id: &ShardId, begin: Begin) {
        self.read_shard(shard_id, begin, Opened::Nothing);
    }

    /// Begins to read a shard with what was `opened` for it, or from `begin` if nothing was.
    pub(in crate::get) fn read_shard(&mut self, shard_id: &ShardId, begin: Begin, opened: Opened) {
        if let (Some(saver), Some(checkpoint)) = (&self.options.saver, begin.checkpoint(shard_id)) {
            saver.progress.reach(checkpoint);
        }
        self.counters.on_begun(shard_id);
        let mut pace = PollPacer::new(self.poll_interval(), self.options.page_records_max);
        // A read that has an end is over the sooner it knows that it has reached it.
        if let (Some(longest), None) = (self.options.poll_interval_max, self.bound) {
            pace = pace.backing_off_to(longest);
        }
        if self.options.ignores_limits {
            pace = pace.unlimited();
        }
        let (now, wall) = (self.target.clock.instant(), self.target.clock.now());
        let parents = self.lineage.parents(shard_id).iter();
        let parents = parents.filter_map(|parent| self.ended.get(parent).copied());
        let state = |iterator| {
            let state = ShardState::new(begin, iterator, pace, now).begun_at(wall);
            state.after_parents(parents).until(self.bound)
        };
        let state = match opened {
            Opened::Iterator(iterator) => state(Some(iterator)),
            Opened::Nothing if self.consumer_arn.is_none() => state(None),
            Opened::Nothing => state(None).by_fan_out(self.options.is_leased),
            Opened::Subscription(subscribed) => {
                let mut state = state(None).by_fan_out(self.options.is_leased);
                state.on_subscribed(now, subscribed.asked_at);
                self.subscriptions
                    .insert(shard_id.clone(), subscribed.subscription);
                state
            }
        };
        self.shards.insert(shard_id.clone(), state);
        self.schedule(shard_id);
    }

    /// A batch read is over the sooner it knows that it has reached its end.
    fn poll_interval(&self) -> Duration {
        match self.bound {
            Some(bound) if bound.time() <= self.target.clock.now() => Duration::ZERO,
            _ => self.options.poll_interval,
        }
    }

    pub(super) fn schedule(&mut self, shard_id: &ShardId) {
        if let Some(at) = self.shards.get(shard_id).and_then(ShardState::due) {
            self.timers.insert((at, shard_id.clone()));
        }
    }

    fn call_what_is_due(&mut self) -> Result<(), GetError> {
        let now = self.target.clock.instant();
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            self.due
                .extend(self.timers.pop_first().map(|(_, shard_id)| shard_id));
        }
        while let Some(shard_id) = self.due.front().cloned() {
            if self.calls.len() >= CALLS_MAX || !self.call_shard(&shard_id, now)? {
                break;
            }
            self.due.pop_front();
        }
        self.list_if_due(now);
        self.look_elsewhere_if_due(now);
        self.save_if_due(now);
        Ok(())
    }

    /// Makes the shard's next call. Returns false if there is no room for it.
    fn call_shard(&mut self, shard_id: &ShardId, now: Instant) -> Result<bool, GetError> {
        let share = self.budget.share(self.shards.len(), PAGES_MAX);
        let due = self.shards.get(shard_id).and_then(ShardState::due);
        if due.is_none_or(|at| at > now) || !self.is_retained(shard_id, now)? {
            return Ok(true);
        }
        let Some(state) = self.shards.get_mut(shard_id) else {
            return Ok(true);
        };
        let target = self.target.clone();
        let shard_id = shard_id.clone();
        match state.next_call(now, share) {
            None => return Ok(true),
            Some(Call::Iterator(start)) => self.calls.push(Box::pin(async move {
                let result = fetch::get_iterator(&target, shard_id.clone(), start).await;
                Answer::Iterator { shard_id, result }
            })),
            Some(Call::Page { iterator, size }) => {
                if !self.budget.reserve(size.bytes) {
                    return Ok(false);
                }
                let counters = self.counters.clone();
                self.calls.push(Box::pin(async move {
                    let page = fetch::get_page(&target, iterator, size.records_max);
                    let result = counters.metrics().timed(&target.clock, page).await;
                    Answer::Page {
                        shard_id,
                        reserved: size.bytes,
                        result,
                    }
                }));
            }
            Some(Call::Subscribe(start)) => {
                self.subscribe(shard_id, start, now);
                return Ok(true);
            }
            Some(Call::Event) => return Ok(self.await_event(shard_id, now)),
            Some(Call::Unsubscribe) => {
                self.unsubscribe(&shard_id, now);
                return Ok(true);
            }
        }
        state.on_called(now, self.target.clock.now());
        Ok(true)
    }

    /// Drops a shard whose reader is gone.
    fn on_left(&mut self, shard_id: &ShardId) {
        self.subscriptions.remove(shard_id);
        self.lost.remove(shard_id);
        if self.shards.remove(shard_id).is_some() {
            self.counters.on_left(shard_id, false);
            self.lineage.cut(shard_id);
        }
    }

    fn on_taken(&mut self, shard_id: &ShardId, bytes: usize) {
        self.budget.release(bytes);
        if let Some(state) = self.shards.get_mut(shard_id) {
            state.on_taken();
        }
        self.go_on(shard_id);
    }

    /// Schedules the shard's next call, or lets go of a shard that has ended and was taken to its end.
    pub(super) fn go_on(&mut self, shard_id: &ShardId) {
        let Some(end) = self.shards.get(shard_id).and_then(ShardState::end) else {
            return self.schedule(shard_id);
        };
        self.let_go(shard_id, end);
    }

    /// Is done with a shard: its children may be read.
    pub(super) fn let_go(&mut self, shard_id: &ShardId, end: End) {
        let ended = self.shards.remove(shard_id);
        self.subscriptions.remove(shard_id);
        self.lost.remove(shard_id);
        self.counters.on_left(shard_id, end == End::Closed);
        match end {
            // Its checkpoint says where records are missing. It goes once those of its children are there; that the
            // shard was read to its end would not be true.
            End::Expired => {
                self.lineage.end(shard_id);
                if let Some(saver) = &self.options.saver {
                    saver.forget([shard_id.clone()]);
                }
            }
            End::Closed => {
                let read_until = ended.map(|state| (shard_id.clone(), state.read_until()));
                self.ended.extend(read_until);
                self.lineage.end(shard_id);
                if let Some(saver) = &self.options.saver {
                    let end = CheckpointPlace::ShardEnd;
                    saver.progress.reach(Checkpoint::new(shard_id.clone(), end));
                    self.save_timer.hurry(self.target.clock.instant());
                }
            }
            End::Cut => self.lineage.cut(shard_id),
        }
        tracing::debug!(stream = %self.target.stream, shard = %shard_id, ?end, "shard ended");
    }

    fn save_if_due(&mut self, now: Instant) {
        if let Some(saver) = &self.options.saver
            && self.save_timer.begin_if_due(now)
        {
            let saver = saver.clone();
            self.calls
                .push(Box::pin(async move { Answer::Saved(saver.save().await) }));
        }
    }

    /// Lists the shards when an ended one's children are not known yet, or when one is lost.
    fn list_if_due(&mut self, now: Instant) {
        let is_wanted = self.lineage.is_looking_for_children() || !self.lost.is_empty();
        if self.listing.begin_if_due(is_wanted, now) {
            let target = self.target.clone();
            let consumer = self.lost_consumer();
            self.calls.push(Box::pin(async move {
                let list = list_all(&*target.service, &target.stream);
                let shards = fetch::in_time("ListShards", &*target.service, list).await;
                let is_consumer_gone = match consumer {
                    Some(name) => consumer::is_gone(&target, &name).await,
                    None => false,
                };
                Answer::Shards(shards, is_consumer_gone)
            }));
        }
    }
}
