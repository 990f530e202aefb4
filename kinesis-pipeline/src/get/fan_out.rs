use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// The service refuses a subscription within this time of the last one of the same consumer and shard.
const SUBSCRIBE_INTERVAL_MIN: Duration = Duration::from_secs(5);
/// A subscription that nobody has read from for so long is ended: what it holds back would also hold back the
/// other subscriptions of its connection.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(10);
/// An event that came only after such a wait was made during it, however slow the network is.
const LATENCY_MAX: Duration = Duration::from_secs(1);
/// How long a shard that cannot be subscribed to is tried on before it is polled, if that is wanted.
pub(crate) const FALL_BACK_AFTER: Duration = Duration::from_secs(30);

/// The subscriptions of one shard, as far as the next one depends on them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Subscriptions {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    /// When it was accepted, or later.
    accepted_at: Instant,
    /// When it was asked for, or earlier.
    asked_at: SystemTime,
    has_events: bool,
}

impl Subscriptions {
    pub(crate) fn on_accepted(&mut self, now: Instant, asked_at: SystemTime) {
        self.last = Some(Last {
            accepted_at: now,
            asked_at,
            has_events: false,
        });
    }

    /// An event came that was waited for since `called_at`. Returns a time at which its content was current, or
    /// which is before that: an event that came at once may have waited in a buffer since the subscription
    /// began.
    pub(crate) fn on_event(
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
    pub(crate) fn has_events(&self) -> bool {
        self.last.is_some_and(|last| last.has_events)
    }

    /// When the service takes the next one.
    pub(crate) fn next_at(&self, now: Instant) -> Instant {
        self.last.map_or(now, |last| {
            now.max(last.accepted_at + SUBSCRIBE_INTERVAL_MIN)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
