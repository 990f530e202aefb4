//! Children of merges that have a parent which another reader of the same application reads.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use tokio::time::Instant;

use super::{calls::Answer, driver::Driver};
use crate::{
    get::{
        checkpoint::{Checkpoint, CheckpointError, CheckpointPlace},
        error::GetError,
        plan::plan::Begin,
        shard_reader::retry::{Failures, RetryDecision},
    },
    service::ErrorClass,
    shard::{ShardId, lineage::Lineage},
};

/// The time between the first two looks at the checkpoints; it doubles with each look.
const INTERVAL_MIN: Duration = Duration::from_secs(1);
/// The longest time between two looks.
const INTERVAL_MAX: Duration = Duration::from_secs(15);
/// The number of looks after which a waiting shard is worth a warning: about a minute.
const LOOKS_MAX: u32 = 8;

/// Shards that wait until another reader has read their other parent to its end, by its checkpoint.
#[derive(Debug, Default)]
pub(in crate::get) struct Elsewhere {
    waiting: BTreeMap<ShardId, Waiting>,
    is_running: bool,
    due: Option<Instant>,
    looks: u32,
    failures: Failures,
}

#[derive(Debug)]
struct Waiting {
    begin: Begin,
    strangers: Strangers,
}

/// The parents of a shard that belong to other readers, with those of their ancestors that do.
#[derive(Clone, Debug)]
pub(in crate::get) struct Strangers {
    parents: Vec<ShardId>,
    /// The parents themselves and their ancestors, each with its parents.
    ancestors: BTreeMap<ShardId, Vec<ShardId>>,
}

impl Strangers {
    /// Returns the strangers among the ancestors of a shard.
    pub(in crate::get) fn of(shard_id: &ShardId, lineage: &Lineage) -> Self {
        Self {
            parents: lineage.strange_parents(shard_id),
            ancestors: lineage.strange_ancestors(shard_id),
        }
    }

    fn are_any(&self) -> bool {
        !self.parents.is_empty()
    }

    /// Whether one of the parents is still to be read to its end by another reader, by the checkpoints of all of them.
    ///
    /// A parent without a checkpoint was not begun. That it will be follows from a checkpoint of the shards before it:
    /// their reader goes on with it.
    pub(in crate::get) fn are_unfinished(&self, checkpoints: &[Checkpoint]) -> bool {
        let rows: HashMap<_, _> = checkpoints
            .iter()
            .map(|row| (&row.shard_id, row.place == CheckpointPlace::ShardEnd))
            .collect();
        let is_unfinished = |id: &ShardId| rows.get(id) == Some(&false);
        if self.parents.iter().any(is_unfinished) {
            return true;
        }
        let (mut seen, mut next) = (HashSet::new(), Vec::from_iter(&self.parents));
        while let Some(id) = next.pop() {
            if rows.contains_key(id) || !seen.insert(id) {
                continue;
            }
            let parents = self.ancestors.get(id).map_or(&[][..], Vec::as_slice);
            if parents.iter().any(|parent| rows.contains_key(parent)) {
                return true;
            }
            next.extend(parents);
        }
        false
    }
}

impl Elsewhere {
    /// Lets a shard wait for these strangers. The first look at the checkpoints is at once.
    fn wait(&mut self, shard_id: ShardId, begin: Begin, strangers: Strangers, now: Instant) {
        self.waiting.insert(shard_id, Waiting { begin, strangers });
        (self.due, self.looks) = (Some(now), 0);
    }

    /// Returns the time of the next look.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.filter(|_| !self.is_running)
    }

    /// Begins a look if one is due. Returns whether it did.
    fn begin_if_due(&mut self, now: Instant) -> bool {
        let is_due = self.due().is_some_and(|due| due <= now);
        self.is_running |= is_due;
        is_due
    }

    /// Takes the checkpoints of a look. Returns the shards that need not wait any longer.
    fn on_checkpoints(
        &mut self,
        checkpoints: &[Checkpoint],
        now: Instant,
    ) -> Vec<(ShardId, Begin)> {
        self.is_running = false;
        self.failures.reset();
        let is_over = |waiting: &Waiting| !waiting.strangers.are_unfinished(checkpoints);
        let over = self.waiting.extract_if(.., |_, waiting| is_over(waiting));
        let over = over.map(|(id, waiting)| (id, waiting.begin)).collect();
        let interval = INTERVAL_MIN * 2_u32.saturating_pow(self.looks.min(8));
        self.looks += 1;
        self.due = (!self.waiting.is_empty()).then(|| now + interval.min(INTERVAL_MAX));
        over
    }

    /// Takes the failure of a look. Returns whether there will be another one.
    fn on_error(&mut self, now: Instant, outage_max: Duration, jitter: f64) -> bool {
        self.is_running = false;
        let class = ErrorClass::Transient;
        match self.failures.judge(class, now, outage_max, jitter) {
            RetryDecision::Again { at, .. } => {
                self.due = Some(at);
                true
            }
            RetryDecision::Final => false,
        }
    }
}

/// The driver's side of waiting shards.
impl Driver {
    /// Whether a shard waits for another reader, though all parents that this reader reads have ended.
    pub(in crate::get) fn waits_elsewhere(&mut self, shard_id: &ShardId, begin: &Begin) -> bool {
        if self.options.saver.is_none() || begin.resumed.is_some() {
            return false;
        }
        let strangers = Strangers::of(shard_id, &self.lineage);
        if !strangers.are_any() {
            return false;
        }
        let now = self.target.clock.instant();
        self.elsewhere
            .wait(shard_id.clone(), begin.clone(), strangers, now);
        true
    }

    pub(super) fn look_elsewhere_if_due(&mut self, now: Instant) {
        if let Some(saver) = &self.options.saver
            && self.elsewhere.begin_if_due(now)
        {
            let saver = saver.clone();
            self.calls
                .push(Box::pin(async move { Answer::Loaded(saver.load().await) }));
        }
    }

    pub(super) fn on_loaded(
        &mut self,
        result: Result<Vec<Checkpoint>, CheckpointError>,
    ) -> Result<(), GetError> {
        let now = self.target.clock.instant();
        match result {
            Ok(checkpoints) => {
                for (shard_id, begin) in self.elsewhere.on_checkpoints(&checkpoints, now) {
                    self.begin_shard(&shard_id, begin);
                }
                if self.elsewhere.looks == LOOKS_MAX && self.elsewhere.due.is_some() {
                    let stream = &self.target.stream;
                    let shards: Vec<_> = self.elsewhere.waiting.keys().collect();
                    tracing::warn!(%stream, ?shards, "shards wait for a parent that another reader has not finished");
                }
                Ok(())
            }
            Err(error) => {
                let outage_max = self.options.outage_max;
                if error.is_retryable() && self.elsewhere.on_error(now, outage_max, fastrand::f64())
                {
                    return Ok(());
                }
                Err(GetError::checkpoint(&self.target.stream, error))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::IteratorStart;

    fn parents(ids: &[&str]) -> Strangers {
        let parents: Vec<ShardId> = ids.iter().map(|id| (*id).into()).collect();
        let ancestors = parents.iter().map(|id| (id.clone(), Vec::new()));
        Strangers {
            ancestors: ancestors.collect(),
            parents,
        }
    }

    #[test]
    fn a_parent_that_was_not_begun_will_be_if_a_shard_before_it_was() {
        let mut strangers = parents(&["c"]);
        for (id, parent) in [("a", "gone"), ("b", "a"), ("c", "b")] {
            strangers.ancestors.insert(id.into(), vec![parent.into()]);
        }
        let row = |id: &str, place| Checkpoint::new(id.into(), place);
        let (begun, end) = (CheckpointPlace::TrimHorizon, CheckpointPlace::ShardEnd);
        for (rows, expected) in [
            (vec![], false),
            (vec![("other", begun.clone())], false),
            (vec![("a", begun.clone())], true),
            (vec![("a", end.clone())], true),
            (vec![("gone", begun.clone())], true),
            (vec![("a", end.clone()), ("b", end.clone())], true),
            (vec![("b", begun.clone()), ("c", end.clone())], false),
            (vec![("c", begun)], true),
            (vec![("a", end.clone()), ("c", end)], false),
        ] {
            let rows: Vec<_> = rows.into_iter().map(|(id, at)| row(id, at)).collect();
            assert_eq!(strangers.are_unfinished(&rows), expected, "{rows:?}");
        }
    }

    #[tokio::test]
    async fn a_shard_waits_while_a_checkpoint_says_that_a_parent_is_not_finished() {
        let mut now = crate::Clock::system().instant();
        let mut elsewhere = Elsewhere::default();
        let begin: Begin = IteratorStart::TrimHorizon.into();
        elsewhere.wait("c".into(), begin.clone(), parents(&["a", "b"]), now);
        let row = |id: &str, place| Checkpoint::new(id.into(), place);
        let mut rows = vec![
            row("a", CheckpointPlace::ShardEnd),
            row("b", CheckpointPlace::TrimHorizon),
        ];
        let mut waits = Vec::new();
        for _ in 0..7 {
            assert!(elsewhere.begin_if_due(now));
            assert!(!elsewhere.begin_if_due(now), "one look at a time");
            assert_eq!(elsewhere.on_checkpoints(&rows, now), []);
            let due = elsewhere.due().unwrap();
            waits.push(due - now);
            now = due;
        }
        assert!(waits.is_sorted() && waits[0] == INTERVAL_MIN && waits[6] == INTERVAL_MAX);
        rows[1].place = CheckpointPlace::ShardEnd;
        assert!(elsewhere.begin_if_due(now));
        assert_eq!(
            elsewhere.on_checkpoints(&rows, now),
            [("c".into(), begin.clone())]
        );
        assert_eq!(elsewhere.due(), None);
        // Without a checkpoint of the parent, no reader is known to read it.
        elsewhere.wait("c".into(), begin, parents(&["x"]), now);
        assert!(elsewhere.begin_if_due(now));
        assert_eq!(elsewhere.on_checkpoints(&rows, now).len(), 1);
    }
}
