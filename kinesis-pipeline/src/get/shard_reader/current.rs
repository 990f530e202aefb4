use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::shard_reader::ShardState;
use crate::{
    get::{
        checkpoint::{Checkpoint, CheckpointPlace},
        plan::plan::Bound,
    },
    service::RecordPage,
    shard::ShardId,
};

/// The time between two notes that a shard is current: a fraction of the shortest retention, and few writes for the
/// store.
const TELL_EVERY: Duration = Duration::from_mins(15);
/// The largest age of a page's facts: longer than a call may take.
const PAGE_AGE_MAX: Duration = Duration::from_mins(1);

/// A shard that is read to its tip.
impl ShardState {
    /// Returns the position that is finished once all pages are taken, if the shard is left at its tip. Without it, a shard
    /// whose batches find nothing for longer than the stream's retention would count as one that nobody reads.
    pub(in crate::get) fn left_current(&self, shard_id: &ShardId) -> Option<Checkpoint> {
        if !matches!(self.bound, Some(Bound::Page(_))) {
            return None;
        }
        let place = CheckpointPlace::where_begun(&self.resume_at())?;
        Some(Checkpoint {
            place,
            ..self.fetched(shard_id)
        })
    }

    /// Returns the position that is finished once the page before this one is taken, if this one shows that the shard was
    /// read to its tip. Without such a note, a shard that stays quiet for longer than the stream's retention could not be
    /// told from one whose records have expired.
    pub(in crate::get) fn told_current(
        &mut self,
        shard_id: &ShardId,
        page: &RecordPage,
        now: Instant,
        wall: SystemTime,
    ) -> Option<Checkpoint> {
        let place = CheckpointPlace::where_begun(&self.resume_at())?;
        let time = self.told_tip(page, now, wall)?;
        let mut checkpoint = Checkpoint::new(shard_id.clone(), place);
        checkpoint.arrived_at = self.arrived_at;
        checkpoint.current_at = Some(time);
        Some(checkpoint)
    }

    /// Returns the time before which everything that arrived was taken, if this page shows that the shard was read to its
    /// tip. `None` soon after the last such page.
    pub(in crate::get) fn told_tip(
        &mut self,
        page: &RecordPage,
        now: Instant,
        wall: SystemTime,
    ) -> Option<SystemTime> {
        let is_at_tip = page.records.is_empty() && page.behind_latest == Some(Duration::ZERO);
        let is_due = self.told_current_at.is_none_or(|at| now - at >= TELL_EVERY);
        if !is_at_tip || !is_due || self.pages_out > 0 || self.is_ended() {
            return None;
        }
        self.told_current_at = Some(now);
        wall.checked_sub(PAGE_AGE_MAX)
    }
}
