use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;

use super::{ChildShard, IteratorStart, ServiceError, StoredRecord};
use crate::shard::{SequenceNumber, ShardId};

/// A call that subscribes a registered consumer to a shard: its records are pushed for 5 minutes.
///
/// The service allows 1 call a second, consumer and shard, and refuses another one within 5 seconds of the last that
/// succeeded. Later than that, the new subscription replaces the old one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SubscribeToShard {
    /// The ARN of the registered consumer.
    pub consumer_arn: String,
    /// The shard to read.
    pub shard_id: ShardId,
    /// The start position.
    pub start: IteratorStart,
}

impl SubscribeToShard {
    /// Makes a call that subscribes this consumer to this shard.
    #[must_use]
    pub fn new(consumer_arn: impl Into<String>, shard_id: ShardId, start: IteratorStart) -> Self {
        Self {
            consumer_arn: consumer_arn.into(),
            shard_id,
            start,
        }
    }
}

/// An event of a subscription. The service pushes up to 2 MiB a second and shard, and at least one event every few
/// seconds.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct SubscriptionEvent {
    /// The records, by increasing sequence number; empty in an event that only has a continuation.
    pub records: Vec<StoredRecord>,
    /// The sequence number after which the next subscription continues, not always that of a record. `None` at the end of a
    /// closed shard.
    pub continuation: Option<SequenceNumber>,
    /// The lag of the event behind the tip of the shard.
    pub behind_latest: Option<Duration>,
    /// The child shards, which took over the keys, at the end of a closed shard.
    pub child_shards: Vec<ChildShard>,
}

/// The stream of events of a subscription. It ends after 5 minutes, at the end of a closed shard, or after an error.
///
/// Events are not read ahead: a subscription that is not polled makes the service wait. Dropping it ends it.
pub struct Subscription(
    Pin<Box<dyn Stream<Item = Result<SubscriptionEvent, ServiceError>> + Send>>,
);

impl Subscription {
    /// Makes a subscription of these events.
    #[must_use]
    pub fn new(
        events: impl Stream<Item = Result<SubscriptionEvent, ServiceError>> + Send + 'static,
    ) -> Self {
        Self(Box::pin(events))
    }
}

impl Stream for Subscription {
    type Item = Result<SubscriptionEvent, ServiceError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}
