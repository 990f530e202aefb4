//! What the driver knows, and what each event changes.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BinaryHeap, VecDeque},
    sync::{Arc, mpsc},
};

use tokio::time::Instant;

use super::{
    AttemptError,
    accepted::Accepted,
    collect::{Batch, Moment, REQUEST_RECORDS_MAX, Waiting, should_send},
    retry::{Verdict, is_worth_halving, verdict},
    send::Sent,
    settings::Settings,
    split::{Outcomes, split},
};
use crate::service::StoredAt;

/// While this many records wait to be sent again, no new ones are sent: a service that is overrun gets
/// through the old ones first.
const BACKLOG_RECORDS_MAX: usize = REQUEST_RECORDS_MAX;
/// The same limit in bytes.
const BACKLOG_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The state of one put pipeline between two events.
///
/// Every accepted record is in exactly one of `queue`, `waiting`, `halves`, `backlog`, or a request in
/// flight.
#[derive(Debug)]
pub(crate) struct State {
    settings: Arc<Settings>,
    /// Where puts leave their records.
    queue: mpsc::Receiver<Accepted>,
    /// Records to be sent, those that were sent before first.
    waiting: Waiting,
    /// Requests that were cut in two after the service refused them; each is sent as it is.
    halves: VecDeque<Batch>,
    /// Records that wait until they may be sent again.
    backlog: BinaryHeap<Reverse<Delayed>>,
    backlog_bytes: usize,
    /// How many records were ever in the backlog.
    backlog_count: u64,
    in_flight: usize,
    /// A request was answered since the last one was cut.
    answered: bool,
    rng: fastrand::Rng,
}

/// A record that is sent again at `due`.
#[derive(Debug)]
struct Delayed {
    due: Instant,
    /// Breaks ties: the one that failed first goes first.
    number: u64,
    record: Accepted,
}

impl State {
    pub(crate) fn new(
        settings: Arc<Settings>,
        queue: mpsc::Receiver<Accepted>,
        rng: fastrand::Rng,
    ) -> Self {
        Self {
            settings,
            queue,
            waiting: Waiting::default(),
            halves: VecDeque::new(),
            backlog: BinaryHeap::new(),
            backlog_bytes: 0,
            backlog_count: 0,
            in_flight: 0,
            answered: false,
            rng,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.settings.target.clock.instant()
    }

    /// Takes over what puts have left in the queue. Room bounds how much that is.
    pub(crate) fn take_new(&mut self) {
        while let Ok(record) = self.queue.try_recv() {
            self.waiting.push(record);
        }
    }

    /// Whether there is nothing to do until the next put.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight == 0
            && self.waiting.is_empty()
            && self.halves.is_empty()
            && self.backlog.is_empty()
    }

    /// The next request to send now, if one is to be sent.
    pub(crate) fn next_request(&mut self, now: Instant) -> Option<Batch> {
        self.take_due(now);
        if self.in_flight >= self.settings.options.requests_in_flight_max {
            return None;
        }
        let batch = match self.halves.pop_front() {
            Some(half) => half,
            None => self.cut(now)?,
        };
        self.in_flight += 1;
        self.answered = false;
        Some(batch)
    }

    fn cut(&mut self, now: Instant) -> Option<Batch> {
        let since = self.waiting.since()?;
        let retries_only = self.is_overrun();
        if retries_only && !self.waiting.begins_with_a_retry() {
            return None;
        }
        let moment = Moment {
            in_flight: self.in_flight,
            in_flight_max: self.settings.options.requests_in_flight_max,
            answered: self.answered,
            full: self.waiting.fills_a_request(),
            waited: now.duration_since(since),
            linger_max: self.settings.options.linger_max,
        };
        should_send(moment).then(|| self.waiting.cut(retries_only))
    }

    fn is_overrun(&self) -> bool {
        self.backlog.len() >= BACKLOG_RECORDS_MAX || self.backlog_bytes >= BACKLOG_BYTES_MAX
    }

    /// When something is to be done although nothing happens before.
    pub(crate) fn next_wake(&self) -> Option<Instant> {
        let retry = self.backlog.peek().map(|Reverse(next)| next.due);
        let may_send = self.in_flight < self.settings.options.requests_in_flight_max
            && (!self.is_overrun() || self.waiting.begins_with_a_retry());
        let linger = self.waiting.since().filter(|_| may_send);
        let linger = linger.map(|since| since + self.settings.options.linger_max);
        retry.into_iter().chain(linger).min()
    }

    /// The records whose time has come go before the new ones, the oldest first.
    fn take_due(&mut self, now: Instant) {
        let mut due = Vec::new();
        while let Some(Reverse(next)) = self.backlog.peek()
            && next.due <= now
            && let Some(Reverse(delayed)) = self.backlog.pop()
        {
            self.backlog_bytes -= delayed.record.record.size_bytes();
            due.push(delayed.record);
        }
        for record in due.into_iter().rev() {
            self.waiting.push_first(record);
        }
    }

    /// A request came back.
    pub(crate) fn on_sent(&mut self, sent: Sent, now: Instant) {
        self.in_flight -= 1;
        self.answered = true;
        // One for all: what failed together is sent again together.
        let jitter = self.rng.f64();
        let Sent { batch, outcome } = sent;
        match split(batch.len(), outcome) {
            Outcomes::Each(outcomes) => {
                for (record, outcome) in batch.into_iter().zip(outcomes) {
                    self.on_outcome(record, outcome, jitter, now);
                }
            }
            Outcomes::All(failure) if is_worth_halving(&failure, batch.len()) => self.halve(batch),
            Outcomes::All(failure) => {
                for record in batch {
                    self.on_failure(record, failure.clone(), jitter, now);
                }
            }
        }
    }

    /// A request was lost with its records: its task panicked.
    pub(crate) fn on_lost(&mut self) {
        self.in_flight -= 1;
        self.answered = true;
    }

    fn halve(&mut self, mut batch: Batch) {
        for record in &mut batch {
            record.attempt_was_not_about_it();
        }
        let second = batch.split_off(batch.len() / 2);
        self.halves.extend([batch, second]);
    }

    fn on_outcome(
        &mut self,
        record: Accepted,
        outcome: Result<StoredAt, AttemptError>,
        jitter: f64,
        now: Instant,
    ) {
        match outcome {
            Ok(at) => record.stored(at, 0, now),
            Err(failure) => self.on_failure(record, failure, jitter, now),
        }
    }

    fn on_failure(
        &mut self,
        mut record: Accepted,
        failure: AttemptError,
        jitter: f64,
        now: Instant,
    ) {
        record.attempt_failed(&failure, now);
        let unreached = record
            .unreached_since
            .map_or_else(Default::default, |since| now.duration_since(since));
        let verdict = verdict(
            &self.settings.options,
            &failure,
            record.attempts,
            unreached,
            jitter,
        );
        match verdict {
            Verdict::Again(wait) => self.delay(record, now + wait),
            Verdict::GiveUp => record.gave_up(failure),
            Verdict::Reject => record.rejected(failure),
        }
    }

    fn delay(&mut self, record: Accepted, due: Instant) {
        self.backlog_bytes += record.record.size_bytes();
        self.backlog_count += 1;
        let number = self.backlog_count;
        self.backlog.push(Reverse(Delayed {
            due,
            number,
            record,
        }));
    }

    /// Forgets what only a running driver can have, and gives back the records that it will not send.
    pub(crate) fn abandon(&mut self) -> Vec<Accepted> {
        self.take_new();
        self.in_flight = 0;
        self.answered = false;
        self.backlog_bytes = 0;
        let delayed = self.backlog.drain().map(|Reverse(delayed)| delayed.record);
        let halves = self.halves.drain(..).flatten();
        let mut abandoned: Vec<Accepted> = delayed.chain(halves).collect();
        abandoned.extend(std::mem::take(&mut self.waiting).into_records());
        abandoned
    }
}

impl Delayed {
    fn order(&self) -> (Instant, u64) {
        (self.due, self.number)
    }
}

impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Delayed {}
