//! The records that wait for one shard.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{
    collect::{REQUEST_BYTES_MAX, REQUEST_RECORDS_MAX, Request},
    entry::{Entry, LaneId, aggregate_size},
    options::{Order, PutOptions},
    pace::Pace,
    records::{Records, Ticket},
};
use crate::shard::ShardId;

/// Whoever has to wait for a shard's pace waits so much longer: what other shards take meanwhile shares the request.
const PACED_TOGETHER: Duration = Duration::from_millis(4);

/// The records that wait for one shard, or for any where records are not placed, the next one first.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) id: LaneId,
    /// `None`: the service finds the shard.
    pub(crate) shard_id: Option<ShardId>,
    waiting: VecDeque<Ticket>,
    bytes: usize,
    /// `None`: there is no telling which shard is how busy.
    pub(crate) pace: Option<Pace>,
    /// May several records of it share a Kinesis record.
    aggregate: bool,
    /// With [`Order::PerKey`], an entry is in flight.
    busy: bool,
    /// With [`Order::PerKey`], the first record is sent again then.
    blocked_until: Option<Instant>,
}

/// What is the same for all lanes when a request is cut.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut<'a> {
    pub(crate) options: &'a PutOptions,
    /// What the tickets stand for.
    pub(crate) records: &'a Records,
    pub(crate) now: Instant,
    /// Nothing is gained by waiting for more records.
    pub(crate) hurry: bool,
    /// Only records that were sent before.
    pub(crate) retries_only: bool,
}

impl Lane {
    pub(crate) fn new(
        id: LaneId,
        shard_id: Option<ShardId>,
        pace: Option<Pace>,
        aggregate: bool,
    ) -> Self {
        Self {
            id,
            shard_id,
            waiting: VecDeque::new(),
            bytes: 0,
            pace,
            aggregate,
            busy: false,
            blocked_until: None,
        }
    }

    /// Returns whether that filled the lane.
    pub(crate) fn push(&mut self, user: Ticket, options: &PutOptions) -> bool {
        let was_full = self.is_full(options);
        self.bytes += user.bytes();
        self.waiting.push_back(user);
        !was_full && self.is_full(options)
    }

    /// Puts a record before all others: it was there before.
    pub(crate) fn push_first(&mut self, user: Ticket) {
        self.bytes += user.bytes();
        self.waiting.push_front(user);
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes all records.
    pub(crate) fn take_all(&mut self) -> VecDeque<Ticket> {
        self.bytes = 0;
        std::mem::take(&mut self.waiting)
    }

    /// Takes the first record if it was accepted at `time` or before.
    pub(crate) fn take_until(&mut self, time: Instant, records: &Records) -> Option<Ticket> {
        self.since(records).filter(|since| *since <= time)?;
        self.pop()
    }

    /// When the first record was accepted.
    pub(crate) fn since(&self, records: &Records) -> Option<Instant> {
        self.waiting.front().map(|user| records[user].entered_at)
    }

    /// From when on records of it may be sent; `None`: not before something happens.
    pub(crate) fn ripe_at(&self, cut: Cut<'_>) -> Option<Instant> {
        let first = &cut.records[self.waiting.front()?];
        if self.busy || (cut.retries_only && first.attempts == 0) {
            return None;
        }
        let gathered_at = if cut.hurry || first.attempts > 0 || self.is_full(cut.options) {
            cut.now
        } else {
            first.entered_at + cut.options.linger_max
        };
        let records = if self.aggregate { 1 } else { self.len() };
        let paced = self
            .pace
            .as_ref()
            .map(|pace| pace.ready_at(records, self.bytes))
            .map(|at| {
                if at > cut.now {
                    at + PACED_TOGETHER
                } else {
                    at
                }
            });
        [Some(gathered_at), paced, self.blocked_until]
            .into_iter()
            .flatten()
            .max()
    }

    /// Whether nothing is gained for this lane by waiting for more records.
    fn is_full(&self, options: &PutOptions) -> bool {
        let bytes_max = if self.aggregate {
            options.aggregate_bytes_max
        } else {
            REQUEST_BYTES_MAX
        };
        self.bytes >= bytes_max || (!self.aggregate && self.len() >= REQUEST_RECORDS_MAX)
    }

    /// Moves records that may be sent now into the request. Returns whether the request has room for more.
    pub(crate) fn cut(&mut self, request: &mut Request, cut: Cut<'_>) -> bool {
        if self.waiting.is_empty() {
            return true;
        }
        if let Some(pace) = &mut self.pace {
            pace.refill(cut.now);
        }
        if self.ripe_at(cut).is_none_or(|at| at > cut.now) {
            return true;
        }
        self.blocked_until = None;
        let mut began = false;
        while self.has_more(cut) {
            let (count, bytes) = self.next_size(cut);
            // Only the first may overdraw: what is left of the pace is better spent on a full record later.
            if began && self.paced_bytes() < bytes {
                break;
            }
            began = true;
            if !request.fits(bytes) {
                return false;
            }
            if let Some(entry) = self.take(count, bytes) {
                self.sending(&entry, cut.options);
                request.push(entry);
            }
        }
        true
    }

    /// Whether another Kinesis record may be cut, once one may.
    fn has_more(&self, cut: Cut<'_>) -> bool {
        let Some(first) = self.waiting.front() else {
            return false;
        };
        let was_sent = || cut.records[first].attempts > 0;
        let gathered = || {
            cut.hurry
                || was_sent()
                || self.is_full(cut.options)
                || cut.now >= cut.records[first].entered_at + cut.options.linger_max
        };
        !self.busy
            && self.pace.as_ref().is_none_or(Pace::allows)
            && (!cut.retries_only || was_sent())
            && (!self.aggregate || gathered())
    }

    /// How many records the next Kinesis record has, and how many bytes at most.
    fn next_size(&self, cut: Cut<'_>) -> (usize, usize) {
        if self.aggregate {
            let records = self.waiting.iter().map(|user| &cut.records[user].record);
            let bytes_max = cut.options.aggregate_bytes_max.min(self.paced_bytes());
            return aggregate_size(records, bytes_max);
        }
        (1, self.waiting.front().map_or(0, Ticket::bytes))
    }

    fn paced_bytes(&self) -> usize {
        self.pace.as_ref().map_or(usize::MAX, Pace::bytes)
    }

    fn take(&mut self, count: usize, bytes: usize) -> Option<Entry> {
        let first = self.pop()?;
        if count == 1 {
            return Some(Entry::lone(self.id, first));
        }
        let rest: Vec<_> = self.waiting.drain(..count - 1).collect();
        self.bytes -= rest.iter().map(Ticket::bytes).sum::<usize>();
        Some(Entry::of(self.id, first, rest, bytes))
    }

    fn pop(&mut self) -> Option<Ticket> {
        let user = self.waiting.pop_front()?;
        self.bytes -= user.bytes();
        Some(user)
    }

    fn sending(&mut self, entry: &Entry, options: &PutOptions) {
        self.busy = options.order == Order::PerKey;
        if let Some(pace) = &mut self.pace {
            pace.spend(entry.bytes);
        }
    }

    /// An entry of it is no longer in flight.
    pub(crate) fn returned(&mut self, entry: &Entry) {
        self.busy = false;
        if let Some(pace) = &mut self.pace {
            pace.give_back(entry.overcharged_bytes());
        }
    }

    /// What was in flight is lost.
    pub(crate) fn unblock(&mut self) {
        self.busy = false;
    }

    /// With [`Order::PerKey`]: nothing of it is sent before.
    pub(crate) fn block_until(&mut self, time: Instant) {
        self.blocked_until = Some(time);
    }
}
