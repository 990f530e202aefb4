use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Checkpoint, CheckpointPlace};
use crate::shard::ShardId;

/// The finished position of each shard, and the positions that are not saved yet.
///
/// It holds the watermark of each shard, which never passes an unfinished record, whatever the order in which records
/// are finished. The lock is held for a few pushes and pops only.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    shards: Mutex<HashMap<ShardId, ShardProgress>>,
}

#[derive(Debug, Default)]
struct ShardProgress {
    /// The steps from the first unfinished one on, in the order of the shard. Two places that were only reached are never
    /// neighbours, so there are at most twice as many steps as were begun, plus one.
    open: VecDeque<Step>,
    /// The ordinal of the first step in `open`.
    first: Ordinal,
    /// The newest finished place that is not saved.
    unsaved: Option<Checkpoint>,
    /// Whether the shard ended: then nothing more is expected of it.
    is_ended: bool,
}

#[derive(Debug)]
struct Step {
    checkpoint: Checkpoint,
    is_finished: bool,
}

/// The number of a step in its shard, from 0.
pub(crate) type Ordinal = u64;

impl Progress {
    /// Begins a step: a record was given out, and holds the watermark back until it is finished. `None` if `open_max` steps
    /// of the shard are unfinished, or wait for one that is.
    pub(crate) fn begin(&self, checkpoint: Checkpoint, open_max: u64) -> Option<Ordinal> {
        let mut shards = self.lock();
        let shard = shards.entry(checkpoint.shard_id.clone()).or_default();
        let open = shard.open.len() as u64;
        if open >= open_max {
            return None;
        }
        shard.open.push_back(Step {
            checkpoint,
            is_finished: false,
        });
        Some(shard.first + open)
    }

    /// Finishes a step. Has no effect on one that is finished already or not known.
    pub(crate) fn finish(&self, shard_id: &ShardId, ordinal: Ordinal) {
        let mut shards = self.lock();
        let Some(shard) = shards.get_mut(shard_id) else {
            return;
        };
        let index = ordinal
            .checked_sub(shard.first)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(step) = index.and_then(|index| shard.open.get_mut(index)) {
            step.is_finished = true;
        }
        shard.advance();
    }

    /// Notes a place that is finished as soon as the steps before it are.
    ///
    /// It replaces a finished step right before it, so that many such places behind one unfinished step take the memory of
    /// one.
    pub(crate) fn reach(&self, checkpoint: Checkpoint) {
        let mut shards = self.lock();
        let shard = shards.entry(checkpoint.shard_id.clone()).or_default();
        shard.is_ended = checkpoint.place == CheckpointPlace::ShardEnd;
        match shard.open.back_mut().filter(|last| last.is_finished) {
            Some(last) => last.checkpoint = checkpoint,
            None => shard.open.push_back(Step {
                checkpoint,
                is_finished: true,
            }),
        }
        shard.advance();
    }

    /// Returns the number of steps of a shard that are unfinished, or wait for one that is.
    pub(crate) fn open_count(&self, shard_id: &ShardId) -> usize {
        self.lock()
            .get(shard_id)
            .map_or(0, |shard| shard.open.len())
    }

    /// Takes the positions to save, which then count as saved.
    pub(crate) fn take_unsaved(&self) -> Vec<Checkpoint> {
        let mut shards = self.lock();
        let unsaved = shards
            .values_mut()
            .filter_map(|shard| shard.unsaved.take())
            .collect();
        shards.retain(|_, shard| !shard.is_ended || !shard.open.is_empty());
        unsaved
    }

    /// Puts back positions that could not be saved, unless there is a newer one of the shard.
    pub(super) fn put_back(&self, checkpoints: Vec<Checkpoint>) {
        let mut shards = self.lock();
        for checkpoint in checkpoints {
            let is_end = checkpoint.place == CheckpointPlace::ShardEnd;
            let shard = shards.entry(checkpoint.shard_id.clone()).or_default();
            shard.is_ended |= is_end;
            shard.unsaved.get_or_insert(checkpoint);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ShardId, ShardProgress>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ShardProgress {
    fn advance(&mut self) {
        while let Some(step) = self.open.pop_front_if(|step| step.is_finished) {
            self.first += 1;
            self.unsaved = Some(step.checkpoint);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(number: u64) -> Checkpoint {
        let place = CheckpointPlace::After {
            sequence_number: u128::from(number).into(),
            sub_sequence_number: None,
        };
        Checkpoint::new("s".into(), place)
    }

    proptest! {
        #[test]
        fn the_mark_is_the_last_record_before_the_first_unfinished_one(
            order in Just((0_u64..30).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let (progress, shard) = (Progress::default(), "s".into());
            for number in 0..30 {
                prop_assert_eq!(progress.begin(after(number), 30), Some(number));
            }
            prop_assert_eq!(progress.begin(after(30), 30), None);
            let mut finished = std::collections::BTreeSet::new();
            let mut mark = None;
            for ordinal in order {
                progress.finish(&shard, ordinal);
                finished.insert(ordinal);
                mark = progress.take_unsaved().pop().or(mark);
                let expected = (0..30).take_while(|number| finished.contains(number)).last();
                prop_assert_eq!(&mark, &expected.map(after));
            }
        }
    }

    #[test]
    fn the_end_of_a_shard_waits_for_its_records() {
        let progress = Progress::default();
        let ordinal = progress.begin(after(1), 1).unwrap();
        let end = Checkpoint::new("s".into(), CheckpointPlace::ShardEnd);
        progress.reach(end.clone());
        assert_eq!(progress.take_unsaved(), []);
        progress.finish(&"s".into(), ordinal);
        assert_eq!(progress.take_unsaved(), [end]);
        assert!(progress.lock().is_empty());
    }

    #[test]
    fn places_behind_an_unfinished_step_take_the_room_of_one() {
        let (progress, shard) = (Progress::default(), "s".into());
        let open = || progress.lock()[&shard].open.len();
        let first = progress.begin(after(1), 10).unwrap();
        for number in 2..=1_000 {
            progress.reach(after(number));
        }
        assert_eq!(open(), 2);
        // Between steps that were begun, too: all of them count towards the bound.
        let mut number = 1_000;
        while progress.begin(after(number + 1), 10).is_some() {
            progress.reach(after(number + 2));
            number += 2;
        }
        assert!(open() <= 11, "{}", open());
        progress.finish(&shard, first);
        assert_eq!(progress.take_unsaved(), [after(1_000)]);
    }

    #[test]
    fn a_place_behind_an_acked_record_is_reached_with_it_and_later_ordinals_stay_right() {
        let (progress, shard) = (Progress::default(), "s".into());
        let ordinals: Vec<_> = (1..=2)
            .map(|n| progress.begin(after(n), 9).unwrap())
            .collect();
        progress.finish(&shard, ordinals[1]);
        progress.reach(after(3));
        let fourth = progress.begin(after(4), 9).unwrap();
        progress.finish(&shard, ordinals[1]);
        assert_eq!(progress.take_unsaved(), []);
        progress.finish(&shard, ordinals[0]);
        assert_eq!(progress.take_unsaved(), [after(3)]);
        progress.finish(&shard, fourth);
        assert_eq!(progress.take_unsaved(), [after(4)]);
    }

    #[test]
    fn what_could_not_be_saved_is_saved_again_unless_something_newer_is() {
        let progress = Progress::default();
        progress.reach(after(1));
        let unsaved = progress.take_unsaved();
        progress.put_back(unsaved.clone());
        assert_eq!(progress.take_unsaved(), unsaved);
        progress.reach(after(2));
        progress.put_back(unsaved);
        assert_eq!(progress.take_unsaved(), [after(2)]);
    }
}
