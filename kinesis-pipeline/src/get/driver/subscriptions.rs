use tokio::time::Instant;

use super::{calls::Answer, driver::Driver};
use crate::{
    get::{
        error::GetError,
        fetch::{self, Subscribed},
    },
    service::{
        ErrorClass, IteratorStart, RecordPage, ServiceError, Subscription, SubscriptionEvent,
    },
    shard::ShardId,
};

/// The driver's reaction to the events of its subscriptions.
impl Driver {
    pub(super) fn subscribe(&mut self, shard_id: ShardId, start: IteratorStart, now: Instant) {
        let (Some(state), Some(consumer_arn)) =
            (self.shards.get_mut(&shard_id), self.consumer_arn.clone())
        else {
            return;
        };
        state.on_called(now, self.target.clock.now());
        let target = self.target.clone();
        self.calls.push(Box::pin(async move {
            let id = shard_id.clone();
            let result = fetch::subscribe(&target, &consumer_arn, id, start).await;
            Answer::Subscribed { shard_id, result }
        }));
    }

    /// Waits for the next event of the shard's subscription. Returns false if the budget does not allow it.
    pub(super) fn await_event(&mut self, shard_id: ShardId, now: Instant) -> bool {
        if !self.budget.has_room() {
            return false;
        }
        let (Some(state), Some(mut subscription)) = (
            self.shards.get_mut(&shard_id),
            self.subscriptions.remove(&shard_id),
        ) else {
            self.unsubscribe(&shard_id, now);
            return true;
        };
        state.on_called(now, self.target.clock.now());
        let target = self.target.clone();
        self.events.push(Box::pin(async move {
            let result = fetch::next_event(&target, &mut subscription).await;
            Answer::Event {
                shard_id,
                subscription,
                result,
            }
        }));
        true
    }

    /// Ends the shard's subscription. Another one follows when the budget allows it.
    pub(super) fn unsubscribe(&mut self, shard_id: &ShardId, now: Instant) {
        self.subscriptions.remove(shard_id);
        if let Some(state) = self.shards.get_mut(shard_id) {
            state.on_unsubscribed(now);
            self.schedule(shard_id);
        }
    }

    pub(super) fn on_subscribed(
        &mut self,
        shard_id: &ShardId,
        result: Result<Subscribed, ServiceError>,
    ) -> Result<(), GetError> {
        let Subscribed {
            subscription,
            asked_at,
        } = match result {
            Ok(subscribed) => subscribed,
            Err(error) => {
                let position = self.position(shard_id);
                return self.on_error(shard_id, error, position);
            }
        };
        self.lost.remove(shard_id);
        // The shard may have been dropped meanwhile.
        if let Some(state) = self.shards.get_mut(shard_id) {
            state.on_subscribed(self.target.clock.instant(), asked_at);
            self.subscriptions.insert(shard_id.clone(), subscription);
            self.schedule(shard_id);
        }
        Ok(())
    }

    pub(super) fn on_event(
        &mut self,
        shard_id: &ShardId,
        subscription: Subscription,
        result: Result<Option<SubscriptionEvent>, ServiceError>,
    ) -> Result<(), GetError> {
        let now = self.target.clock.instant();
        let Some(state) = self.shards.get_mut(shard_id) else {
            return Ok(());
        };
        let event = match result {
            Ok(Some(event)) => event,
            Ok(None) if state.on_unsubscribed(now) => {
                self.schedule(shard_id);
                return Ok(());
            }
            Ok(None) => return self.on_error(shard_id, self.ended_early(), None),
            Err(error) => {
                if error.class == ErrorClass::InUse && state.on_taken_over() {
                    let stream = &self.target.stream;
                    tracing::warn!(%stream, shard = %shard_id, "another reader uses the same consumer");
                }
                return self.on_error(shard_id, error, None);
            }
        };
        let mut page = RecordPage {
            records: event.records,
            next_iterator: None,
            behind_latest: event.behind_latest,
            child_shards: event.child_shards,
        };
        self.counters
            .on_page(shard_id, &page, self.target.clock.now());
        let finished = state.finished_of(&page);
        let is_closed = self.lineage.has_children(shard_id);
        let bytes = state.on_event(&mut page, event.continuation, is_closed, now);
        if !state.is_ended() {
            self.subscriptions.insert(shard_id.clone(), subscription);
        }
        self.budget.settle(0, bytes);
        self.deliver(shard_id, page, finished, bytes);
        Ok(())
    }

    fn ended_early(&self) -> ServiceError {
        let endpoint = self.target.service.endpoint();
        let message = "the subscription ended without an event";
        ServiceError::unanswered("SubscribeToShard", endpoint, ErrorClass::Transient, message)
    }
}
