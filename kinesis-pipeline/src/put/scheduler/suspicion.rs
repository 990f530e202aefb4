//! The suspicion that the stream was made again, with other shards of the same ids.
//!
//! Until a later listing is in use, an aggregate may be wrong even in the expected shard. Three things raise it: the stream
//! was not found, it has not answered for seconds, or the number of a record tells that its shard is younger than the
//! known one.

use std::time::Duration;

use tokio::time::Instant;

use super::scheduler::Scheduler;
use crate::{
    put::request::entry::Entry,
    service::{EntryFailure, StoredAt},
};

/// The time after which a stream that has not answered may have been made again, with other shards of the same ids.
/// Deleting and creating a stream takes longer than that, so the answer of a call holds for this time after the call's
/// begin.
const RESTED_MAX: Duration = Duration::from_secs(5);

impl Scheduler {
    /// Suspects the known shards when a request begins after a rest in which the stream may have been made again.
    pub(in crate::put::scheduler) fn suspect_after_rest(&mut self, now: Instant) {
        if self.answered_from.is_some_and(|at| now >= at + RESTED_MAX) {
            self.unsettled.suspect_at = Some(now);
        }
    }

    /// Suspects the known shards if the answer to a request is of a stream that was made later.
    pub(in crate::put::scheduler) fn suspect_by_answer(
        &mut self,
        entries: &[Entry],
        outcomes: &[Result<StoredAt, EntryFailure>],
        now: Instant,
    ) {
        if !self.shared.options.aggregate || !self.queues.is_placed() {
            return;
        }
        let answered = entries.iter().zip(outcomes);
        let aggregates = answered.filter(|(entry, _)| entry.len() > 1);
        let stored = aggregates.filter_map(|(_, outcome)| outcome.as_ref().ok());
        if self.queues.are_of_another_stream(stored) {
            self.suspect_shards(now);
        }
    }

    /// Suspects the known shards of a stream that was not found: one that is made again may have other shards of the same
    /// ids.
    pub(in crate::put::scheduler) fn suspect_shards(&mut self, now: Instant) {
        self.unsettled.suspect_at = Some(now);
        if self.queues.is_placed() {
            self.refresh.want(now);
        }
    }

    /// Notes that the stream has answered a call that began at that time.
    pub(in crate::put::scheduler) fn note_answer(&mut self, begun_at: Option<Instant>) {
        self.answered_from = self.answered_from.max(begun_at);
    }

    /// Whether the listing may be of a stream that was deleted before the last suspected request began.
    pub(in crate::put::scheduler) fn is_outdated(&self) -> bool {
        let suspect_at = self.unsettled.suspect_at;
        let began_at = self.refresh.began_at();
        suspect_at
            .zip(began_at)
            .is_some_and(|(at, began)| at >= began + RESTED_MAX)
    }
}
