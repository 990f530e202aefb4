//! The queues of all records that wait to be sent, one for each shard.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use tokio::time::Instant;

use super::{
    columns::RecordColumns,
    load::Load,
    shard_queue::{Drain, ShardQueue},
};
use crate::{
    prefetch::{Touched, prefetch},
    put::{
        admission::shared::Shared,
        pending::{
            pending::{Completion, PendingRecord},
            slab::{RecordKey, RecordSlab},
        },
        request::{
            entry::QueueId,
            request::{REQUEST_RECORDS_MAX, Request},
        },
        shard_map::{
            known::KnownShards,
            shard_map::{HASHED_AT_ONCE, Placement},
        },
    },
    record::Encoded,
};

/// The queues of a pipeline, and the placement that decides the queue of a record.
#[derive(Debug)]
pub(in crate::put) struct ShardQueues {
    pub(super) shared: Arc<Shared>,
    pub(super) placement: Placement,
    pub(super) known: KnownShards,
    /// The queues by index: at least one, except while the shard map is awaited.
    pub(super) all: Vec<ShardQueue>,
    /// Records that are sent as they are, without an order. Whether their shards have tokens for them is checked when a
    /// request is built; those that have to wait go to their queues then.
    pub(super) fresh: RecordColumns,
    /// The load of the queues and of `fresh`.
    pub(super) load: Load,
    /// Records that arrived before the first shard map.
    pub(super) unplaced: VecDeque<RecordKey>,
    /// The number of shard maps so far: tells the queues of one map from those of the next.
    pub(super) map: u32,
    /// The indices of the queues that have or had records, in the order of their turns. Empty queues cost no time, and
    /// each of the others gets its turn.
    pub(super) filled: VecDeque<usize>,
}

impl ShardQueues {
    /// Makes queues that wait for a shard map, or one queue if records are not placed by shard.
    pub(in crate::put) fn new(shared: Arc<Shared>) -> Self {
        let placed = shared.options.placed;
        let mut queues = Self {
            shared,
            placement: Placement::Awaited,
            known: KnownShards::default(),
            all: Vec::new(),
            fresh: RecordColumns::default(),
            load: Load::default(),
            unplaced: VecDeque::new(),
            map: 0,
            filled: VecDeque::new(),
        };
        if !placed {
            queues.place_nothing(Placement::Never, &mut RecordSlab::default());
        }
        queues
    }

    /// Takes the records that have arrived, and gives each its queue. Returns whether they filled a queue, so that it can be
    /// sent without lingering.
    pub(in crate::put) fn take(
        &mut self,
        arrived: &mut RecordColumns,
        records: &mut RecordSlab,
    ) -> bool {
        let windows = windows(arrived.len());
        if self.takes_fresh() {
            windows.for_each(|window| arrived.find_hash_keys(window));
            self.load += arrived.load();
            arrived.move_to(&mut self.fresh);
            return false;
        }
        let mut filled = false;
        for window in windows {
            // The windows before were taken out.
            filled |= self.take_first(arrived, window.len(), records);
        }
        filled
    }

    /// Gives the first `count` records their queues. Returns whether they filled one.
    fn take_first(
        &mut self,
        arrived: &mut RecordColumns,
        count: usize,
        records: &mut RecordSlab,
    ) -> bool {
        if self.shared.options.placed {
            arrived.find_hash_keys(0..count);
        }
        let mut filled = false;
        if self.packs() {
            let mut indices = self.prefetch_queues(arrived, count).into_iter();
            arrived.drain(count, |record, completion| {
                let index = indices.next().unwrap_or(0);
                filled |= self.pack(index, record, completion);
            });
            return filled;
        }
        for user in std::iter::from_fn(|| arrived.pop()).take(count) {
            filled |= self.push(user, records);
        }
        filled
    }

    /// Returns the indices of the queues that the first records go to, and prefetches their memory.
    fn prefetch_queues(&self, arrived: &RecordColumns, count: usize) -> Vec<usize> {
        let index = |completion: &Completion| self.placement.index_of(completion.hash_key());
        let first = || arrived.iter().take(count);
        let indices: Vec<_> = first()
            .map(|(_, completion)| index(completion).unwrap_or(0))
            .collect();
        let queues = indices.iter().zip(first());
        prefetch(queues.map(|(&index, (record, _))| {
            let queue = self.all.get(index);
            queue.map_or(Touched::NOTHING, |queue| queue.prefetch_open(record))
        }));
        indices
    }

    /// Puts a record into its queue. Returns whether that filled the queue.
    pub(super) fn push(&mut self, user: PendingRecord, records: &mut RecordSlab) -> bool {
        let Some(index) = self.placement.index_of(user.completion.hash_key()) else {
            self.unplaced.push_back(records.hold(user));
            return false;
        };
        self.load += Load::record(user.record.size_bytes());
        if self.takes_fresh() {
            let record = user.record;
            let explicit = user.completion.explicit_hash_key();
            debug_assert_eq!(record.explicit_hash_key, explicit, "one record");
            let (data, partition_key) = (record.data, record.partition_key);
            self.fresh.push(data, partition_key, user.completion);
            return false;
        }
        let queue = to_fill(&mut self.all, &mut self.filled, index);
        queue.push(user, &self.shared.options, records)
    }

    /// Whether records are written into the aggregates of their queues.
    fn packs(&self) -> bool {
        let queue = self.all.first();
        queue.is_some_and(|queue| queue.packs(&self.shared.options))
    }

    /// Writes a record into the aggregate of the queue with this index. Returns whether that filled the queue.
    fn pack(&mut self, index: usize, record: Encoded<'_>, completion: &mut Completion) -> bool {
        self.load += Load::record(record.size_bytes());
        let queue = to_fill(&mut self.all, &mut self.filled, index);
        queue.pack(record, completion, &self.shared.options)
    }

    /// Appends a record that is being retried to a shard's queue, behind the other retried records.
    pub(super) fn push_sent(&mut self, index: usize, user: RecordKey) {
        self.load += Load::record(user.bytes());
        to_fill(&mut self.all, &mut self.filled, index).push_sent(user);
    }

    /// Checks the load of each queue and that of all against their records.
    #[cfg(test)]
    pub(in crate::put) fn assert_account(&self) {
        let mut sum = self.fresh.load();
        for queue in &self.all {
            assert_eq!(queue.load(), queue.counted(), "{:?}", queue.shard_id);
            sum += queue.load();
        }
        assert_eq!(self.load, sum);
    }

    fn filled(&self) -> impl Iterator<Item = &ShardQueue> {
        self.filled.iter().map(|&index| &self.all[index])
    }

    /// Returns the number of records that wait in queues.
    fn in_queues(&self) -> usize {
        self.load.records - self.fresh.len()
    }

    /// Puts records back to the front of their queues, in their order.
    pub(in crate::put) fn push_first(&mut self, users: Vec<RecordKey>, records: &RecordSlab) {
        for user in users.into_iter().rev() {
            match self
                .placement
                .index_of(records[&user].completion.hash_key())
            {
                Some(index) => {
                    self.load += Load::record(user.bytes());
                    to_fill(&mut self.all, &mut self.filled, index).push_first(user);
                }
                None => self.unplaced.push_front(user),
            }
        }
    }

    /// Returns the queue that an entry came from, unless the shard map has changed since.
    pub(in crate::put) fn queue_of(&mut self, id: QueueId) -> Option<&mut ShardQueue> {
        self.all.get_mut(id.index()).filter(|queue| queue.id == id)
    }

    /// Whether records wait that a shard map would place.
    pub(in crate::put) fn lacks_shards(&self) -> bool {
        self.placement.lacks_shards() && !self.is_empty()
    }

    /// Whether the shards could not be listed.
    pub(in crate::put) fn is_unlisted(&self) -> bool {
        matches!(self.placement, Placement::Unlisted)
    }

    /// Whether the service distributes the records by itself.
    pub(in crate::put) fn is_auto(&self) -> bool {
        matches!(self.placement, Placement::Auto { .. })
    }

    pub(in crate::put) fn is_placed(&self) -> bool {
        matches!(self.placement, Placement::ByShard(_))
    }

    pub(in crate::put) fn is_empty(&self) -> bool {
        self.unplaced.is_empty() && self.load.records == 0
    }

    /// Whether the waiting records of all shards fill a request.
    pub(in crate::put) fn fills_a_request(&self) -> bool {
        self.load.bytes >= self.shared.options.request_bytes_max
            || (!self.shared.options.aggregate && self.load.records >= REQUEST_RECORDS_MAX)
    }

    /// Builds the next request of the queues that are ripe; it may be empty.
    pub(in crate::put) fn drain(&mut self, drain: Drain<'_>) -> Request {
        let expected = if self.shared.options.aggregate {
            self.all.len()
        } else {
            self.load.records
        };
        let mut request = Request::expecting(
            expected.min(self.load.records),
            self.shared.options.request_bytes_max,
        );
        for _ in 0..self.filled.len() {
            let Some(index) = self.filled.pop_front() else {
                break;
            };
            let queue = &mut self.all[index];
            let before = queue.load();
            let has_budget = queue.drain(&mut request, drain);
            let after = queue.load();
            self.load -= before;
            self.load += after;
            if !has_budget && after == before {
                // A queue whose first record did not fit is the first one of the next request.
                self.filled.push_front(index);
                return request;
            }
            if !has_budget {
                // A queue that had its turn goes behind the others. Otherwise one that always has more than a request
                // takes would make them wait for ever.
                self.filled.push_back(index);
                return request;
            }
            queue.is_listed = after.records > 0;
            if queue.is_listed {
                self.filled.push_back(index);
            }
        }
        request
    }

    /// Returns the time at which the next records are ripe.
    pub(in crate::put) fn ripe_at(&self, drain: Drain<'_>) -> Option<Instant> {
        let fresh = self.fresh_ripe_at(drain.now, drain.flush_now);
        if self.in_queues() == 0 {
            return fresh;
        }
        let queues = self.filled().filter_map(|queue| queue.ripe_at(drain));
        queues.chain(fresh).min()
    }

    /// Returns the time at which the oldest waiting record was accepted: it is the first one of a queue.
    pub(in crate::put) fn since(&self, records: &RecordSlab) -> Option<Instant> {
        let unplaced = self
            .unplaced
            .front()
            .map(|user| records[user].completion.entered_at);
        self.filled()
            .filter_map(|queue| queue.since(records))
            .chain(unplaced)
            .chain(self.fresh.entered_at(0))
            .min()
    }

    /// Takes the records that were accepted at `time` or before from the fronts of the queues.
    pub(in crate::put) fn take_until(
        &mut self,
        time: Instant,
        records: &mut RecordSlab,
    ) -> Vec<RecordKey> {
        let mut older = Vec::new();
        while self
            .unplaced
            .front()
            .is_some_and(|user| records[user].completion.entered_at <= time)
        {
            older.extend(self.unplaced.pop_front());
        }
        while self.fresh.entered_at(0).is_some_and(|at| at <= time)
            && let Some(user) = self.fresh.pop()
        {
            self.load -= Load::record(user.record.size_bytes());
            older.push(records.hold(user));
        }
        if self.in_queues() == 0 {
            return older;
        }
        for &index in &self.filled {
            let queue = &mut self.all[index];
            self.load -= queue.load();
            older.extend(queue.take_until(time, records));
            self.load += queue.load();
        }
        older
    }

    /// Lets all queues send again whose requests in flight were lost.
    pub(in crate::put) fn unblock(&mut self) {
        self.all.iter_mut().for_each(ShardQueue::unblock);
    }

    /// Frees memory of empty queues, when the pipeline parks.
    pub(in crate::put) fn park(&mut self) {
        self.fresh.shrink_to(REQUEST_RECORDS_MAX);
        self.all.iter_mut().for_each(ShardQueue::park);
    }

    /// Takes all records, in the order of each queue.
    pub(in crate::put) fn take_waiting(&mut self, records: &mut RecordSlab) -> Vec<RecordKey> {
        self.load = Load::default();
        let mut waiting = Vec::new();
        for queue in &mut self.all {
            waiting.extend(queue.take_all(records));
        }
        waiting.extend(std::iter::from_fn(|| self.fresh.pop()).map(|user| records.hold(user)));
        waiting.extend(self.unplaced.drain(..));
        waiting
    }
}

/// Divides the first `count` records into windows whose hash keys are found at once.
fn windows(count: usize) -> impl Iterator<Item = Range<usize>> {
    let starts = (0..count).step_by(HASHED_AT_ONCE);
    starts.map(move |start| start..count.min(start + HASHED_AT_ONCE))
}

/// Returns a queue that is about to get a record, and adds it to the list of those that have some.
pub(super) fn to_fill<'a>(
    all: &'a mut [ShardQueue],
    filled: &mut VecDeque<usize>,
    index: usize,
) -> &'a mut ShardQueue {
    let queue = &mut all[index];
    if !std::mem::replace(&mut queue.is_listed, true) {
        filled.push_back(index);
    }
    queue
}
