use super::{driver::Driver, error::GetError, fetch::Subscribed};
use crate::{
    service::{ErrorClass, RecordPage, ServiceError, Subscription, SubscriptionEvent},
    shard::ShardId,
};

/// What the driver does about its subscriptions.
impl Driver {
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
        // Nobody may read the shard any more.
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
            Err(error) => return self.on_error(shard_id, error, None),
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
