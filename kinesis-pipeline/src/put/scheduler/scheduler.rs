//! The scheduler: a state machine without I/O. Each event changes it; `now` is an argument.

use std::{collections::VecDeque, sync::Arc};

use tokio::time::Instant;

use super::on_shards::Unsettled;
use crate::put::{
    admission::{budget::Charge, shared::Shared},
    error::Outage,
    inbox::outlet::Outlet,
    options::Order,
    pending::{flush::FlushGroups, pending::PendingRecord, slab::RecordSlab},
    queue::{queues::ShardQueues, retry_queue::RetryQueue, shard_queue::Drain},
    request::{
        entry::Entry,
        request::{REQUEST_RECORDS_MAX, Request, sends_at_once},
    },
    shard_map::refresh::Refresh,
};

/// The number of waiting retries at which no new records are sent to a service whose shards are not paced: an overrun
/// service gets through the old records first.
const RETRY_RECORDS_MAX: usize = REQUEST_RECORDS_MAX;
/// The same limit in bytes.
const RETRY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The timer of the driver.
#[derive(Clone, Copy, Debug)]
pub(in crate::put) struct Wake {
    /// The time at which the driver has work even without an event.
    pub(in crate::put) at: Option<Instant>,
    /// Whether single puts need not wake the driver before that time.
    pub(in crate::put) coalesces: bool,
}

/// The state of one put pipeline between two events.
///
/// Every accepted record is in exactly one of the `inbox`, `queues`, `retry_queue`, `halves`, `unsettled`, or a request in
/// flight. A record of the slab (`records`) is there by its key.
///
/// The driver calls the methods in this order, again and again. None of them reads a clock: `now` is handed in.
///
/// | group | methods | file |
/// |---|---|---|
/// | records come | `take_new` | `scheduler` |
/// | calls to make | `begins_listing`, then `next_request` until there is none | `on_shards`, `scheduler` |
/// | sleep | `next_wake`, cached until `invalidate_wake` | `scheduler` |
/// | a request ended | `on_sent`; `on_lost` if its task panicked | `on_response` |
/// | a listing ended | `on_shards`; `on_no_shards` if its task panicked | `on_shards` |
/// | nothing is left | `is_idle`, then `parked` | `scheduler` |
/// | the runtime ends | `abandon` | `scheduler` |
#[derive(Debug)]
pub(in crate::put) struct Scheduler {
    pub(super) shared: Arc<Shared>,
    /// The queue of the pipeline: puts leave their records here.
    pub(super) inbox: Outlet,
    pub(super) records: RecordSlab,
    /// Records to send, retried ones first.
    pub(super) queues: ShardQueues,
    /// Records that wait until their back-off is over.
    pub(super) retry_queue: RetryQueue,
    /// The halves of requests that the service refused as a whole. Each is sent as it is.
    pub(super) halves: VecDeque<Vec<Entry>>,
    pub(super) unsettled: Unsettled,
    /// The begin of the last call that the stream has answered; `None` before the first.
    pub(super) answered_from: Option<Instant>,
    pub(super) refresh: Refresh,
    pub(super) in_flight: usize,
    /// Whether the task of a request was lost, with the keys of its records.
    pub(super) lost: bool,
    /// The outage that keeps all requests from the service, with its begin; `None` if the last one reached it.
    pub(super) outage: Option<(Outage, Instant)>,
    /// Whether a request was answered since the last one was built.
    pub(super) answered: bool,
    pub(super) flush_groups: FlushGroups,
    /// The budget of records that were stored, given back once after each event: each return may wake waiting puts.
    pub(super) freed: Charge,
    /// Cached result of `next_wake`; cleared by any event that could change it.
    pub(super) cached_wake: Option<Wake>,
    pub(super) rng: fastrand::Rng,
}

impl Scheduler {
    pub(in crate::put) fn new(shared: Arc<Shared>, inbox: Outlet, rng: fastrand::Rng) -> Self {
        Self {
            queues: ShardQueues::new(Arc::clone(&shared)),
            flush_groups: FlushGroups::new(Arc::clone(&shared)),
            freed: Charge::default(),
            cached_wake: None,
            records: RecordSlab::new(shared.options.uses_arenas()),
            shared,
            inbox,
            retry_queue: RetryQueue::default(),
            halves: VecDeque::new(),
            unsettled: Unsettled::default(),
            answered_from: None,
            refresh: Refresh::new(),
            in_flight: 0,
            lost: false,
            outage: None,
            answered: false,
            rng,
        }
    }

    /// Takes the records and flushes from the inbox. The memory budget bounds their number.
    pub(in crate::put) fn take_new(&mut self) {
        let mut arrivals = self.inbox.take();
        let records = &mut arrivals.records;
        // Before anything else: a record that has joined its group ends well, whatever happens to the driver.
        let mut joined = 0;
        for flush in arrivals.flushes.drain(..) {
            records.join(joined..flush.records_before, &self.flush_groups.current());
            joined = flush.records_before;
            self.invalidate_wake();
            // The future of the flush may have been dropped.
            let _ = flush.reply.send(self.flush_groups.close());
        }
        records.join(joined..records.len(), &self.flush_groups.current());
        if let Some(entered_at) = records.entered_at(0) {
            let filled = self.queues.take(records, &mut self.records);
            self.note_arrivals(entered_at, filled);
        }
        self.inbox.reuse(arrivals, self.queues.fresh_records());
    }

    /// Adjusts the cached wake to new records: they may have to be sent at once, or when the first has lingered.
    fn note_arrivals(&mut self, entered_at: Instant, filled: bool) {
        let options = &self.shared.options;
        let waits = !options.eager && self.queues.is_placed();
        let full = filled || self.queues.fills_a_request();
        if !waits || (full && self.in_flight < options.requests_in_flight_max) {
            return self.invalidate_wake();
        }
        let wait = options
            .record_ttl
            .map_or(options.linger_max, |ttl| ttl.min(options.linger_max));
        if let Some(wake) = &mut self.cached_wake {
            let due = entered_at + wait;
            wake.at = Some(wake.at.map_or(due, |at| at.min(due)));
            wake.coalesces = true;
        }
    }

    /// Drops the cached wake, because of an event that may change it.
    pub(in crate::put) fn invalidate_wake(&mut self) {
        self.cached_wake = None;
    }

    /// Whether no event has changed the wake since it was computed, so that there is nothing to do but to wait.
    pub(in crate::put) fn has_cached_wake(&self) -> bool {
        self.cached_wake.is_some()
    }

    /// Whether there is nothing to do until the next put.
    pub(in crate::put) fn is_idle(&self) -> bool {
        self.in_flight == 0
            && !self.refresh.is_reading()
            && self.queues.is_empty()
            && self.halves.is_empty()
            && self.retry_queue.is_empty()
            && !self.unsettled.has_records()
    }

    /// Returns the next request to send now, if one is ripe and may be sent.
    pub(in crate::put) fn next_request(&mut self, now: Instant) -> Option<Request> {
        let due = self.retry_queue.take_due(now);
        self.queues.push_first(due, &self.records);
        self.expire(now);
        if !self.may_send() {
            return None;
        }
        let mut request = match self.halves.pop_front() {
            Some(half) => {
                let mut request = Request::of(half);
                request.begin(&mut self.records);
                request
            }
            None if self.is_changing_queues() => return None,
            None => self.drain_request(now)?,
        };
        request.begun_at = Some(now);
        self.suspect_after_rest(now);
        self.in_flight += 1;
        self.answered = false;
        Some(request)
    }

    fn may_send(&self) -> bool {
        self.in_flight < self.shared.options.requests_in_flight_max && !self.lost
    }

    fn drain_request(&mut self, now: Instant) -> Option<Request> {
        let flush_now = self.flushes_now();
        let retries_only = self.is_overrun();
        let mut request = self.queues.drain(Drain {
            options: &self.shared.options,
            records: &self.records,
            now,
            flush_now,
            retries_only,
        });
        let records = &mut self.records;
        request.begin(records);
        self.queues
            .drain_fresh(&mut request, now, flush_now, records);
        (!request.is_empty()).then_some(request)
    }

    /// Whether waiting records are sent without lingering.
    fn flushes_now(&mut self) -> bool {
        let full = self.queues.fills_a_request();
        let eager = self.shared.options.eager;
        self.flush_groups.is_flushing() || sends_at_once(eager, self.in_flight, self.answered, full)
    }

    fn is_overrun(&self) -> bool {
        let load = self.retry_queue.load();
        let many = load.records >= RETRY_RECORDS_MAX || load.bytes >= RETRY_BYTES_MAX;
        many && !self.queues.is_placed()
    }

    pub(super) fn is_ordered(&self) -> bool {
        self.shared.options.order == Order::PerKey
    }

    /// Whether sending pauses because the shard map changes. To keep the order of a key that moves to another shard,
    /// nothing is sent until all requests in flight have ended and the new map is known.
    fn is_changing_queues(&self) -> bool {
        self.is_ordered() && self.queues.is_placed() && self.refresh.is_under_way()
    }

    /// Returns the time to wake at, and whether arrivals are coalesced until then.
    pub(in crate::put) fn next_wake(&mut self, now: Instant) -> Wake {
        if let Some(wake) = self.cached_wake {
            return wake;
        }
        let at = self.next_due(now);
        let soon = at.is_some_and(|at| at <= now + self.shared.options.linger_max);
        let waits = !self.shared.options.eager && self.queues.is_placed();
        let wake = Wake {
            at,
            coalesces: waits && soon,
        };
        *self.cached_wake.insert(wake)
    }

    fn next_due(&mut self, now: Instant) -> Option<Instant> {
        let may_send = self.may_send() && !self.is_changing_queues();
        let (flush_now, retries_only) = (self.flushes_now(), self.is_overrun());
        let options = &self.shared.options;
        let drain = Drain {
            options,
            records: &self.records,
            now,
            flush_now,
            retries_only,
        };
        let ripe = may_send.then(|| self.queues.ripe_at(drain)).flatten();
        let expiry = options.record_ttl.and_then(|ttl| {
            let waiting = self.queues.since(&self.records);
            let since = waiting.into_iter().chain(self.unsettled_since()).min();
            Some(since? + ttl)
        });
        [
            ripe,
            expiry,
            self.retry_queue.due(),
            self.refresh.begins_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn expire(&mut self, now: Instant) {
        let ttl = self.shared.options.record_ttl;
        if let Some(time) = ttl.and_then(|ttl| now.checked_sub(ttl)) {
            let mut old = self.queues.take_until(time, &mut self.records);
            if self.unsettled.has_records() {
                old.extend(self.take_unsettled_until(time));
            }
            for user in old {
                self.shared.counters.expired.add(1);
                self.records.take(user).completion.expired(now);
            }
        }
    }

    /// Resets what holds for one run of the driver only. The next put tries the endpoint anew.
    pub(in crate::put) fn parked(&mut self) {
        self.outage = None;
        self.inbox.park();
        self.records.park();
        self.queues.park();
    }

    pub(super) fn give_budget_back(&mut self) {
        let freed = std::mem::take(&mut self.freed);
        self.shared.budget.give_back(freed);
    }

    /// Resets the state after a driver was dropped with its requests in flight. Returns all records, to be failed by the
    /// caller: those that were not sent, and those whose outcome is not known.
    pub(in crate::put) fn abandon(&mut self, now: Instant) -> Vec<PendingRecord> {
        self.take_new();
        self.invalidate_wake();
        self.in_flight = 0;
        self.lost = false;
        self.answered = false;
        self.refresh.interrupted(now);
        self.abandon_unsettled();
        let records = &mut self.records;
        for entry in self.halves.drain(..).flatten() {
            drop(entry.into_users(records));
        }
        drop(self.queues.take_waiting(records));
        self.queues.unblock();
        self.retry_queue.clear();
        let abandoned = self.records.take_all();
        self.parked();
        abandoned
    }
}
