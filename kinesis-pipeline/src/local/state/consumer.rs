//! Consumers that are registered with a stream for enhanced fan-out.

use std::{collections::BTreeMap, sync::Mutex};

use crate::local::locks::lock;

/// The time after the beginning of a subscription during which another one of the same consumer and shard is refused.
const TAKEOVER_MILLIS: u64 = 5_000;

/// A registered consumer. What becomes of it is a matter of time alone.
#[derive(Debug)]
pub(in crate::local) struct Consumer {
    pub(in crate::local) name: String,
    pub(in crate::local) arn: String,
    pub(in crate::local) created_millis: u64,
    pub(in crate::local) active_millis: u64,
    /// The time at which the consumer is gone, once it was deregistered.
    pub(in crate::local) gone_millis: Option<u64>,
    pub(in crate::local) tags: BTreeMap<String, String>,
    pub(in crate::local) policy: Option<String>,
    /// The newest subscription of each shard.
    subscriptions: Mutex<BTreeMap<u32, Newest>>,
}

#[derive(Clone, Copy, Debug)]
struct Newest {
    began_millis: u64,
    /// Counts the subscriptions of this consumer and shard.
    count: u64,
}

impl Consumer {
    pub(in crate::local) fn new(
        name: &str,
        stream_arn: &str,
        now_millis: u64,
        active_millis: u64,
    ) -> Self {
        Self {
            name: name.to_owned(),
            arn: format!("{stream_arn}/consumer/{name}:{}", now_millis / 1000),
            created_millis: now_millis,
            active_millis,
            gone_millis: None,
            tags: BTreeMap::new(),
            policy: None,
            subscriptions: Mutex::default(),
        }
    }

    /// Makes a consumer as it was, without subscriptions: those end with their process.
    #[cfg(feature = "local-durable")]
    pub(in crate::local) fn restore(
        name: String,
        arn: String,
        (created_millis, active_millis, gone_millis): (u64, u64, Option<u64>),
        tags: BTreeMap<String, String>,
        policy: Option<String>,
    ) -> Self {
        Self {
            name,
            arn,
            created_millis,
            active_millis,
            gone_millis,
            tags,
            policy,
            subscriptions: Mutex::default(),
        }
    }

    /// Returns the status in the API's words.
    pub(in crate::local) fn status(&self, now_millis: u64) -> &'static str {
        match self.gone_millis {
            Some(_) => "DELETING",
            None if now_millis < self.active_millis => "CREATING",
            None => "ACTIVE",
        }
    }

    pub(in crate::local) fn is_gone(&self, now_millis: u64) -> bool {
        self.gone_millis.is_some_and(|gone| gone <= now_millis)
    }

    /// Begins a subscription to a shard; it takes the place of the one before. Returns its count, or nothing if
    /// the one before began less than 5 seconds ago.
    pub(in crate::local) fn subscribe(&self, shard_index: u32, now_millis: u64) -> Option<u64> {
        let mut subscriptions = lock(&self.subscriptions);
        let before = subscriptions.get(&shard_index);
        if before.is_some_and(|before| now_millis < before.began_millis + TAKEOVER_MILLIS) {
            return None;
        }
        let count = before.map_or(0, |before| before.count) + 1;
        let newest = Newest {
            began_millis: now_millis,
            count,
        };
        subscriptions.insert(shard_index, newest);
        Some(count)
    }

    /// Whether no other subscription has taken the place of this one.
    pub(in crate::local) fn is_newest(&self, shard_index: u32, count: u64) -> bool {
        lock(&self.subscriptions)
            .get(&shard_index)
            .is_some_and(|newest| newest.count == count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_becomes_active_and_goes_by_time_alone() {
        let mut consumer = Consumer::new("c", "arn", 1_000, 1_500);
        assert_eq!(consumer.arn, "arn/consumer/c:1");
        assert_eq!(consumer.status(1_499), "CREATING");
        assert_eq!(consumer.status(1_500), "ACTIVE");
        consumer.gone_millis = Some(2_000);
        assert_eq!(consumer.status(1_999), "DELETING");
        assert!(!consumer.is_gone(1_999) && consumer.is_gone(2_000));
    }

    #[test]
    fn a_second_subscription_is_refused_for_five_seconds_and_then_takes_over() {
        let consumer = Consumer::new("c", "arn", 0, 0);
        let first = consumer.subscribe(0, 1_000).unwrap();
        consumer.subscribe(1, 1_000).unwrap();
        assert_eq!(consumer.subscribe(0, 5_999), None);
        assert!(consumer.is_newest(0, first));
        let second = consumer.subscribe(0, 6_000).unwrap();
        assert!(!consumer.is_newest(0, first) && consumer.is_newest(0, second));
    }
}
