//! The check for checkpoints that are older than the retention of the stream.
//!
//! The service moves such a position to the oldest record without an error. So the reader compares the time up to which
//! everything is finished, by the checkpoint, with the stream's retention.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use crate::{
    get::{
        checkpoint::Checkpoint,
        error::GetError,
        fetch::consumer::summary,
        plan::{
            plan::Begin,
            start::OnTrimmed,
            trimmed::{start_after_gap, warn_of_gap},
        },
    },
    shard::ShardId,
    target::Target,
};

/// The shortest retention of any stream: younger checkpoints need no check.
const RETENTION_MIN: Duration = Duration::from_hours(24);

/// Moves shards whose checkpoints are too old to the policy's position. Returns these checkpoints.
pub(super) async fn leave_expired(
    target: &Target,
    starts: &mut HashMap<ShardId, Begin>,
    policy: OnTrimmed,
    now: SystemTime,
) -> Result<Vec<Checkpoint>, GetError> {
    let is_old = |begin: &Begin| expired(begin, now, RETENTION_MIN).is_some();
    if !starts.values().any(is_old) {
        return Ok(Vec::new());
    }
    let retention = match summary(target).await {
        Ok(summary) => summary.retention,
        // To begin without the answer could skip records without a report.
        Err(error) if error.class.may_pass() => {
            return Err(GetError::service(&target.stream, None, error));
        }
        Err(error) => {
            let stream = &target.stream;
            tracing::warn!(
                %stream, %error,
                "cannot tell whether records have expired since the checkpoints were saved",
            );
            return Ok(Vec::new());
        }
    };
    begin_elsewhere(starts, policy, now, retention).map_err(|checkpoint| GetError::Trimmed {
        stream: target.stream.clone(),
        checkpoint,
    })
}

/// Returns the start of one shard, at the policy's position if its checkpoint is too old, and whether it was.
pub(in crate::get) async fn begin_retained(
    target: &Target,
    shard_id: &ShardId,
    begin: Begin,
    policy: OnTrimmed,
) -> Result<(Begin, bool), GetError> {
    let mut starts = HashMap::from([(shard_id.clone(), begin.clone())]);
    let gaps = leave_expired(target, &mut starts, policy, target.clock.now()).await?;
    for gap in &gaps {
        warn_of_gap(target, shard_id, gap.finished_until(), policy);
    }
    let begin = starts.remove(shard_id).unwrap_or(begin);
    Ok((begin, !gaps.is_empty()))
}

/// Fails with the checkpoint of the first of these shards, in the order of their ids, if the policy is to fail.
fn begin_elsewhere(
    starts: &mut HashMap<ShardId, Begin>,
    policy: OnTrimmed,
    now: SystemTime,
    retention: Duration,
) -> Result<Vec<Checkpoint>, Box<Checkpoint>> {
    let gaps = starts
        .values()
        .filter_map(|begin| expired(begin, now, retention));
    let mut gaps: Vec<_> = gaps.cloned().collect();
    gaps.sort_by(|a, b| a.shard_id.cmp(&b.shard_id));
    let (Some(first), start) = (gaps.first(), start_after_gap(policy)) else {
        return Ok(gaps);
    };
    let start = start.ok_or_else(|| Box::new(first.clone()))?;
    for gap in &gaps {
        starts.insert(gap.shard_id.clone(), start.clone().into());
    }
    Ok(gaps)
}

/// Returns the checkpoint of a shard if records after it may have expired.
fn expired(begin: &Begin, now: SystemTime, retention: Duration) -> Option<&Checkpoint> {
    let horizon = now.checked_sub(retention)?;
    let checkpoint = begin.resumed.as_ref()?;
    let is_expired = checkpoint.finished_until()? < horizon;
    is_expired.then_some(checkpoint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CheckpointPlace, service::IteratorStart};

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn now() -> SystemTime {
        NOW + Duration::from_hours(1_000)
    }

    /// Returns starts: shard 1 from a checkpoint of `hours` hours ago, shard 2 from one of an hour ago, shard 3 from its
    /// oldest record.
    fn starts(hours: u64) -> HashMap<ShardId, Begin> {
        let resumed = |id: &str, hours: u64| {
            let place = CheckpointPlace::After {
                sequence_number: 7.into(),
                sub_sequence_number: None,
            };
            let checkpoint = Checkpoint::new(id.into(), place);
            let begin = Begin {
                resumed: Some(checkpoint.arrived_at(now() - Duration::from_hours(hours))),
                ..IteratorStart::AfterSequenceNumber(7.into()).into()
            };
            (ShardId::from(id), begin)
        };
        let fresh = (ShardId::from("3"), IteratorStart::TrimHorizon.into());
        HashMap::from([resumed("1", hours), resumed("2", 1), fresh])
    }

    fn judged(
        hours: u64,
        policy: OnTrimmed,
    ) -> (
        Result<Vec<Checkpoint>, Box<Checkpoint>>,
        HashMap<ShardId, Begin>,
    ) {
        let mut starts = starts(hours);
        let retention = Duration::from_hours(48);
        let gaps = begin_elsewhere(&mut starts, policy, now(), retention);
        (gaps, starts)
    }

    #[test]
    fn a_checkpoint_within_the_retention_stands() {
        let (gaps, after) = judged(48, OnTrimmed::Fail);
        assert_eq!((gaps, after), (Ok(Vec::new()), starts(48)));
    }

    #[test]
    fn an_older_one_fails_or_begins_where_the_policy_says_and_the_others_stay() {
        let (gaps, _) = judged(49, OnTrimmed::Fail);
        assert_eq!(gaps.unwrap_err().shard_id, "1".into());
        for (policy, start) in [
            (OnTrimmed::FromHorizon, IteratorStart::TrimHorizon),
            (OnTrimmed::Latest, IteratorStart::Latest),
        ] {
            let (gaps, after) = judged(49, policy);
            assert_eq!(gaps.unwrap().len(), 1);
            let mut expected = starts(49);
            expected.insert("1".into(), start.into());
            assert_eq!(after, expected);
        }
    }

    #[test]
    fn what_is_finished_until_is_the_latest_that_is_known() {
        let row = Checkpoint::new("1".into(), CheckpointPlace::TrimHorizon);
        assert_eq!(row.finished_until(), None);
        let row = row.arrived_at(NOW);
        assert_eq!(row.finished_until(), Some(NOW));
        assert_eq!(row.current_at(now()).finished_until(), Some(now()));
        let begun = Checkpoint::new("1".into(), CheckpointPlace::Timestamp(now()));
        assert_eq!(begun.finished_until(), Some(now()));
    }
}
