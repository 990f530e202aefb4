//! The queue of one shard.

mod drain;

use std::collections::VecDeque;

use tokio::time::Instant;

use super::{
    load::Load,
    pacer::{QUANTUM_BYTES, ShardPacer},
};
use crate::{
    prefetch::Touched,
    put::{
        options::{Order, PutOptions},
        pending::{
            pending::{Completion, PendingRecord},
            slab::{RecordKey, RecordSlab},
        },
        request::{
            aggregate::AggregateBuilder,
            entry::{Entry, QueueId},
        },
    },
    record::Encoded,
    shard::ShardId,
};
pub(in crate::put) use drain::Drain;

/// The capacity that an empty queue keeps while the pipeline is parked.
const RECORDS_KEPT: usize = 64;

/// The records that wait for one shard, or for any shard where records are not placed, the next one first.
///
/// The fields that every record reads come first, so that they share few cache lines: with hundreds of shards, the
/// queue of a record is rarely in the cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub(in crate::put) struct ShardQueue {
    pub(super) id: QueueId,
    load: Load,
    /// Whether several records may share a Kinesis record.
    aggregate: bool,
    /// Whether an entry is in flight that the next one waits for ([`Order::PerKey`]).
    busy: bool,
    /// Whether it is in the list of queues that are drained into requests.
    pub(super) is_listed: bool,
    /// The shard; `None` if the service finds it.
    pub(super) shard_id: Option<ShardId>,
    /// The token bucket; `None` if the shard has no limits or is not known.
    pub(in crate::put) pace: Option<ShardPacer>,
    /// The time before which nothing is sent: the back-off of the first record ([`Order::PerKey`]).
    blocked_until: Option<Instant>,
    /// Records that are sent before those in `full` and `open`: records that go as they are, that keep an order, or that
    /// are retried.
    waiting: VecDeque<RecordKey>,
    /// Aggregates that are full ...
    full: VecDeque<Box<AggregateBuilder>>,
    /// ... and the one behind them, which takes more records.
    open: Option<AggregateBuilder>,
}

impl ShardQueue {
    pub(super) fn new(
        id: QueueId,
        shard_id: Option<ShardId>,
        pace: Option<ShardPacer>,
        aggregate: bool,
    ) -> Self {
        Self {
            id,
            shard_id,
            waiting: VecDeque::new(),
            full: VecDeque::new(),
            open: None,
            load: Load::default(),
            pace,
            aggregate,
            busy: false,
            is_listed: false,
            blocked_until: None,
        }
    }

    /// Prefetches the memory that [`takes_fresh`](Self::takes_fresh) and [`stored`](Self::stored) will read.
    pub(super) fn prefetch(&self) -> Touched {
        let queue = Touched::read(self.load.records);
        let pace = self.pace.as_ref();
        pace.map_or(queue, |pace| queue.and(pace.prefetch()))
    }

    /// Whether a record of this size may be sent without waiting for the shard. If so, its tokens are taken.
    #[inline]
    pub(super) fn takes_fresh(&mut self, bytes: usize, now: Instant) -> bool {
        if self.load.records > 0 {
            return false;
        }
        let Some(pace) = &mut self.pace else {
            return true;
        };
        pace.refill(now);
        let is_allowed = pace.allows();
        if is_allowed {
            pace.spend(bytes);
        }
        is_allowed
    }

    /// Prefetches the memory that a [`push`](Self::push) of this record will read.
    #[inline]
    pub(super) fn prefetch_open(&self, record: Encoded<'_>) -> Touched {
        let open = self.open.as_ref();
        open.map_or(Touched::NOTHING, |open| open.prefetch(record))
    }

    /// Puts a record into the queue. Returns whether that filled the queue.
    pub(super) fn push(
        &mut self,
        mut user: PendingRecord,
        options: &PutOptions,
        records: &mut RecordSlab,
    ) -> bool {
        if self.packs(options) {
            return self.pack((&user.record).into(), &mut user.completion, options);
        }
        let was_full = self.is_full(options);
        self.load += Load::record(user.record.size_bytes());
        self.waiting.push_back(records.hold(user));
        !was_full && self.is_full(options)
    }

    /// Whether records are written into aggregates as they come. With an order, one aggregate is in flight at a time. It is
    /// built when it is sent, of as many records as the shard takes then.
    pub(super) fn packs(&self, options: &PutOptions) -> bool {
        self.aggregate && options.order == Order::None
    }

    /// Writes a record into the open aggregate, and takes its completion. Returns whether that filled the queue.
    #[inline]
    pub(super) fn pack(
        &mut self,
        record: Encoded<'_>,
        completion: &mut Completion,
        options: &PutOptions,
    ) -> bool {
        let was_full = self.is_full(options);
        self.load += Load::record(record.size_bytes());
        let paced_max = self.pace.as_ref().map_or(usize::MAX, |_| QUANTUM_BYTES);
        let bytes_max = options.aggregate_bytes_max.min(paced_max);
        match &mut self.open {
            None => self.open = Some(AggregateBuilder::new(record, completion)),
            Some(open) => {
                if !open.push(record, completion, bytes_max) {
                    let next = open.next(record, completion);
                    let full = std::mem::replace(open, next);
                    self.full.push_back(Box::new(full));
                }
            }
        }
        !was_full && self.is_full(options)
    }

    /// Puts a record back before all others.
    pub(super) fn push_first(&mut self, user: RecordKey) {
        self.load += Load::record(user.bytes());
        self.waiting.push_front(user);
    }

    /// Appends a record that is being retried after the other retried records.
    pub(super) fn push_sent(&mut self, user: RecordKey) {
        self.load += Load::record(user.bytes());
        self.waiting.push_back(user);
    }

    pub(super) fn load(&self) -> Load {
        self.load
    }

    /// Counts the load anew, to check the account.
    #[cfg(test)]
    pub(super) fn counted(&self) -> Load {
        let builders = self.full.iter().map(|builder| &**builder).chain(&self.open);
        let packed = builders.map(|builder| Load {
            records: builder.len(),
            bytes: builder.user_bytes(),
        });
        packed.chain([Load::of(&self.waiting)]).sum()
    }

    /// Takes all records, in their order.
    pub(super) fn take_all(&mut self, records: &mut RecordSlab) -> VecDeque<RecordKey> {
        self.split_aggregates_while(records, |_| true);
        self.load = Load::default();
        std::mem::take(&mut self.waiting)
    }

    /// Frees memory of an empty queue, when the pipeline parks.
    pub(super) fn park(&mut self) {
        self.waiting.shrink_to(RECORDS_KEPT);
    }

    /// Takes the records at the front that were accepted at `time` or before.
    pub(super) fn take_until(&mut self, time: Instant, records: &mut RecordSlab) -> Vec<RecordKey> {
        self.split_aggregates_while(records, |builder| {
            builder.since().is_some_and(|since| since <= time)
        });
        let mut older = Vec::new();
        while let Some(first) = self.waiting.front()
            && records[first].completion.entered_at <= time
        {
            older.extend(self.pop());
        }
        older
    }

    /// Splits the first aggregates into records again, as long as they are meant.
    fn split_aggregates_while(
        &mut self,
        records: &mut RecordSlab,
        is_meant: impl Fn(&AggregateBuilder) -> bool,
    ) {
        while let Some(builder) = self.full.pop_front_if(|builder| is_meant(builder)) {
            self.waiting
                .extend(records.hold_all(builder.into_records()));
        }
        if self.full.is_empty()
            && let Some(builder) = self.open.take_if(|builder| is_meant(builder))
        {
            self.waiting
                .extend(records.hold_all(builder.into_records()));
        }
    }

    /// Returns the aggregate that is sent next, unless other records are sent before it.
    fn next_aggregate(&self) -> Option<&AggregateBuilder> {
        let first = self.full.front().map(|builder| &**builder);
        first
            .or(self.open.as_ref())
            .filter(|_| self.waiting.is_empty())
    }

    /// Returns the time at which the first record was accepted.
    pub(super) fn since(&self, records: &RecordSlab) -> Option<Instant> {
        match self.waiting.front() {
            Some(first) => Some(records[first].completion.entered_at),
            None => self.next_aggregate()?.since(),
        }
    }

    fn pop(&mut self) -> Option<RecordKey> {
        let user = self.waiting.pop_front()?;
        self.load -= Load::record(user.bytes());
        Some(user)
    }

    /// Notes an entry in flight that a shard has stored.
    pub(super) fn stored(&mut self, entry: &Entry) {
        self.returned(entry);
        if let Some(pace) = &mut self.pace {
            pace.stored();
        }
    }

    /// Notes the end of an entry's attempt, and gives back the tokens that it did not need.
    pub(in crate::put) fn returned(&mut self, entry: &Entry) {
        self.busy = false;
        if let Some(pace) = &mut self.pace {
            pace.give_back(entry.overcharged_bytes());
        }
    }

    /// Lets the queue send again though its request in flight was lost.
    pub(super) fn unblock(&mut self) {
        self.busy = false;
    }

    /// Sends nothing of this queue before `time` ([`Order::PerKey`]).
    pub(in crate::put) fn block_until(&mut self, time: Instant) {
        self.blocked_until = Some(time);
    }
}
