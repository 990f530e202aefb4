//! The records that wait for one shard.

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
            pending::PendingRecord,
            slab::{RecordKey, RecordSlab},
        },
        request::{
            aggregate::AggregateBuilder,
            entry::{Entry, QueueId},
        },
    },
    record::EncodedRecord,
    shard::ShardId,
};
pub(in crate::put) use drain::Drain;

/// So many places are kept for records when none waits.
const RECORDS_KEPT: usize = 64;

/// The records that wait for one shard, or for any where records are not placed, the next one first.
///
/// A record that needs no waiting finds its queue anywhere among hundreds: what it needs stands first, in few lines of
/// the cache.
#[derive(Debug)]
#[repr(C, align(64))]
pub(in crate::put) struct ShardQueue {
    pub(super) id: QueueId,
    load: Load,
    /// May several records of it share a Kinesis record.
    aggregate: bool,
    /// With [`Order::PerKey`], an entry is in flight.
    busy: bool,
    /// It is among the queues that are looked at when a request is cut.
    pub(super) is_listed: bool,
    /// `None`: there is no telling which shard is how busy.
    pub(in crate::put) pace: Option<ShardPacer>,
    /// `None`: the service finds the shard.
    pub(super) shard_id: Option<ShardId>,
    /// With [`Order::PerKey`], the first record is sent again then.
    blocked_until: Option<Instant>,
    /// Records that go as they are, that keep an order, or that were here before all in `builders`.
    waiting: VecDeque<RecordKey>,
    /// Records that share Kinesis records that are full ...
    full: VecDeque<Box<AggregateBuilder>>,
    /// ... and those behind them, which others may join.
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

    /// Reads what [`takes_fresh`](Self::takes_fresh) and [`stored`](Self::stored) will need.
    pub(super) fn prefetch(&self) -> Touched {
        let shard = self.shard_id.as_ref().map_or(0, |id| id.as_str().len());
        let pace = self.pace.as_ref().map_or(0, ShardPacer::bytes);
        Touched::read(self.load.records.wrapping_add(pace).wrapping_add(shard))
    }

    /// Whether a record may be sent without waiting for the shard, which is charged for it then.
    pub(super) fn takes_fresh(&mut self, user: &PendingRecord, now: Instant) -> bool {
        if self.load.records > 0 {
            return false;
        }
        let Some(pace) = &mut self.pace else {
            return true;
        };
        pace.refill(now);
        let is_allowed = pace.allows();
        if is_allowed {
            pace.spend(user.record.size_bytes());
        }
        is_allowed
    }

    /// Reads what a [`push`](Self::push) of this record will need.
    #[inline]
    pub(super) fn prefetch_open(&self, record: &EncodedRecord) -> Touched {
        let open = self.open.as_ref();
        open.map_or(Touched::NOTHING, |open| open.prefetch(record))
    }

    /// Returns whether that filled the queue.
    pub(super) fn push(
        &mut self,
        user: PendingRecord,
        options: &PutOptions,
        records: &mut RecordSlab,
    ) -> bool {
        let was_full = self.is_full(options);
        self.load += Load::record(user.record.size_bytes());
        // In order, an aggregate is made when it is sent: of as much as the shard takes then, since there is one at a
        // time.
        if self.aggregate && options.order == Order::None {
            self.push_aggregated(user, options);
        } else {
            self.waiting.push_back(records.hold(user));
        }
        !was_full && self.is_full(options)
    }

    fn push_aggregated(&mut self, user: PendingRecord, options: &PutOptions) {
        let paced_max = self.pace.as_ref().map_or(usize::MAX, |_| QUANTUM_BYTES);
        let bytes_max = options.aggregate_bytes_max.min(paced_max);
        let Some(open) = &mut self.open else {
            self.open = Some(AggregateBuilder::new(user));
            return;
        };
        if let Some(user) = open.push(user, bytes_max) {
            let next = open.next(user);
            let full = std::mem::replace(open, next);
            self.full.push_back(Box::new(full));
        }
    }

    /// Puts a record before all others: it was there before.
    pub(super) fn push_first(&mut self, user: RecordKey) {
        self.load += Load::record(user.bytes());
        self.waiting.push_front(user);
    }

    /// Puts a record that was sent before behind those of which that is true too.
    pub(super) fn push_sent(&mut self, user: RecordKey) {
        self.load += Load::record(user.bytes());
        self.waiting.push_back(user);
    }

    pub(super) fn load(&self) -> Load {
        self.load
    }

    /// Counts again what waits.
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

    /// There will be nothing to send for a while.
    pub(super) fn park(&mut self) {
        self.waiting.shrink_to(RECORDS_KEPT);
    }

    /// Takes the records that were accepted at `time` or before, as far as no younger one stands before them.
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

    /// Makes records of the first builders.
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

    /// The records that share the next Kinesis record, if none goes before them.
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

    /// An entry of it is no longer in flight: a shard has stored it.
    pub(super) fn stored(&mut self, entry: &Entry) {
        self.returned(entry);
        if let Some(pace) = &mut self.pace {
            pace.stored();
        }
    }

    /// An entry of it is no longer in flight.
    pub(in crate::put) fn returned(&mut self, entry: &Entry) {
        self.busy = false;
        if let Some(pace) = &mut self.pace {
            pace.give_back(entry.overcharged_bytes());
        }
    }

    /// Forgets the requests in flight.
    pub(super) fn unblock(&mut self) {
        self.busy = false;
    }

    /// With [`Order::PerKey`]: nothing of it is sent before.
    pub(in crate::put) fn block_until(&mut self, time: Instant) {
        self.blocked_until = Some(time);
    }
}
