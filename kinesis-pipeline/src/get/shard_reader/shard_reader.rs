use std::time::{Duration, SystemTime};

pub(in crate::get) use super::expiry::ReadUntil;
pub(in crate::get) use super::fan_out::FALL_BACK_AFTER;
use super::{
    fan_out::{PAUSE_MAX, Subscriptions},
    lag::LagWatch,
    poll_pacer::{PageFacts, PageSize, PollPacer},
    retry::{Failures, RetryDecision},
};
use tokio::time::Instant;

use crate::{
    get::{
        checkpoint::{Checkpoint, CheckpointPlace},
        dispatch::deaggregate::Finished,
        plan::{
            begin::SKEW_MAX,
            plan::{Begin, Bound, start_again},
        },
    },
    service::{ChildShard, ErrorClass, IteratorStart, RecordPage, ServiceError, ShardIterator},
    shard::SequenceNumber,
};

/// The largest number of pages of a shard at a time: one that waits to be taken, and one in flight.
pub(in crate::get) const PAGES_MAX: usize = 2;
/// The memory of a record besides its bytes.
const RECORD_OVERHEAD_BYTES: usize = 160;

/// The state of one shard: the fetched position, the call in flight, the time of the next call.
///
/// A state machine without effects. The driver asks for the next call ([`due`](Self::due),
/// [`next_call`](Self::next_call)), notes it ([`on_called`](Self::on_called)), and reports the answer
/// ([`on_iterator`](Self::on_iterator), [`on_page`](Self::on_page), [`on_error`](Self::on_error)) and each page that was
/// taken ([`on_taken`](Self::on_taken)).
#[derive(Debug)]
pub(in crate::get) struct ShardState {
    /// The start position while no record was fetched.
    pub(super) begin: Begin,
    /// The fetched position: the last record, or a later number of an event. An expired iterator, or a subscription that
    /// ended, is replaced by one after it.
    pub(super) read_to: Option<SequenceNumber>,
    /// The arrival time of the last record that was fetched, now or before the reader was opened.
    pub(super) arrived_at: Option<SystemTime>,
    /// The time up to which records that arrived were fetched.
    pub(super) read_until: ReadUntil,
    /// The last time at which the shard was noted as current.
    pub(super) told_current_at: Option<Instant>,
    pub(super) cursor: Cursor,
    /// The call in flight. There is one at a time.
    pub(super) call: Option<Called>,
    /// The time of the last call.
    pub(super) last_call_at: Option<Instant>,
    /// The number of records that the call in flight asks for.
    pub(super) records_asked: u32,
    /// The number of pages that wait to be taken.
    pub(super) pages_out: usize,
    /// The earliest time of the next call.
    pub(super) due: Instant,
    pub(super) pace: PollPacer,
    pub(super) lag: LagWatch,
    pub(super) failures: Failures,
    /// The end of the reading, if it may come before that of the shard.
    pub(super) bound: Option<Bound>,
    /// The subscriptions; `None` if the shard is polled.
    pub(super) fan_out: Option<Subscriptions>,
    /// The children by the last page or event, until the end of the shard is delivered.
    pub(in crate::get) children: Vec<ChildShard>,
}

#[derive(Debug)]
pub(super) enum Cursor {
    /// None: a new iterator or subscription is needed.
    Lost,
    At(ShardIterator),
    /// A subscription, which the driver has.
    Subscribed,
    Ended(End),
}

/// The end of a shard's reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::get) enum End {
    /// The shard is closed and its last record was fetched.
    Closed,
    /// The shard has expired before its last record was fetched.
    Expired,
    /// The bound was reached: the rest of the shard and its children are not read.
    Cut,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Called {
    pub(super) at: Instant,
    pub(super) wall: SystemTime,
}

/// A call to make for a shard.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::get) enum Call {
    Iterator(IteratorStart),
    Page {
        iterator: ShardIterator,
        size: PageSize,
    },
    Subscribe(IteratorStart),
    /// The next event of the subscription.
    Event,
    /// The end of a subscription that was not read from for too long.
    Unsubscribe,
}

/// The outcome of a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::get) enum Failure {
    /// The call will be made again.
    Passing { is_worth_a_warning: bool },
    /// The shard cannot be read.
    Final,
}

impl ShardState {
    /// Makes the state of a shard to read from `iterator`, or from `begin` without one.
    pub(in crate::get) fn new(
        begin: Begin,
        iterator: Option<ShardIterator>,
        pace: PollPacer,
        now: Instant,
    ) -> Self {
        let resumed = begin.resumed.as_ref();
        Self {
            arrived_at: resumed.and_then(|checkpoint| checkpoint.arrived_at),
            read_until: ReadUntil::begun(now, SystemTime::UNIX_EPOCH)
                .resumed(resumed.and_then(Checkpoint::finished_until)),
            told_current_at: None,
            begin,
            read_to: None,
            cursor: iterator.map_or(Cursor::Lost, Cursor::At),
            call: None,
            last_call_at: None,
            records_asked: 0,
            pages_out: 0,
            due: now,
            pace,
            lag: LagWatch::default(),
            failures: Failures::default(),
            bound: None,
            fan_out: None,
            children: Vec::new(),
        }
    }

    /// Sets the bound of the reading.
    pub(in crate::get) fn until(mut self, bound: Option<Bound>) -> Self {
        self.bound = bound;
        self
    }

    /// Returns the earliest time of the next call; `None` while one is in flight, while [`PAGES_MAX`] pages wait, and after
    /// the end.
    pub(in crate::get) fn due(&self) -> Option<Instant> {
        match self.cursor {
            _ if self.call.is_some() => None,
            Cursor::Ended(_) => None,
            Cursor::Subscribed if self.is_full() => Some(self.due + PAUSE_MAX),
            _ => (!self.is_full()).then_some(self.due),
        }
    }

    fn is_full(&self) -> bool {
        self.pages_out >= PAGES_MAX
    }

    /// Returns the call to make now, when it is due. The shard may use `share` bytes of the prefetch budget.
    pub(in crate::get) fn next_call(&mut self, now: Instant, share: usize) -> Option<Call> {
        self.due()?;
        match &self.cursor {
            Cursor::Lost if self.is_by_fan_out() => Some(Call::Subscribe(self.resume_at())),
            Cursor::Lost => Some(Call::Iterator(self.resume_at())),
            Cursor::Subscribed if self.is_full() => Some(Call::Unsubscribe),
            Cursor::Subscribed => Some(Call::Event),
            Cursor::At(iterator) => {
                let since = self.last_call_at.map_or(Duration::MAX, |last| now - last);
                let size = self.pace.page_size(since, share);
                self.records_asked = size.records_max;
                Some(Call::Page {
                    iterator: iterator.clone(),
                    size,
                })
            }
            Cursor::Ended(_) => None,
        }
    }

    pub(super) fn resume_at(&self) -> IteratorStart {
        match &self.read_to {
            Some(number) => IteratorStart::AfterSequenceNumber(number.clone()),
            None => self.begin.iterator.clone(),
        }
    }

    /// Returns the sequence number for the next iterator, if it has one.
    pub(in crate::get) fn resume_number(&self) -> Option<SequenceNumber> {
        match self.resume_at() {
            IteratorStart::AtSequenceNumber(number)
            | IteratorStart::AfterSequenceNumber(number) => Some(number),
            _ => None,
        }
    }

    /// Returns the fetched position.
    pub(in crate::get) fn place(&self) -> CheckpointPlace {
        let place = CheckpointPlace::where_begun(&self.resume_at());
        place.unwrap_or(CheckpointPlace::TrimHorizon)
    }

    /// Notes that the call is being made.
    pub(in crate::get) fn on_called(&mut self, now: Instant, wall: SystemTime) {
        self.call = Some(Called { at: now, wall });
    }

    pub(in crate::get) fn on_iterator(&mut self, iterator: ShardIterator, now: Instant) {
        if let Some(called) = self.call.take() {
            self.fix_latest(called.wall);
        }
        self.cursor = Cursor::At(iterator);
        self.due = now;
    }

    /// Replaces LATEST by the time at which it was asked for, less the lead that this machine's clock may have: a later
    /// iterator begins there.
    pub(super) fn fix_latest(&mut self, asked_at: SystemTime) {
        let latest = asked_at.checked_sub(SKEW_MAX).unwrap_or(asked_at);
        let begin = std::mem::replace(&mut self.begin, IteratorStart::Latest.into());
        self.begin = start_again(begin, latest);
    }

    /// Returns the part of the page's first record that was finished before this reader.
    pub(in crate::get) fn finished_of(&self, page: &RecordPage) -> Option<Finished> {
        let finished = self.begin.finished.as_ref()?;
        let first = page.records.first()?;
        (first.sequence_number == finished.sequence_number).then(|| finished.clone())
    }

    /// Whether the shard's lag is worth a warning.
    pub(in crate::get) fn falls_behind(&mut self, page: &RecordPage) -> bool {
        self.lag.falls_behind(page.behind_latest)
    }

    /// Takes a page, and drops its records beyond the bound. Returns the size of the others in memory, in bytes.
    ///
    /// A shard that `is_closed` is always read to its end: its lag does not end the reading.
    pub(in crate::get) fn on_page(
        &mut self,
        page: &mut RecordPage,
        is_closed: bool,
        now: Instant,
    ) -> usize {
        let called = self.call.take();
        let called_at = called.map_or(now, |called| called.at);
        let facts = page_facts(page, self.records_asked);
        self.failures.reset();
        self.last_call_at = Some(called_at);
        self.due = self.pace.on_page(called_at, facts);
        let next = page.next_iterator.take().map(Cursor::At);
        let current_at = called.map(|called| called.wall);
        let is_reached = !is_closed && self.is_at_wanted_end(page, current_at);
        self.read_until.on_page(page, current_at, next.is_none());
        self.advance(page, is_reached, next, facts.bytes)
    }

    /// Takes the records of a page or event, with `bytes` bytes of data, and moves to `next`; without one the shard has
    /// ended. Returns the size of the records in memory, in bytes.
    pub(super) fn advance(
        &mut self,
        page: &mut RecordPage,
        is_reached: bool,
        next: Option<Cursor>,
        bytes: usize,
    ) -> usize {
        let is_cut = self.cut(page);
        if let Some(last) = page.records.last() {
            self.read_to = Some(last.sequence_number.clone());
            self.arrived_at = Some(last.arrived_at);
            self.pages_out += 1;
        }
        self.cursor = match next {
            _ if is_cut => Cursor::Ended(End::Cut),
            None => Cursor::Ended(End::Closed),
            Some(_) if is_reached => Cursor::Ended(End::Cut),
            Some(cursor) => cursor,
        };
        if page.records.is_empty() { 0 } else { bytes }
    }

    /// Drops the records of a page beyond the bound. Returns whether there were any.
    fn cut(&self, page: &mut RecordPage) -> bool {
        let Some(Bound::Record { before, .. }) = self.bound else {
            return false;
        };
        let past = page
            .records
            .iter()
            .position(|record| record.arrived_at >= before);
        page.records.truncate(past.unwrap_or(page.records.len()));
        past.is_some()
    }

    /// Whether the page reaches the time at which reading ends.
    ///
    /// By the service's lag, the page ends `behind_latest` before the call, or before the time at which an event was
    /// current. This needs no synchronized clocks. But some servers always answer 0. So a page with records counts only if
    /// its last record arrived after that time; the empty page behind it counts in any case.
    pub(super) fn is_at_wanted_end(
        &self,
        page: &RecordPage,
        current_at: Option<SystemTime>,
    ) -> bool {
        let (Some(bound), Some(current_at)) = (self.bound, current_at) else {
            return false;
        };
        let behind = page.behind_latest.unwrap_or_default();
        let reaches = current_at
            .checked_sub(behind)
            .is_some_and(|time| time >= bound.time());
        reaches
            && page
                .records
                .last()
                .is_none_or(|record| record.arrived_at > bound.time())
    }

    /// Takes the failure of a call. `jitter` is random, 0 to 1.
    pub(in crate::get) fn on_error(
        &mut self,
        error: &ServiceError,
        now: Instant,
        outage_max: Duration,
        jitter: f64,
    ) -> Failure {
        self.call = None;
        match error.class {
            _ if self.is_by_fan_out() => self.cursor = Cursor::Lost,
            // The service may later know the shard again, or another one of the same id: the iterator is useless.
            ErrorClass::IteratorExpired | ErrorClass::NotFound => self.cursor = Cursor::Lost,
            ErrorClass::Throttled => self.pace.on_throttled(),
            ErrorClass::Transient if error.code.is_none() => self.pace.on_timeout(),
            _ => {}
        }
        // A new shard may not be known everywhere yet. Listings show whether it has expired.
        let class = match error.class {
            ErrorClass::NotFound => ErrorClass::Transient,
            class => class,
        };
        match self.failures.judge(class, now, outage_max, jitter) {
            RetryDecision::Again {
                at,
                is_worth_a_warning,
            } => {
                self.due = self
                    .fan_out
                    .map_or(at, |subscriptions| subscriptions.retry_at(class, at, now));
                Failure::Passing { is_worth_a_warning }
            }
            RetryDecision::Final => Failure::Final,
        }
    }

    /// Begins at another position, since the one to continue at has expired.
    pub(in crate::get) fn begin_again(&mut self, begin: Begin, now: Instant, wall: SystemTime) {
        self.begin = begin;
        self.read_until = ReadUntil::begun(now, wall);
        self.read_to = None;
        self.cursor = Cursor::Lost;
        self.failures.reset();
        self.due = now;
    }

    /// Notes that a page was taken.
    pub(in crate::get) fn on_taken(&mut self) {
        self.pages_out = self.pages_out.saturating_sub(1);
    }

    /// Whether the last page was fetched.
    pub(in crate::get) fn is_ended(&self) -> bool {
        matches!(self.cursor, Cursor::Ended(_))
    }

    /// Returns the end of the shard, once all of its pages were taken.
    pub(in crate::get) fn end(&self) -> Option<End> {
        match self.cursor {
            Cursor::Ended(end) if self.pages_out == 0 => Some(end),
            _ => None,
        }
    }
}

pub(super) fn page_facts(page: &RecordPage, records_asked: u32) -> PageFacts {
    let counted_bytes =
        |record: &crate::service::StoredRecord| record.data.len() + record.partition_key.len();
    let counted_bytes: usize = page.records.iter().map(counted_bytes).sum();
    PageFacts {
        records: page.records.len(),
        records_asked,
        bytes: counted_bytes + page.records.len() * RECORD_OVERHEAD_BYTES,
        counted_bytes,
        behind_latest: page.behind_latest,
    }
}
