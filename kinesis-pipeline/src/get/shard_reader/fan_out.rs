use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::shard_reader::{Cursor, ShardState, page_facts};
use crate::{
    service::{ErrorClass, IteratorStart, RecordPage},
    shard::SequenceNumber,
};

/// The time after a subscription within which the service refuses another one of the same consumer and shard.
const SUBSCRIBE_INTERVAL_MIN: Duration = Duration::from_secs(5);
/// The time after which a subscription that is not read is ended: its unread events also block the other subscriptions
/// of the HTTP/2 connection.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(10);
/// The shortest wait that proves an event to be new: no network delays it for longer.
const LATENCY_MAX: Duration = Duration::from_secs(1);
/// The pause before a reader with its shard's lease subscribes again while another reader still does. The service
/// accepts it from 5 s after the last subscription on, so a longer pause would only be a delay.
const IN_USE_PAUSE: Duration = Duration::from_secs(1);
/// The time for which a subscription is retried before the shard is polled, if that is wanted.
pub(in crate::get) const FALL_BACK_AFTER: Duration = Duration::from_secs(30);

/// The facts about a shard's subscriptions on which the next one depends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Subscriptions {
    last: Option<Last>,
    /// Whether another reader has replaced one.
    was_taken_over: bool,
    /// Whether the reader has the shard's lease. Then another subscribed reader has lost it.
    is_leased: bool,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    /// The latest time at which it was accepted.
    accepted_at: Instant,
    /// The time of the call, or an earlier one.
    asked_at: SystemTime,
    has_events: bool,
}

impl Subscriptions {
    fn on_accepted(&mut self, now: Instant, asked_at: SystemTime) {
        self.last = Some(Last {
            accepted_at: now,
            asked_at,
            has_events: false,
        });
    }

    /// Takes an event that was awaited since `called_at`. Returns a time at which its content was current, or an earlier
    /// one: an event that came at once may have been in a buffer since the subscription began.
    fn on_event(
        &mut self,
        called_at: Instant,
        called_wall: SystemTime,
        now: Instant,
    ) -> SystemTime {
        let has_waited = now.saturating_duration_since(called_at) >= LATENCY_MAX;
        match &mut self.last {
            Some(last) => {
                last.has_events = true;
                if has_waited {
                    called_wall
                } else {
                    last.asked_at
                }
            }
            None => called_wall,
        }
    }

    /// Whether the last subscription has pushed anything.
    fn has_events(&self) -> bool {
        self.last.is_some_and(|last| last.has_events)
    }

    /// Returns the time of the next try after an error: `at`, unless the kind of error needs another one.
    pub(super) fn retry_at(&self, class: ErrorClass, at: Instant, now: Instant) -> Instant {
        if class == ErrorClass::InUse && self.is_leased {
            return now + IN_USE_PAUSE;
        }
        self.next_at(at)
    }

    /// Returns the time from which the service accepts the next subscription.
    fn next_at(&self, now: Instant) -> Instant {
        self.last.map_or(now, |last| {
            now.max(last.accepted_at + SUBSCRIBE_INTERVAL_MIN)
        })
    }
}

/// A shard that is read by enhanced fan-out.
impl ShardState {
    /// Reads the shard by enhanced fan-out, under a lease or not.
    pub(in crate::get) fn by_fan_out(mut self, is_leased: bool) -> Self {
        self.fan_out = Some(Subscriptions {
            is_leased,
            ..Subscriptions::default()
        });
        self
    }

    /// Whether the shard is read by enhanced fan-out.
    pub(in crate::get) fn is_by_fan_out(&self) -> bool {
        self.fan_out.is_some()
    }

    /// Notes an accepted subscription that was asked for at `asked_at`.
    pub(in crate::get) fn on_subscribed(&mut self, now: Instant, asked_at: SystemTime) {
        self.call = None;
        self.fix_latest(asked_at);
        self.cursor = Cursor::Subscribed;
        self.due = now;
        if let Some(subscriptions) = &mut self.fan_out {
            subscriptions.on_accepted(now, asked_at);
        }
    }

    /// Takes an event, as a page, with the continuation of the next subscription. Like [`on_page`](Self::on_page).
    pub(in crate::get) fn on_event(
        &mut self,
        page: &mut RecordPage,
        continuation: Option<SequenceNumber>,
        is_closed: bool,
        now: Instant,
    ) -> usize {
        self.failures.reset();
        self.due = now;
        let current_at = match (self.call.take(), &mut self.fan_out) {
            (Some(call), Some(subscriptions)) => {
                Some(subscriptions.on_event(call.at, call.wall, now))
            }
            _ => None,
        };
        // Some servers send the children before the last records, and a continuation up to the end.
        let is_last = !page.child_shards.is_empty() && page.records.is_empty();
        let has_more = continuation.is_some() && !is_last;
        let is_reached = !is_closed && self.is_at_wanted_end(page, current_at);
        self.read_until.on_page(page, current_at, !has_more);
        let next = has_more.then_some(Cursor::Subscribed);
        let bytes = self.advance(page, is_reached, next, page_facts(page, 0).bytes);
        if let Some(number) = continuation
            && !self.is_still_to_come(&number)
        {
            self.read_to = Some(number);
        }
        bytes
    }

    /// Whether continuing after this number would skip the record to begin at, which has not come yet.
    fn is_still_to_come(&self, number: &SequenceNumber) -> bool {
        match &self.begin.iterator {
            IteratorStart::AtSequenceNumber(first) => self.read_to.is_none() && number >= first,
            _ => false,
        }
    }

    /// Notes the end of the subscription. Returns whether it had pushed anything.
    pub(in crate::get) fn on_unsubscribed(&mut self, now: Instant) -> bool {
        self.call = None;
        self.cursor = Cursor::Lost;
        self.due = now;
        self.fan_out.is_none_or(|subscriptions| {
            self.due = subscriptions.next_at(now);
            subscriptions.has_events()
        })
    }

    /// Notes that another subscription of the same consumer has replaced this one. Returns whether that is the first time.
    pub(in crate::get) fn on_taken_over(&mut self) -> bool {
        self.fan_out.as_mut().is_some_and(|subscriptions| {
            !std::mem::replace(&mut subscriptions.was_taken_over, true)
        })
    }

    /// Switches the shard to polling.
    pub(in crate::get) fn fall_back(&mut self, now: Instant) {
        self.fan_out = None;
        self.call = None;
        self.cursor = Cursor::Lost;
        self.failures.reset();
        self.due = now;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::get::shard_reader::shard_reader::Call;
    use crate::{
        HashKeyRange, PartitionKey,
        get::shard_reader::poll_pacer::PollPacer,
        service::{ChildShard, ServiceError, StoredRecord},
    };

    #[tokio::test]
    async fn the_next_subscription_waits_until_the_service_takes_it() {
        let now = crate::Clock::system().instant();
        let mut subscriptions = Subscriptions::default();
        assert_eq!(subscriptions.next_at(now), now);
        subscriptions.on_accepted(now, SystemTime::UNIX_EPOCH);
        let second = Duration::from_secs(1);
        assert_eq!(subscriptions.next_at(now + second), now + 5 * second);
        assert_eq!(subscriptions.next_at(now + 9 * second), now + 9 * second);
    }

    #[tokio::test]
    async fn a_shard_whose_lease_was_taken_is_subscribed_to_again_each_second() {
        let now = crate::Clock::system().instant();
        let error = ServiceError::answered(
            "SubscribeToShard",
            "local",
            "ResourceInUseException",
            "busy",
        );
        let waits = |is_leased| {
            let pace = PollPacer::new(Duration::from_secs(1), 10_000);
            let state = ShardState::new(IteratorStart::Latest.into(), None, pace, now);
            let mut state = state.by_fan_out(is_leased);
            let wait = |_| {
                state.on_called(now, SystemTime::UNIX_EPOCH);
                state.on_error(&error, now, Duration::from_mins(30), 1.0);
                state.due().unwrap() - now
            };
            (0..8).map(wait).collect::<Vec<_>>()
        };
        assert_eq!(waits(true), [IN_USE_PAUSE; 8]);
        assert!(
            waits(false)[7] > IN_USE_PAUSE,
            "two readers of one consumer do not fight"
        );
    }

    #[tokio::test]
    async fn an_event_that_did_not_wait_may_be_as_old_as_its_subscription() {
        let (now, asked_at) = (crate::Clock::system().instant(), SystemTime::UNIX_EPOCH);
        let mut subscriptions = Subscriptions::default();
        subscriptions.on_accepted(now, asked_at);
        assert!(!subscriptions.has_events());
        let called = asked_at + Duration::from_mins(1);
        assert_eq!(subscriptions.on_event(now, called, now), asked_at);
        assert_eq!(
            subscriptions.on_event(now, called, now + LATENCY_MAX),
            called
        );
        assert!(subscriptions.has_events());
    }

    fn shard(begin: IteratorStart, now: Instant) -> ShardState {
        let pace = PollPacer::new(Duration::from_secs(1), 10_000);
        let mut state = ShardState::new(begin.into(), None, pace, now).by_fan_out(true);
        state.on_subscribed(now, SystemTime::UNIX_EPOCH);
        state
    }

    fn event(
        state: &mut ShardState,
        numbers: &[u128],
        children: usize,
        continuation: Option<u128>,
    ) {
        let key = PartitionKey::new("k").unwrap();
        let record = |number: &u128| {
            let at = SystemTime::UNIX_EPOCH;
            StoredRecord::new((*number).into(), at, Bytes::new(), key.clone())
        };
        let child =
            |id: usize| ChildShard::new(id.to_string().into(), Vec::new(), HashKeyRange::ALL);
        let mut page = RecordPage {
            records: numbers.iter().map(record).collect(),
            child_shards: (0..children).map(child).collect(),
            ..RecordPage::default()
        };
        let now = crate::Clock::system().instant();
        state.on_called(now, SystemTime::UNIX_EPOCH);
        state.on_event(&mut page, continuation.map(Into::into), false, now);
    }

    #[tokio::test]
    async fn the_next_subscription_goes_on_from_the_last_continuation() {
        let now = crate::Clock::system().instant();
        let mut state = shard(IteratorStart::Latest, now);
        event(&mut state, &[], 0, Some(10));
        assert_eq!(state.resume_number(), Some(10.into()));
        event(&mut state, &[11, 12], 0, Some(12));
        event(&mut state, &[], 0, Some(15));
        state.on_unsubscribed(now);
        let after = IteratorStart::AfterSequenceNumber(15.into());
        let wait = Duration::from_secs(5);
        assert_eq!(state.next_call(now + wait, 0), Some(Call::Subscribe(after)));
    }

    #[tokio::test]
    async fn an_event_without_records_does_not_pass_the_record_to_begin_at() {
        let now = crate::Clock::system().instant();
        let mut state = shard(IteratorStart::AtSequenceNumber(7.into()), now);
        event(&mut state, &[], 0, Some(7));
        state.on_unsubscribed(now);
        let again = IteratorStart::AtSequenceNumber(7.into());
        assert_eq!(state.next_call(now, 0), Some(Call::Subscribe(again)));
        event(&mut state, &[7], 0, Some(7));
        let after = IteratorStart::AfterSequenceNumber(7.into());
        state.on_unsubscribed(now);
        assert_eq!(state.next_call(now, 0), Some(Call::Subscribe(after)));
    }

    #[tokio::test]
    async fn a_shard_ends_without_a_continuation_or_with_children_and_no_more_records() {
        let now = crate::Clock::system().instant();
        let mut state = shard(IteratorStart::TrimHorizon, now);
        event(&mut state, &[1], 2, Some(1));
        assert!(!state.is_ended());
        event(&mut state, &[], 2, Some(1));
        assert!(state.is_ended());
        let mut state = shard(IteratorStart::TrimHorizon, now);
        event(&mut state, &[1], 0, None);
        assert!(state.is_ended());
    }

    #[tokio::test]
    async fn a_subscription_that_nobody_takes_from_is_given_up() {
        let now = crate::Clock::system().instant();
        let mut state = shard(IteratorStart::TrimHorizon, now);
        event(&mut state, &[1], 0, Some(1));
        assert_eq!(state.next_call(now, 0), Some(Call::Event));
        event(&mut state, &[2], 0, Some(2));
        assert!(state.due().is_some_and(|due| due >= now + PAUSE_MAX));
        assert_eq!(state.next_call(now, 0), Some(Call::Unsubscribe));
        state.on_unsubscribed(now);
        assert_eq!(state.due(), None);
        state.on_taken();
        assert!(matches!(state.next_call(now, 0), Some(Call::Subscribe(_))));
    }
}
