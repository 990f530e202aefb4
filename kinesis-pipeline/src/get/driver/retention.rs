use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::{calls::Answer, driver::Driver};
use crate::{
    get::{
        error::GetError,
        fetch::consumer::summary_within,
        plan::trimmed::{start_after_gap, warn_of_gap},
    },
    service::{ServiceError, StreamSummary},
    shard::ShardId,
};

/// The shortest retention of any stream.
const RETENTION_MIN: Duration = Duration::from_hours(24);
/// The time for which an answer proves that records have not expired. It is limited, since the retention may be made
/// shorter meanwhile.
const TRUSTED_FOR: Duration = Duration::from_hours(1);
/// The time for which an answer proves that records have expired: the retention may be made longer at any time.
const FRESH_FOR: Duration = Duration::from_mins(1);

/// The retention period of the stream, as far as it is known. The service is asked only when it matters.
#[derive(Debug, Default)]
pub(in crate::get) struct Retention {
    told: Option<Told>,
    is_asking: bool,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    at: Instant,
    /// `None` if the service did not say.
    retention: Option<Duration>,
}

/// The judgement of records of some age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judgement {
    Retained,
    Expired,
    /// The service has to be asked.
    Unknown,
}

impl Retention {
    fn judge(&self, age: Duration, now: Instant) -> Judgement {
        if age <= RETENTION_MIN {
            return Judgement::Retained;
        }
        let Some(Told { at, retention }) = self.told else {
            return Judgement::Unknown;
        };
        let told_for = now.saturating_duration_since(at);
        let is_expired = retention.is_some_and(|retention| age > retention);
        match is_expired {
            true if told_for <= FRESH_FOR => Judgement::Expired,
            false if told_for <= TRUSTED_FOR => Judgement::Retained,
            _ => Judgement::Unknown,
        }
    }

    /// Begins a call to the service, unless one is under way. Returns whether it did.
    fn begin(&mut self) -> bool {
        !std::mem::replace(&mut self.is_asking, true)
    }

    fn on_told(&mut self, retention: Option<Duration>, now: Instant) {
        self.is_asking = false;
        self.told = Some(Told { at: now, retention });
    }
}

/// The driver's reaction to shards that it could not read for longer than their records are retained.
///
/// The service skips expired records without an error, so the driver checks before each call.
impl Driver {
    /// Whether the shard may be read on at its place. If it is not known, the shard is scheduled again once it is. If not,
    /// it continues where the policy says, or the policy fails the reader.
    pub(super) fn is_retained(
        &mut self,
        shard_id: &ShardId,
        now: Instant,
    ) -> Result<bool, GetError> {
        let Some(state) = self.shards.get(shard_id) else {
            return Ok(true);
        };
        let Some(until) = state.is_read_until(now) else {
            return Ok(true);
        };
        let wall = self.target.clock.now();
        let age = wall.duration_since(until).unwrap_or_default();
        match self.retention.judge(age, now) {
            Judgement::Retained => Ok(true),
            Judgement::Unknown => {
                self.ask_retention();
                Ok(false)
            }
            Judgement::Expired => self.pass_gap(shard_id, until, now).map(|()| false),
        }
    }

    fn ask_retention(&mut self) {
        if self.retention.begin() {
            let (target, outage_max) = (self.target.clone(), self.options.outage_max);
            self.calls.push(Box::pin(async move {
                Answer::Summary(summary_within(&target, outage_max).await)
            }));
        }
    }

    /// Takes the answer about the stream's retention. Fails if faults that may pass have lasted for too long: to read on
    /// without the answer could skip records without a report.
    pub(super) fn on_summary(
        &mut self,
        result: Result<StreamSummary, ServiceError>,
    ) -> Result<(), GetError> {
        let retention = match result {
            Ok(summary) => Some(summary.retention),
            Err(error) if error.class.may_pass() => {
                return Err(GetError::service(&self.target.stream, None, error));
            }
            Err(error) => {
                let stream = &self.target.stream;
                tracing::warn!(%stream, %error, "cannot tell whether records have expired unread");
                None
            }
        };
        let now = self.target.clock.instant();
        self.retention.on_told(retention, now);
        // All shards are scheduled, among them those that waited for this answer.
        let shards: Vec<_> = self.shards.keys().cloned().collect();
        for shard_id in &shards {
            self.schedule(shard_id);
        }
        Ok(())
    }

    /// Skips the gap of records that arrived since `until` and have expired: continues where the policy says.
    fn pass_gap(
        &mut self,
        shard_id: &ShardId,
        until: SystemTime,
        now: Instant,
    ) -> Result<(), GetError> {
        let policy = self.options.on_trimmed;
        let Some(state) = self.shards.get_mut(shard_id) else {
            return Ok(());
        };
        let Some(start) = start_after_gap(policy) else {
            return Err(GetError::Trimmed {
                stream: self.target.stream.clone(),
                checkpoint: Box::new(state.fetched(shard_id)),
            });
        };
        self.counters.on_gap();
        warn_of_gap(&self.target, shard_id, Some(until), policy);
        state.begin_again(start.into(), now, self.target.clock.now());
        self.subscriptions.remove(shard_id);
        self.schedule(shard_id);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_has_expired_is_told_by_a_fresh_answer_and_what_has_not_by_an_older_one() {
        let start = crate::Clock::system().instant();
        let after = |time| start + time;
        let mut retention = Retention::default();
        let (young, old, older) = (
            RETENTION_MIN,
            Duration::from_hours(48),
            Duration::from_hours(49),
        );
        assert_eq!(retention.judge(young, start), Judgement::Retained);
        assert_eq!(retention.judge(old, start), Judgement::Unknown);
        assert!(retention.begin() && !retention.begin());
        retention.on_told(Some(old), start);
        let judged = |age, at| retention.judge(age, after(at));
        assert_eq!(judged(old, TRUSTED_FOR), Judgement::Retained);
        assert_eq!(judged(older, FRESH_FOR), Judgement::Expired);
        let late = Duration::from_secs(1);
        assert_eq!(judged(older, FRESH_FOR + late), Judgement::Unknown);
        assert_eq!(judged(old, TRUSTED_FOR + late), Judgement::Unknown);
        assert!(retention.begin(), "it may be asked again");
    }

    #[tokio::test]
    async fn a_stream_that_may_not_be_described_is_read_on() {
        let now = crate::Clock::system().instant();
        let mut retention = Retention::default();
        retention.on_told(None, now);
        assert_eq!(retention.judge(Duration::MAX, now), Judgement::Retained);
    }
}
