//! The calls of a driver, and their answers.

use std::{future::Future, pin::Pin};

use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::driver::Driver;
use crate::{
    get::{
        checkpoint::{Checkpoint, CheckpointError},
        error::GetError,
        fetch,
        fetch::consumer,
        shard_reader::shard_reader::{Call, PAGES_MAX, ShardState},
    },
    service::{
        RecordPage, ServiceError, ShardIterator, StreamSummary, Subscription, SubscriptionEvent,
        list_all::list_all,
    },
    shard::{Shard, ShardId},
};

/// The largest number of calls of one reader that are in flight at a time.
const CALLS_MAX: usize = 128;

pub(super) type Calls = FuturesUnordered<Pin<Box<dyn Future<Output = Answer> + Send>>>;

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
    /// A listing, and whether the consumer is gone that was looked for.
    Shards(Result<Vec<Shard>, ServiceError>, bool),
    Summary(Result<StreamSummary, ServiceError>),
    Saved(Result<(), CheckpointError>),
    Loaded(Result<Vec<Checkpoint>, CheckpointError>),
}

impl Driver {
    pub(super) fn call_what_is_due(&mut self) -> Result<(), GetError> {
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

    /// Makes the shard's next call. Returns false if the budget does not allow it.
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

    fn save_if_due(&mut self, now: Instant) {
        if let Some(saver) = &self.options.saver
            && self.save_timer.begin_if_due(now)
        {
            let saver = saver.clone();
            self.calls
                .push(Box::pin(async move { Answer::Saved(saver.save().await) }));
        }
    }

    /// Lists the shards if the children of an ended one are not known yet, or if one is lost.
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
