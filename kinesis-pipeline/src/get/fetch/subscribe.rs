use std::time::{Duration, SystemTime};

use futures_util::StreamExt;

use tokio::time::timeout;

use super::in_time;
use crate::{
    service::{
        ErrorClass, IteratorStart, ServiceError, SubscribeToShard, Subscription, SubscriptionEvent,
    },
    shard::ShardId,
    target::Target,
};

const OPERATION: &str = "SubscribeToShard";

/// The time without an event after which a subscription counts as broken, although its connection may be up.
///
/// The service sends an event at least every 5 seconds, with or without records: this is the time of three events.
const INACTIVITY_MAX: Duration = Duration::from_secs(15);
/// The number of slices in which the silence is counted. A process that was suspended finds one slice over, not all of
/// them, and so reads its socket again before it gives the subscription up.
const INACTIVITY_SLICES: u32 = 3;

/// A subscription that the service has accepted.
#[derive(Debug)]
pub(in crate::get) struct Subscribed {
    pub(in crate::get) subscription: Subscription,
    /// The time of the call: its events were current at this time or later.
    pub(in crate::get) asked_at: SystemTime,
}

/// Subscribes a registered consumer to a shard.
pub(in crate::get) async fn subscribe(
    target: &Target,
    consumer_arn: &str,
    shard_id: ShardId,
    start: IteratorStart,
) -> Result<Subscribed, ServiceError> {
    let service = &*target.service;
    let asked_at = target.clock.now();
    let call = SubscribeToShard::new(consumer_arn, shard_id, start);
    let subscription = in_time(OPERATION, service, service.subscribe_to_shard(call)).await?;
    Ok(Subscribed {
        subscription,
        asked_at,
    })
}

/// Returns the next event; `None` at the end of the subscription.
pub(in crate::get) async fn next_event(
    target: &Target,
    subscription: &mut Subscription,
) -> Result<Option<SubscriptionEvent>, ServiceError> {
    let mut next = subscription.next();
    for _ in 0..INACTIVITY_SLICES {
        if let Ok(event) = timeout(INACTIVITY_MAX / INACTIVITY_SLICES, &mut next).await {
            return event.transpose();
        }
    }
    Err(ServiceError::unanswered(
        OPERATION,
        target.service.endpoint(),
        ErrorClass::Transient,
        format!(
            "no event within {} s on an open subscription",
            INACTIVITY_MAX.as_secs()
        ),
    ))
}
