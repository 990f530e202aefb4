use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use crate::fleet::lease::{Lease, LeaseChange, LeaseCheckpoint};

/// The shortest time between two records that are noted: a small part of the shortest retention.
const STEP_MIN: Duration = Duration::from_mins(1);
const NOTES_MAX: usize = 1_024;

/// The times up to which a shard was read, with the places at which they are finished: from the consumer of a lease to
/// its renewer. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct ReadTimes(Arc<Mutex<Notes>>);

/// Notes in the order of the shard. Without a place, a note holds at each checkpoint.
#[derive(Debug, Default)]
struct Notes {
    notes: VecDeque<(Option<LeaseCheckpoint>, SystemTime)>,
    /// The time between two records that are noted: longer while many notes are not finished.
    step: Duration,
}

impl ReadTimes {
    /// Notes records in the order of the shard, each as the place that finishes it and its time of arrival.
    pub(super) fn on_records(
        &self,
        records: impl Iterator<Item = (SystemTime, impl FnOnce() -> LeaseCheckpoint)>,
    ) {
        let mut notes = self.lock();
        for (arrived_at, place) in records {
            if notes.is_due(arrived_at) {
                notes.add(Some(place()), arrived_at);
            }
        }
    }

    /// Notes that everything that arrived before `time` is finished at this place.
    pub(super) fn on_tip(&self, place: Option<&LeaseCheckpoint>, time: SystemTime) {
        let mut notes = self.lock();
        match notes.notes.back_mut() {
            Some((last, _)) if last.as_ref() == place => {}
            _ => return notes.add(place.cloned(), time),
        }
        if let Some((_, last)) = notes.notes.back_mut() {
            *last = time.max(*last);
        }
    }

    /// Returns the time before which everything that arrived is finished after a change of the lease.
    pub(super) fn after(&self, lease: &Lease, change: &LeaseChange) -> Option<SystemTime> {
        match change {
            LeaseChange::Checkpoint { to, .. } => self.finished_until(lease, to),
            _ => self.finished_until(lease, &lease.checkpoint),
        }
    }

    /// Returns the time for the lease of a child, whose records are younger than those of its parent. `None` for the
    /// child of a merge, as only one of its parents is known here.
    pub(super) fn of_child(&self, parent: &Lease, child: &Lease) -> Option<SystemTime> {
        let is_split = child.parents.len() == 1;
        let finished_until = self.finished_until(parent, &LeaseCheckpoint::ShardEnd);
        finished_until.filter(|_| is_split)
    }

    /// Drops the notes whose time was stored by this change of a lease, which has this checkpoint now.
    pub(super) fn on_stored(&self, checkpoint: &LeaseCheckpoint, change: &LeaseChange) {
        if let LeaseChange::Renew | LeaseChange::Checkpoint { .. } | LeaseChange::Prepare(_) =
            change
        {
            let mut notes = self.lock();
            let count = notes.finished(checkpoint);
            notes.notes.drain(..count);
        }
    }

    /// Returns the time before which everything that arrived is finished, when the lease has come to this checkpoint.
    fn finished_until(&self, lease: &Lease, to: &LeaseCheckpoint) -> Option<SystemTime> {
        let notes = self.lock();
        let finished = notes.notes.iter().take(notes.finished(to));
        let latest = finished.map(|(_, time)| *time).max();
        lease.current_at.max(latest)
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    fn is_due(&self, arrived_at: SystemTime) -> bool {
        let step = self.step.max(STEP_MIN);
        let last = self.notes.back().map(|(_, last)| *last);
        last.and_then(|last| last.checked_add(step))
            .is_none_or(|due| arrived_at >= due)
    }

    fn add(&mut self, place: Option<LeaseCheckpoint>, time: SystemTime) {
        if self.notes.is_empty() {
            self.step = STEP_MIN;
        }
        if self.notes.len() >= NOTES_MAX {
            // Every second note goes: the others tell a little less.
            self.step *= 2;
            let mut stays = false;
            self.notes.retain(|_| {
                stays = !stays;
                stays
            });
        }
        self.notes.push_back((place, time));
    }

    /// Returns the number of notes that are finished at this checkpoint.
    fn finished(&self, checkpoint: &LeaseCheckpoint) -> usize {
        let is_finished = |place: &Option<LeaseCheckpoint>| {
            let place = place.as_ref();
            place.is_none_or(|place| !checkpoint.is_before(place))
        };
        self.notes.partition_point(|(place, _)| is_finished(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(number: u64) -> LeaseCheckpoint {
        LeaseCheckpoint::After {
            sequence_number: u128::from(number).into(),
            sub_sequence_number: 0,
        }
    }

    fn finished(times: &ReadTimes, to: &LeaseCheckpoint) -> Option<SystemTime> {
        times.finished_until(&Lease::new("s".into(), LeaseCheckpoint::TrimHorizon), to)
    }

    fn at(minutes: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_mins(minutes)
    }

    /// Notes records, one every minute.
    fn read(times: &ReadTimes, numbers: std::ops::RangeInclusive<u64>) {
        times.on_records(numbers.map(|number| (at(number), move || after(number))));
    }

    #[test]
    fn a_time_is_finished_with_the_record_that_arrived_then() {
        let times = ReadTimes::default();
        read(&times, 1..=9);
        assert_eq!(finished(&times, &LeaseCheckpoint::TrimHorizon), None);
        assert_eq!(finished(&times, &after(4)), Some(at(4)));
        times.on_stored(&after(4), &LeaseChange::Renew);
        assert_eq!(finished(&times, &after(4)), None, "the lease has it");
        assert_eq!(finished(&times, &after(5)), Some(at(5)));
        assert_eq!(finished(&times, &LeaseCheckpoint::ShardEnd), Some(at(9)));
    }

    #[test]
    fn the_tip_is_finished_with_the_last_record_before_it_or_at_once_if_there_was_none() {
        let times = ReadTimes::default();
        times.on_tip(None, at(100));
        assert_eq!(
            finished(&times, &LeaseCheckpoint::TrimHorizon),
            Some(at(100))
        );
        read(&times, 200..=200);
        times.on_tip(Some(&after(200)), at(300));
        times.on_tip(Some(&after(200)), at(400));
        assert_eq!(finished(&times, &after(199)), Some(at(100)));
        assert_eq!(finished(&times, &after(200)), Some(at(400)));
    }

    #[test]
    fn a_lease_keeps_its_own_time_until_a_later_one_is_known_and_a_child_of_a_split_takes_it_over()
    {
        let times = ReadTimes::default();
        let mut lease = Lease::new("s".into(), after(4));
        lease.current_at = Some(at(4));
        assert_eq!(times.after(&lease, &LeaseChange::Renew), Some(at(4)));
        read(&times, 5..=6);
        let to = LeaseChange::Checkpoint {
            to: after(5),
            children: Vec::new(),
        };
        assert_eq!(times.after(&lease, &LeaseChange::Renew), Some(at(4)));
        assert_eq!(times.after(&lease, &to), Some(at(5)));
        times.on_stored(&after(5), &LeaseChange::Evict);
        assert_eq!(times.after(&lease, &to), Some(at(5)));
        let mut child = Lease::new("child".into(), LeaseCheckpoint::TrimHorizon);
        child.parents = vec!["s".into()];
        assert_eq!(times.of_child(&lease, &child), Some(at(6)));
        child.parents.push("t".into());
        assert_eq!(times.of_child(&lease, &child), None);
    }

    #[test]
    fn a_place_inside_of_the_last_aggregate_does_not_finish_the_tip() {
        let times = ReadTimes::default();
        let part = |sub_sequence_number| LeaseCheckpoint::After {
            sequence_number: 7.into(),
            sub_sequence_number,
        };
        times.on_tip(Some(&part(3)), at(9));
        assert_eq!(finished(&times, &part(2)), None);
        assert_eq!(finished(&times, &part(3)), Some(at(9)));
    }

    #[test]
    fn however_long_nothing_is_finished_few_notes_are_kept_and_they_tell_enough() {
        let times = ReadTimes::default();
        let year = 365 * 24 * 60;
        read(&times, 1..=year);
        assert!(times.lock().notes.len() <= NOTES_MAX);
        let half = finished(&times, &after(year / 2)).unwrap();
        assert!(half <= at(year / 2) && half > at(year / 2 - 24 * 60));
        times.on_stored(&after(year), &LeaseChange::Renew);
        read(&times, year + 1..=year + 2);
        assert_eq!(times.lock().notes.len(), 2, "the step is short again");
    }
}
