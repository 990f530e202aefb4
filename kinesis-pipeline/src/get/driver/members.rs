//! The shards that a driver reads, from their begin to their end.

use std::time::Duration;

use super::driver::Driver;
use crate::{
    get::{
        checkpoint::{Checkpoint, CheckpointPlace},
        fetch,
        plan::plan::Begin,
        shard_reader::{
            poll_pacer::PollPacer,
            shard_reader::{End, ShardState},
        },
    },
    service::{IteratorStart, ShardIterator},
    shard::ShardId,
};

/// The first call of a shard.
#[derive(Debug)]
pub(in crate::get) enum Opened {
    Nothing,
    Iterator(ShardIterator),
    Subscription(fetch::Subscribed),
}

impl Driver {
    /// Begins to read the shards whose parents have ended.
    pub(super) fn open_ready_shards(&mut self) {
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
        let parents = self.lineage.parents(shard_id).iter();
        let parents = parents.filter_map(|parent| self.ended.get(parent).copied());
        let parents: Vec<_> = parents.collect();
        if let (Some(saver), Some(mut checkpoint)) =
            (&self.options.saver, begin.checkpoint(shard_id))
        {
            // The records of the shard are younger than those of its parents. Without a time, a reader that is opened
            // later could not tell that the first of them have expired.
            let until = parents.iter().filter_map(|parent| parent.time).max();
            checkpoint.current_at = checkpoint.current_at.max(until);
            saver.progress.reach(checkpoint);
        }
        self.counters.on_begun(shard_id);
        let mut pace = PollPacer::new(self.poll_interval(), self.options.page_records_max);
        // A read with an end does not back off: it would notice its end later.
        if self.bound.is_none() {
            pace = match (self.options.poll_interval_max, &self.options.poll_budget) {
                (Some(longest), _) => pace.backing_off_to(longest),
                (None, Some(budget)) => pace.within(budget.clone()),
                (None, None) => pace,
            };
        }
        if self.options.ignores_limits {
            pace = pace.unlimited();
        }
        let (now, wall) = (self.target.clock.instant(), self.target.clock.now());
        let state = |iterator| {
            let state = ShardState::new(begin, iterator, pace, now).begun_at(wall);
            state.after_parents(&parents).until(self.bound)
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

    /// Returns the interval of polls: the shortest for a batch read, which then notices its end sooner.
    fn poll_interval(&self) -> Duration {
        match self.bound {
            Some(bound) if bound.time() <= self.target.clock.now() => Duration::ZERO,
            _ => self.options.poll_interval,
        }
    }

    /// Drops a shard whose stream was dropped by the owner.
    pub(super) fn on_left(&mut self, shard_id: &ShardId) {
        self.subscriptions.remove(shard_id);
        self.lost.remove(shard_id);
        if self.shards.remove(shard_id).is_some() {
            self.counters.on_left(shard_id, false);
            self.lineage.cut(shard_id);
        }
    }

    pub(super) fn on_taken(&mut self, shard_id: &ShardId, bytes: usize) {
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

    /// Ends the reading of a shard. Its children may be read.
    pub(super) fn let_go(&mut self, shard_id: &ShardId, end: End) {
        let ended = self.shards.remove(shard_id);
        self.subscriptions.remove(shard_id);
        self.lost.remove(shard_id);
        self.counters.on_left(shard_id, end == End::Closed);
        match end {
            // Its checkpoint tells where records are missing, and is removed once those of its children are saved. It
            // is not replaced by the shard's end, which was never read.
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
            End::Cut => {
                self.lineage.cut(shard_id);
                let current = ended.and_then(|state| state.left_current(shard_id));
                if let (Some(saver), Some(current)) = (&self.options.saver, current) {
                    saver.progress.reach(current);
                }
            }
        }
        tracing::debug!(stream = %self.target.stream, shard = %shard_id, ?end, "shard ended");
    }
}
