//! What the driver knows, and what each event changes.

use std::{
    collections::VecDeque,
    sync::{Arc, mpsc},
};

use tokio::{sync::oneshot, time::Instant};

use super::on_shards::Unsettled;
use crate::put::{
    admission::{budget::Held, shared::Settings},
    error::Outage,
    options::Order,
    pending::{
        flush::{EpochEnd, Epochs},
        pending::{Accepted, Arrived},
        slab::Records,
    },
    queue::{queues::Lanes, retry_queue::Backlog, shard_queue::Cut},
    request::{
        entry::Entry,
        request::{REQUEST_RECORDS_MAX, Request, is_hasty},
    },
    shard_map::{refresh::Refresh, shard_map::HASHED_AT_ONCE},
};

/// While this many records wait to be sent again, no new ones are sent where nothing paces them: a service
/// that is overrun gets through the old ones first.
const BACKLOG_RECORDS_MAX: usize = REQUEST_RECORDS_MAX;
/// The same limit in bytes.
const BACKLOG_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What comes through the queue.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// A record to put.
    Put(Arrived),
    /// A flush asks what it has to wait for.
    Flush(oneshot::Sender<Barrier>),
}

/// The place of a flush among the records.
#[derive(Debug)]
pub(crate) struct Barrier {
    /// How many records were taken from the queue before it.
    pub(crate) taken: u64,
    /// What it has to wait for.
    pub(crate) ends: Vec<EpochEnd>,
}

impl Arrival {
    /// There is no state any more that would take it. Whoever waits for it gets an error.
    pub(crate) fn refused(self, settings: &Settings) {
        if let Self::Put(user) = self {
            user.refused(settings);
        }
    }
}

/// What a driver waits for besides answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wake {
    /// Something is to be done then although nothing happens before.
    pub(crate) at: Option<Instant>,
    /// Single puts change nothing before that time.
    pub(crate) patient: bool,
}

/// The state of one put pipeline between two events.
///
/// Every accepted record is in the `queue` or one of the `records`, with a ticket in exactly one of `lanes`, `backlog`,
/// `halves`, `unsettled`, or a request in flight.
#[derive(Debug)]
pub(crate) struct State {
    pub(super) settings: Arc<Settings>,
    /// Where puts leave their records.
    pub(super) queue: mpsc::Receiver<Arrival>,
    /// How many records were taken from it.
    pub(super) taken: u64,
    pub(super) records: Records,
    /// Records to be sent, those that were sent before first.
    pub(super) lanes: Lanes,
    /// Records that wait until they may be sent again.
    pub(super) backlog: Backlog,
    /// Requests that were cut in two after the service refused them; each is sent as it is.
    pub(super) halves: VecDeque<Vec<Entry>>,
    pub(super) unsettled: Unsettled,
    /// Since when the state rests with no driver, or did before the last event.
    pub(super) rested_at: Option<Instant>,
    pub(super) refresh: Refresh,
    pub(super) in_flight: usize,
    /// A request did not come back, so that its records have no tickets.
    pub(super) lost: bool,
    /// What keeps all requests from the service, and since when; `None` if the last one reached it.
    pub(super) outage: Option<(Outage, Instant)>,
    /// A request was answered since the last one was cut.
    pub(super) answered: bool,
    pub(super) epochs: Epochs,
    /// The room of records that were stored, given back after each event at once: whoever waits for room
    /// takes part in every return of it.
    pub(super) freed: Held,
    /// What the next wake was found to be, while nothing but puts that have to wait has happened since.
    pub(super) quiet: Option<Wake>,
    pub(super) rng: fastrand::Rng,
}

impl State {
    pub(crate) fn new(
        settings: Arc<Settings>,
        queue: mpsc::Receiver<Arrival>,
        rng: fastrand::Rng,
    ) -> Self {
        Self {
            lanes: Lanes::new(Arc::clone(&settings)),
            epochs: Epochs::new(Arc::clone(&settings)),
            freed: Held::default(),
            quiet: None,
            settings,
            queue,
            taken: 0,
            records: Records::default(),
            backlog: Backlog::default(),
            halves: VecDeque::new(),
            unsettled: Unsettled::default(),
            rested_at: None,
            refresh: Refresh::new(),
            in_flight: 0,
            lost: false,
            outage: None,
            answered: false,
            rng,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.settings.target.clock.instant()
    }

    /// Takes over what puts have left in the queue. Room bounds how much that is.
    pub(crate) fn take_new(&mut self) {
        loop {
            match self.queue.try_recv() {
                Ok(Arrival::Put(user)) => {
                    self.taken += 1;
                    self.lanes.take(user, self.epochs.current());
                    if self.lanes.taken() == HASHED_AT_ONCE {
                        self.place_taken();
                    }
                }
                Ok(Arrival::Flush(reply)) => {
                    self.rouse();
                    // Whoever waited for the flush may be gone.
                    let _ = reply.send(Barrier {
                        taken: self.taken,
                        ends: self.epochs.close(),
                    });
                }
                Err(_) => break,
            }
        }
        self.place_taken();
    }

    fn place_taken(&mut self) {
        if let Some((entered_at, filled)) = self.lanes.place_taken(&mut self.records) {
            self.disturb(entered_at, filled);
        }
    }

    /// Records have come: they may have to be sent at once, or not before the first has waited for others.
    fn disturb(&mut self, entered_at: Instant, filled: bool) {
        let options = &self.settings.options;
        let waits = !options.eager && self.lanes.is_placed();
        let full = filled || self.lanes.fills_a_request();
        if !waits || (full && self.in_flight < options.requests_in_flight_max) {
            return self.rouse();
        }
        let wait = options
            .record_ttl
            .map_or(options.linger_max, |ttl| ttl.min(options.linger_max));
        if let Some(wake) = &mut self.quiet {
            let due = entered_at + wait;
            wake.at = Some(wake.at.map_or(due, |at| at.min(due)));
            wake.patient = true;
        }
    }

    /// Something has happened that may call for something to be done.
    pub(crate) fn rouse(&mut self) {
        self.quiet = None;
    }

    /// Whether there is nothing to do but to wait.
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet.is_some()
    }

    /// Whether there is nothing to do until the next put.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight == 0
            && !self.refresh.is_reading()
            && self.lanes.is_empty()
            && self.halves.is_empty()
            && self.backlog.is_empty()
            && !self.unsettled.has_records()
    }

    /// The next request to send now, if one is to be sent.
    pub(crate) fn next_request(&mut self, now: Instant) -> Option<Request> {
        let due = self.backlog.take_due(now);
        self.lanes.push_first(due, &self.records);
        self.expire(now);
        if !self.may_send() {
            return None;
        }
        let request = match self.halves.pop_front() {
            Some(half) => {
                let mut request = Request::of(half);
                request.begin(&mut self.records);
                request
            }
            None if self.is_changing_lanes() => return None,
            None => self.cut(now)?,
        };
        self.in_flight += 1;
        self.answered = false;
        Some(request)
    }

    fn may_send(&self) -> bool {
        self.in_flight < self.settings.options.requests_in_flight_max && !self.lost
    }

    fn cut(&mut self, now: Instant) -> Option<Request> {
        let hurry = self.hurries();
        let retries_only = self.is_overrun();
        let mut request = self.lanes.cut(Cut {
            options: &self.settings.options,
            records: &self.records,
            now,
            hurry,
            retries_only,
        });
        let records = &mut self.records;
        request.begin(records);
        self.lanes.cut_fresh(&mut request, now, hurry, records);
        (!request.is_empty()).then_some(request)
    }

    /// Whether nothing is gained by gathering more records.
    fn hurries(&mut self) -> bool {
        let full = self.lanes.fills_a_request();
        let eager = self.settings.options.eager;
        self.epochs.is_flushing() || is_hasty(eager, self.in_flight, self.answered, full)
    }

    fn is_overrun(&self) -> bool {
        let many = self.backlog.records() >= BACKLOG_RECORDS_MAX
            || self.backlog.bytes() >= BACKLOG_BYTES_MAX;
        many && !self.lanes.is_placed()
    }

    pub(super) fn is_ordered(&self) -> bool {
        self.settings.options.order == Order::PerKey
    }

    /// To keep the order of a key that moves to another shard, nothing is sent until all that is in flight
    /// has arrived and the new map is known.
    fn is_changing_lanes(&self) -> bool {
        self.is_ordered() && self.lanes.is_placed() && self.refresh.is_under_way()
    }

    /// What to wait for.
    pub(crate) fn next_wake(&mut self) -> Wake {
        if let Some(wake) = self.quiet {
            return wake;
        }
        let now = self.now();
        let at = self.next_due(now);
        let soon = at.is_some_and(|at| at <= now + self.settings.options.linger_max);
        let waits = !self.settings.options.eager && self.lanes.is_placed();
        let wake = Wake {
            at,
            patient: waits && soon,
        };
        *self.quiet.insert(wake)
    }

    fn next_due(&mut self, now: Instant) -> Option<Instant> {
        let may_send = self.may_send() && !self.is_changing_lanes();
        let (hurry, retries_only) = (self.hurries(), self.is_overrun());
        let options = &self.settings.options;
        let cut = Cut {
            options,
            records: &self.records,
            now,
            hurry,
            retries_only,
        };
        let ripe = may_send.then(|| self.lanes.ripe_at(cut)).flatten();
        let expiry = options.record_ttl.and_then(|ttl| {
            let waiting = self.lanes.since(&self.records);
            let since = waiting.into_iter().chain(self.unsettled_since()).min();
            Some(since? + ttl)
        });
        [ripe, expiry, self.backlog.due(), self.refresh.begins_at()]
            .into_iter()
            .flatten()
            .min()
    }

    fn expire(&mut self, now: Instant) {
        let ttl = self.settings.options.record_ttl;
        if let Some(time) = ttl.and_then(|ttl| now.checked_sub(ttl)) {
            let mut old = self.lanes.take_until(time, &mut self.records);
            if self.unsettled.has_records() {
                old.extend(self.take_unsettled_until(time));
            }
            for user in old {
                self.settings.counters.expired.add(1);
                self.records.take(user).fate.expired(now);
            }
        }
    }

    /// What comes after a rest tries the endpoint anew.
    pub(crate) fn rested(&mut self) {
        self.outage = None;
        self.rested_at = Some(self.now());
        self.records.rest();
        self.lanes.rest();
    }

    pub(super) fn give_room_back(&mut self) {
        let freed = std::mem::take(&mut self.freed);
        self.settings.room.give_back(freed);
    }

    /// Forgets what only a running driver can have, and gives back the records that it will not send, or does not
    /// know the end of.
    pub(crate) fn abandon(&mut self) -> Vec<Accepted> {
        self.take_new();
        self.rouse();
        self.in_flight = 0;
        self.lost = false;
        self.answered = false;
        let now = self.now();
        self.refresh.interrupted(now);
        self.abandon_unsettled();
        let records = &mut self.records;
        for entry in self.halves.drain(..).flatten() {
            drop(entry.into_users(records));
        }
        drop(self.lanes.take_waiting(records));
        self.lanes.unblock();
        self.backlog.clear();
        self.records.take_all()
    }
}
