use super::{calls::Answer, driver::Driver};
use crate::{
    get::{
        checkpoint::CheckpointError,
        dispatch::{
            channel::{Delivery, Page},
            deaggregate::Finished,
        },
        error::GetError,
        shard_reader::{
            retry::RetryDecision,
            shard_reader::{FALL_BACK_AFTER, Failure},
        },
    },
    service::{ErrorClass, RecordPage, ServiceError, ShardIterator},
    shard::{Position, ShardId},
};

/// The driver's reaction to the answers to its calls.
impl Driver {
    pub(super) fn on_answer(&mut self, answer: Answer) -> Result<(), GetError> {
        match answer {
            Answer::Iterator { shard_id, result } => self.on_iterator(&shard_id, result),
            Answer::Page {
                shard_id,
                reserved,
                result,
            } => self.on_page(&shard_id, reserved, result),
            Answer::Subscribed { shard_id, result } => self.on_subscribed(&shard_id, result),
            Answer::Event {
                shard_id,
                subscription,
                result,
            } => self.on_event(&shard_id, subscription, result),
            Answer::Shards(result, is_consumer_gone) => self.on_shards(result, is_consumer_gone),
            Answer::Summary(result) => self.on_summary(result),
            Answer::Saved(result) => self.on_saved(result),
            Answer::Loaded(result) => self.on_loaded(result),
        }
    }

    fn on_iterator(
        &mut self,
        shard_id: &ShardId,
        result: Result<ShardIterator, ServiceError>,
    ) -> Result<(), GetError> {
        let now = self.target.clock.instant();
        match result {
            Ok(iterator) => {
                self.lost.remove(shard_id);
                if let Some(state) = self.shards.get_mut(shard_id) {
                    state.on_iterator(iterator, now);
                }
                self.schedule(shard_id);
                Ok(())
            }
            Err(error) => {
                let position = self.position(shard_id);
                self.on_error(shard_id, error, position)
            }
        }
    }

    /// Returns the position at which the shard is read next, if it is one of a record.
    pub(super) fn position(&self, shard_id: &ShardId) -> Option<Position> {
        let number = self.shards.get(shard_id)?.resume_number()?;
        Some(Position::new(shard_id.clone(), number))
    }

    fn on_page(
        &mut self,
        shard_id: &ShardId,
        reserved: usize,
        result: Result<RecordPage, ServiceError>,
    ) -> Result<(), GetError> {
        let mut page = match result {
            Ok(page) => page,
            Err(error) => {
                self.budget.settle(reserved, 0);
                return self.on_error(shard_id, error, None);
            }
        };
        let Some(state) = self.shards.get_mut(shard_id) else {
            self.budget.settle(reserved, 0);
            return Ok(());
        };
        self.counters
            .on_page(shard_id, &page, self.target.clock.now());
        if state.falls_behind(&page) {
            let (stream, behind_latest) = (&self.target.stream, page.behind_latest);
            tracing::warn!(%stream, shard = %shard_id, ?behind_latest, "shard falls behind");
        }
        let finished = state.finished_of(&page);
        let is_closed = self.lineage.has_children(shard_id);
        let bytes = state.on_page(&mut page, is_closed, self.target.clock.instant());
        self.budget.settle(reserved, bytes);
        self.deliver(shard_id, page, finished, bytes);
        Ok(())
    }

    /// Delivers the wanted records of a page, `bytes` of memory, and schedules the next call of the shard.
    pub(super) fn deliver(
        &mut self,
        shard_id: &ShardId,
        page: RecordPage,
        finished: Option<Finished>,
        bytes: usize,
    ) {
        for child in &page.child_shards {
            let range = child.hash_key_range;
            self.lineage.discover_child(&child.shard_id, &child.parents);
            self.lineage.set_range(&child.shard_id, range);
            self.options.ranges.learn(&child.shard_id, range);
        }
        self.note_if_current(shard_id, &page);
        if !page.records.is_empty() {
            self.feed.send(Delivery::Page(Page {
                shard_id: shard_id.clone(),
                records: page.records,
                finished,
                behind_latest: page.behind_latest,
                bytes,
            }));
        }
        if let Some(state) = self.shards.get_mut(shard_id) {
            // An event may have the children before the last records come.
            if !page.child_shards.is_empty() {
                state.children = page.child_shards;
            }
            if state.is_ended() {
                self.feed.send(Delivery::ShardEnd {
                    shard_id: shard_id.clone(),
                    children: std::mem::take(&mut state.children),
                });
            }
        }
        self.go_on(shard_id);
    }

    /// Notes that the shard was read to its tip, for a later time when no records come.
    fn note_if_current(&mut self, shard_id: &ShardId, page: &RecordPage) {
        let (now, wall) = (self.target.clock.instant(), self.target.clock.now());
        let Some(state) = self.shards.get_mut(shard_id) else {
            return;
        };
        if let Some(saver) = &self.options.saver {
            if let Some(checkpoint) = state.told_current(shard_id, page, now, wall) {
                saver.progress.reach(checkpoint);
            }
        } else if let Some(tip) = &self.tip
            && let Some(time) = state.told_tip(page, now, wall)
        {
            tip.send_replace(Some(time));
        }
    }

    pub(super) fn on_error(
        &mut self,
        shard_id: &ShardId,
        error: ServiceError,
        position: Option<Position>,
    ) -> Result<(), GetError> {
        let (stream, now) = (&self.target.stream, self.target.clock.instant());
        let Some(state) = self.shards.get_mut(shard_id) else {
            return Ok(());
        };
        self.counters.on_error(shard_id, &error);
        if error.class == ErrorClass::NotFound {
            self.lost.entry(shard_id.clone()).or_default();
        }
        let may_fall_back = state.is_by_fan_out() && self.options.falls_back;
        let outage_max = if may_fall_back {
            self.options.outage_max.min(FALL_BACK_AFTER)
        } else {
            self.options.outage_max
        };
        match state.on_error(&error, now, outage_max, fastrand::f64()) {
            Failure::Passing { is_worth_a_warning } => {
                if is_worth_a_warning {
                    tracing::warn!(%stream, shard = %shard_id, %error, "shard stalls; trying on");
                }
                self.schedule(shard_id);
                Ok(())
            }
            Failure::Final if may_fall_back => {
                tracing::warn!(%stream, shard = %shard_id, %error, "cannot subscribe; polling instead");
                state.fall_back(now);
                self.schedule(shard_id);
                Ok(())
            }
            Failure::Final => match position.filter(|_| error.class == ErrorClass::Invalid) {
                Some(position) => {
                    self.on_refused(position, error);
                    Ok(())
                }
                None => Err(GetError::service(stream, Some(shard_id), error)),
            },
        }
    }

    fn on_saved(&mut self, result: Result<(), CheckpointError>) -> Result<(), GetError> {
        let Err(error) = result else {
            self.save_timer.on_saved();
            return Ok(());
        };
        let now = self.target.clock.instant();
        let decision = self.save_timer.on_error(
            error.is_retryable(),
            now,
            self.options.outage_max,
            fastrand::f64(),
        );
        match decision {
            RetryDecision::Again {
                is_worth_a_warning, ..
            } => {
                if is_worth_a_warning {
                    let stream = &self.target.stream;
                    tracing::warn!(%stream, %error, "checkpoints cannot be saved; trying on");
                }
                Ok(())
            }
            RetryDecision::Final => Err(GetError::checkpoint(&self.target.stream, error)),
        }
    }
}
