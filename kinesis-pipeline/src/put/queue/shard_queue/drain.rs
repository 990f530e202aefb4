//! The drain of one queue into a request: when its records are ripe, how many go, and how large they are together.

use std::time::Duration;

use tokio::time::Instant;

use super::ShardQueue;
use crate::put::{
    options::{Order, PutOptions},
    pending::slab::RecordSlab,
    queue::{load::Load, pacer::ShardPacer},
    request::{
        entry::{Entry, aggregate_size},
        request::{REQUEST_RECORDS_MAX, Request},
    },
};

/// The extra time that a paced queue waits, so that the records of other shards share its request.
const PACED_TOGETHER: Duration = Duration::from_millis(4);

/// The inputs of a drain that are the same for all queues.
#[derive(Clone, Copy, Debug)]
pub(in crate::put) struct Drain<'a> {
    pub(in crate::put) options: &'a PutOptions,
    /// The storage of the records.
    pub(in crate::put) records: &'a RecordSlab,
    pub(in crate::put) now: Instant,
    /// Whether records are sent without lingering.
    pub(in crate::put) flush_now: bool,
    /// Whether only retried records are sent.
    pub(in crate::put) retries_only: bool,
}

impl ShardQueue {
    /// Whether the first record was sent before.
    fn was_sent(&self, records: &RecordSlab) -> bool {
        let first = self.waiting.front();
        first.is_some_and(|first| records[first].completion.attempts > 0)
    }

    /// Returns the time at which records of the queue may be sent; `None`: not before another event.
    pub(in crate::put::queue) fn ripe_at(&self, drain: Drain<'_>) -> Option<Instant> {
        let since = self.since(drain.records)?;
        let was_sent = self.was_sent(drain.records);
        if self.busy || (drain.retries_only && !was_sent) {
            return None;
        }
        let gathered_at = if drain.flush_now || was_sent || self.is_full(drain.options) {
            drain.now
        } else {
            since + drain.options.linger_max
        };
        let paced = self.paced_at().map(|at| {
            if at > drain.now {
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

    /// Returns the time at which the shard's bucket has tokens for the next records.
    fn paced_at(&self) -> Option<Instant> {
        let pace = self.pace.as_ref()?;
        Some(match self.next_aggregate() {
            Some(next) => pace.ready_at(1, next.bytes()),
            None if self.aggregate => pace.ready_at(1, self.load.bytes),
            None => pace.ready_at(self.load.records, self.load.bytes),
        })
    }

    /// Whether the queue already fills a request or an aggregate.
    pub(super) fn is_full(&self, options: &PutOptions) -> bool {
        if self.aggregate {
            return !self.full.is_empty() || self.load.bytes >= options.aggregate_bytes_max;
        }
        self.load.bytes >= options.request_bytes_max || self.load.records >= REQUEST_RECORDS_MAX
    }

    /// Moves records that may be sent now into the request. Returns whether the request has room for more.
    pub(in crate::put::queue) fn drain(&mut self, request: &mut Request, drain: Drain<'_>) -> bool {
        if self.load.records == 0 {
            return true;
        }
        if let Some(pace) = &mut self.pace {
            pace.refill(drain.now);
        }
        if self.ripe_at(drain).is_none_or(|at| at > drain.now) {
            return true;
        }
        self.blocked_until = None;
        let mut began = false;
        while self.has_more(drain) {
            let (count, bytes) = self.next_size(drain);
            // Only the first one may overdraw the bucket: the tokens that are left are better spent on a full aggregate
            // later.
            if began && self.paced_bytes() < bytes {
                break;
            }
            began = true;
            if !request.fits(bytes) {
                return false;
            }
            if let Some(entry) = self.take(count, bytes) {
                self.sending(&entry, drain.options);
                request.push(entry);
            }
        }
        true
    }

    /// Whether another Kinesis record may be taken after the first.
    fn has_more(&self, drain: Drain<'_>) -> bool {
        let was_sent = || self.was_sent(drain.records);
        let lingered = || {
            let since = self.since(drain.records);
            since.is_some_and(|since| drain.now >= since + drain.options.linger_max)
        };
        let gathered =
            || drain.flush_now || was_sent() || self.is_full(drain.options) || lingered();
        self.load.records > 0
            && !self.busy
            && self.pace.as_ref().is_none_or(ShardPacer::allows)
            && (!drain.retries_only || was_sent())
            && (!self.aggregate || gathered())
    }

    /// Returns the number of user records in the next Kinesis record, and the upper bound of its size in bytes.
    fn next_size(&self, drain: Drain<'_>) -> (usize, usize) {
        if self.aggregate && !self.waiting.is_empty() {
            let records = self.waiting.iter().map(|user| &drain.records[user].record);
            let bytes_max = drain.options.aggregate_bytes_max.min(self.paced_bytes());
            return aggregate_size(records, bytes_max);
        }
        let lone = self.waiting.front().map(|user| (1, user.bytes()));
        let builder = || {
            self.next_aggregate()
                .map(|builder| (builder.len(), builder.bytes()))
        };
        lone.or_else(builder).unwrap_or_default()
    }

    fn paced_bytes(&self) -> usize {
        self.pace.as_ref().map_or(usize::MAX, ShardPacer::bytes)
    }

    fn take(&mut self, count: usize, bytes: usize) -> Option<Entry> {
        if self.waiting.is_empty() {
            let open = || self.open.take().map(Box::new);
            let builder = self.full.pop_front().or_else(open)?;
            self.load -= Load {
                records: builder.len(),
                bytes: builder.user_bytes(),
            };
            return Some(Entry::aggregated(self.id, builder));
        }
        if count == 1 {
            return Some(Entry::lone(self.id, self.pop()?));
        }
        let users: Vec<_> = self.waiting.drain(..count).collect();
        self.load -= Load::of(&users);
        Some(Entry::many(self.id, users, bytes))
    }

    fn sending(&mut self, entry: &Entry, options: &PutOptions) {
        self.busy = options.order == Order::PerKey;
        if let Some(pace) = &mut self.pace {
            pace.spend(entry.bytes());
        }
    }
}
