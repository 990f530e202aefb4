//! The time before which everything that arrived is finished, by the checkpoint of a worker's lease: one attribute of
//! this library.

use std::{collections::HashMap, time::SystemTime};

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    extension::{CHECKPOINT, COUNTER, CURRENT_AT, EXTENSION, Extension, SUB_SEQUENCE_NUMBER},
    lease::{Lease, LeaseCheckpoint},
    row::{Item, count, number, owned, text, words},
};
use crate::clock::{epoch_millis, from_epoch_millis};

/// The name of the attribute.
pub(super) const CURRENT: &str = "kinesisPipelineCurrent";

/// The number of writes after which the time of a row is not valid any more. Workers of this library repeat it with
/// their writes, except the few at the end of a holding. A KCL worker that holds the lease does not: it may have read a
/// quiet shard for days, with the same checkpoint.
const LATER_WRITES_MAX: u64 = 8;

/// Returns the attribute of a row with this checkpoint and counter. KCL's updates do not touch it, so it states what it
/// belongs to.
pub(super) fn encode(
    checkpoint: &LeaseCheckpoint,
    counter: u64,
    time: SystemTime,
) -> AttributeValue {
    let (place, sub_sequence_number) = words(checkpoint);
    AttributeValue::M(HashMap::from([
        (CHECKPOINT.to_owned(), text(place)),
        (SUB_SEQUENCE_NUMBER.to_owned(), number(sub_sequence_number)),
        (COUNTER.to_owned(), number(counter)),
        (CURRENT_AT.to_owned(), number(epoch_millis(time))),
    ]))
}

/// Returns the time of a row with this lease, as set by a worker or a reader. `None` if KCL has moved the checkpoint
/// since, or has held the lease.
pub(super) fn decode(item: &Item, lease: &Lease) -> Option<SystemTime> {
    let millis = ours(item, lease).max(of_reader(item, lease));
    millis.map(from_epoch_millis)
}

fn ours(item: &Item, lease: &Lease) -> Option<u64> {
    let members = item.get(CURRENT)?.as_m().ok()?;
    let place = owned(members, CHECKPOINT)?;
    let place = (&*place, count(members, SUB_SEQUENCE_NUMBER)?);
    let is_valid = is_valid(place, count(members, COUNTER)?, lease);
    count(members, CURRENT_AT).filter(|_| is_valid)
}

fn of_reader(item: &Item, lease: &Lease) -> Option<u64> {
    let Extension { counter, times, .. } = Extension::decode(item.get(EXTENSION)?)?;
    let place = (&*times.checkpoint, times.sub_sequence_number);
    let finished_until = times.current_at_millis.max(times.arrived_at_millis);
    finished_until.filter(|_| is_valid(place, counter, lease))
}

/// Whether what was written with this checkpoint and counter holds for the lease as it is now.
fn is_valid(place: (&str, u64), counter: u64, lease: &Lease) -> bool {
    let later_writes = lease.counter.checked_sub(counter);
    place == words(&lease.checkpoint)
        && later_writes.is_some_and(|writes| writes <= LATER_WRITES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Checkpoint, CheckpointPlace,
        fleet::{identity::Identity, place},
    };

    fn at(number: u128, sub_sequence_number: u64) -> LeaseCheckpoint {
        LeaseCheckpoint::After {
            sequence_number: number.into(),
            sub_sequence_number,
        }
    }

    fn lease(checkpoint: LeaseCheckpoint, counter: u64) -> Lease {
        let mut lease = Lease::new("s".into(), checkpoint);
        lease.counter = counter;
        lease
    }

    #[test]
    fn the_time_of_a_checkpoint_that_kcl_has_moved_is_forgotten() {
        let time = from_epoch_millis(1_000);
        let item = Item::from([(CURRENT.to_owned(), encode(&at(7, 4), 5, time))]);
        assert_eq!(decode(&item, &lease(at(7, 4), 5)), Some(time));
        for moved in [at(7, 5), at(8, 4), LeaseCheckpoint::TrimHorizon] {
            assert_eq!(decode(&item, &lease(moved, 6)), None);
        }
    }

    #[test]
    fn the_time_is_forgotten_when_others_have_held_the_lease() {
        let time = from_epoch_millis(1_000);
        let item = Item::from([(CURRENT.to_owned(), encode(&at(7, 4), 5, time))]);
        let at_counter = |counter| decode(&item, &lease(at(7, 4), counter));
        assert_eq!([4, 5, 7].map(at_counter), [None, Some(time), Some(time)]);
        assert_eq!(at_counter(5 + LATER_WRITES_MAX + 1), None);
    }

    #[test]
    fn the_times_of_a_reader_are_those_of_the_fleet_that_goes_on() {
        let place = CheckpointPlace::After {
            sequence_number: 7.into(),
            sub_sequence_number: Some(4),
        };
        let checkpoint = Checkpoint::new("s".into(), place).arrived_at(from_epoch_millis(1_000));
        for (checkpoint, expected) in [
            (checkpoint.clone(), 1_000),
            (checkpoint.current_at(from_epoch_millis(3_000)), 3_000),
        ] {
            let extension = Extension {
                identity: Identity::new("app", "stream"),
                writer: "reader".to_owned(),
                counter: 1,
                times: place::encode(&checkpoint).1,
            };
            let item = Item::from([(EXTENSION.to_owned(), extension.encode())]);
            let expected = from_epoch_millis(expected);
            assert_eq!(decode(&item, &lease(at(7, 4), 2)), Some(expected));
            assert_eq!(decode(&item, &lease(at(8, 0), 2)), None);
            assert_eq!(decode(&item, &lease(at(7, 4), 99)), None);
        }
    }

    #[test]
    fn an_attribute_of_somebody_else_tells_no_time() {
        for value in [text("something"), AttributeValue::M(HashMap::new())] {
            let item = Item::from([(CURRENT.to_owned(), value)]);
            assert_eq!(decode(&item, &lease(at(7, 4), 5)), None);
        }
    }
}
