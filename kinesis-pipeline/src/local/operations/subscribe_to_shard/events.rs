//! The events of one subscription: each step looks at the shard, and returns an event or waits for a change.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::{Stream, future::BoxFuture};
use tokio::time::Instant;

use super::{Accepted, Event};
use crate::{
    clock::{Clock, epoch_millis},
    local::{
        api_error::ApiError,
        core::Core,
        faults::SharedFaults,
        operations::{
            consumer,
            shapes::{Record, child_shards},
        },
        state::{
            changes::Marks,
            log::LogPage,
            sequence::Number,
            shard::{Shard, Watcher, shard_id},
            stream::StreamState,
        },
    },
};

/// The lifetime of a subscription.
const LIFE: Duration = Duration::from_mins(5);
/// The longest time between two events, with or without records.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The largest number of records and bytes of an event.
const EVENT_RECORDS_MAX: usize = 10_000;
const EVENT_BYTES_MAX: usize = 1024 * 1024;
/// The rate at which a consumer gets a shard's bytes if limits are enforced.
const BYTES_PER_SECOND: u64 = 2 * 1024 * 1024;

/// Events until the subscription ends; an error is the last one.
///
/// Dropping it ends the subscription.
pub(in crate::local) struct Subscription {
    step: Step,
}

/// The state of the stream: a step is under way, which owns the subscription's inside and returns it, or it has ended.
enum Step {
    UnderWay(BoxFuture<'static, Stepped>),
    Ended,
}

/// An event, if there is one, and the inside, if there are more.
type Stepped = (Option<Result<Event, ApiError>>, Option<Box<Inside>>);

/// A subscription between two events.
struct Inside {
    clock: Clock,
    faults: SharedFaults,
    /// Whether the consumer's rate holds.
    limited: bool,
    accepted: Accepted,
    marks: Marks,
    ends_at: Instant,
    /// The time at which an event is due even without records: at once in the beginning.
    event_due_at: Instant,
    /// The time from which the rate allows the next event.
    room_at: Instant,
    watcher: Option<Watcher>,
}

/// The result of a look at the shard.
enum Look {
    /// An event; whether it is the last one.
    Event(Event, bool),
    /// A wait for a change, or until this time.
    Nothing { until: Instant },
    /// The subscription is over.
    Over(Option<ApiError>),
}

impl Subscription {
    pub(super) fn new(core: &Core, accepted: Accepted) -> Self {
        let now = core.clock.instant();
        let inside = Box::new(Inside {
            clock: core.clock.clone(),
            faults: core.faults.clone(),
            limited: core.settings.enforce_limits,
            accepted,
            marks: core.marks(),
            ends_at: now + LIFE,
            event_due_at: now,
            room_at: now,
            watcher: None,
        });
        Self {
            step: Step::UnderWay(Box::pin(inside.next())),
        }
    }
}

impl Stream for Subscription {
    type Item = Result<Event, ApiError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Step::UnderWay(step) = &mut self.step else {
            return Poll::Ready(None);
        };
        let (event, inside) = std::task::ready!(step.as_mut().poll(context));
        self.step = match inside {
            Some(inside) => Step::UnderWay(Box::pin(inside.next())),
            None => Step::Ended,
        };
        Poll::Ready(event)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

impl Inside {
    /// Waits for the next event. Without the inside in the answer there is no other.
    async fn next(mut self: Box<Self>) -> Stepped {
        loop {
            let watcher = self.watcher.take().or_else(|| self.watch());
            let Some(watcher) = watcher else {
                let error = self.accepted.stream.not_found();
                return (Some(Err(error)), None);
            };
            // The wait begins before the look: a record that comes between the two wakes it. See `Shard::watch`.
            let mut changed = Box::pin(watcher.changed());
            changed.as_mut().enable();
            match self.look() {
                Look::Event(event, is_last) => {
                    drop(changed);
                    if self.faults.half_opens(&shard_id(self.accepted.shard_index)) {
                        // A half-open subscription: no event and no end comes any more; only the client can give up.
                        std::future::pending::<()>().await;
                    }
                    if let Some(changes) = &self.marks
                        && let Err(error) = changes.kept().await
                    {
                        return (Some(Err(error)), None);
                    }
                    self.event_due_at = self.clock.instant() + HEARTBEAT;
                    self.watcher = Some(watcher);
                    return (Some(Ok(event)), (!is_last).then_some(self));
                }
                Look::Over(error) => return (error.map(Err), None),
                Look::Nothing { until } => {
                    // Both cases lead to the next look.
                    let _ = tokio::time::timeout_at(until, changed).await;
                }
            }
            self.watcher = Some(watcher);
        }
    }

    fn watch(&self) -> Option<Watcher> {
        let now_millis = epoch_millis(self.clock.now());
        let state = self.accepted.stream.read(now_millis);
        let shard = state.topology.shard(self.accepted.shard_index)?;
        Some(shard.watch())
    }

    fn look(&mut self) -> Look {
        let (now, now_millis) = (self.clock.instant(), epoch_millis(self.clock.now()));
        if now >= self.ends_at {
            return Look::Over(None);
        }
        if now < self.room_at {
            return Look::Nothing {
                until: self.room_at,
            };
        }
        let stream = self.accepted.stream.clone();
        let state = stream.read(now_millis);
        if !state.is_usable() {
            return Look::Over(Some(stream.not_found()));
        }
        if let Err(error) = self.accepted.check_consumer(&state, now_millis) {
            return Look::Over(Some(error));
        }
        let Some(shard) = state.topology.shard(self.accepted.shard_index) else {
            let id = shard_id(self.accepted.shard_index);
            return Look::Over(Some(stream.shard_missing(&id)));
        };
        let page = shard.log(state.horizon_millis(now_millis)).read(
            self.accepted.counter,
            EVENT_RECORDS_MAX,
            EVENT_BYTES_MAX,
        );
        let ended = page.at_tip && !shard.is_open();
        if page.records.is_empty() && !ended && now < self.event_due_at {
            let until = self.ends_at.min(self.event_due_at);
            return Look::Nothing {
                until: until.min(due(&stream, now, now_millis)),
            };
        }
        self.accepted.counter = page.next;
        stream.mark_read(shard, page.next);
        if self.limited {
            self.room_at =
                now + Duration::from_micros(page.bytes as u64 * 1_000_000 / BYTES_PER_SECOND);
        }
        let event = event(&state, shard, page, ended, now_millis);
        Look::Event(event, ended)
    }
}

/// Returns the time at which the stream's pending change is due, which no other call may carry out.
fn due(stream: &crate::local::state::stream::Stream, now: Instant, now_millis: u64) -> Instant {
    let millis = stream.due_millis().saturating_sub(now_millis);
    now + Duration::from_millis(millis.max(1)).min(LIFE)
}

impl Accepted {
    fn check_consumer(&self, state: &StreamState, now_millis: u64) -> Result<(), ApiError> {
        let consumer = state
            .consumers(now_millis)
            .find(|consumer| consumer.name == self.consumer_name)
            .ok_or_else(|| consumer::not_found(&self.consumer_name, &self.stream))?;
        if consumer.is_newest(self.shard_index, self.count) {
            return Ok(());
        }
        Err(ApiError::in_use(format!(
            "Another subscription of consumer {} took the place of this one.",
            consumer.arn
        )))
    }
}

fn event(state: &StreamState, shard: &Shard, page: LogPage, ended: bool, now_millis: u64) -> Event {
    let encryption_type = state.key_id.is_some().then_some("KMS");
    let millis_behind_latest = page.millis_behind_latest(now_millis);
    let continuation = continuation(shard, &page);
    let records = page.records.into_iter().map(|record| {
        let number = shard.number(record.counter, record.arrived_millis);
        Record::new(number, record, encryption_type)
    });
    Event {
        records: records.collect(),
        continuation_sequence_number: (!ended).then(|| continuation.text()),
        millis_behind_latest,
        child_shards: child_shards(state, shard).filter(|_| ended),
    }
}

/// Returns the number at which the next subscription continues after the page. As on the service, no record has it: it
/// lies between the last record and the next.
fn continuation(shard: &Shard, page: &LogPage) -> Number {
    let last = match page.records.last() {
        Some(last) => shard.number(last.counter, last.arrived_millis),
        None if page.next <= 1 => return shard.starting_number(),
        None => {
            let millis = page.before_millis.unwrap_or(shard.created_millis);
            shard.number(page.next - 1, millis)
        }
    };
    last.just_after()
}
