//! The conversion between KCL's checkpoints and this library's.

use super::{extension::CheckpointTimes, lease::LeaseCheckpoint, row::words};
use crate::{
    Checkpoint, CheckpointPlace,
    clock::{epoch_millis, from_epoch_millis},
};

/// The sub-sequence number of a Kinesis record that is finished as a whole.
///
/// KCL continues at the sequence number, and drops the user records up to the sub-sequence number. When a record is
/// finished, the number of user records in it is not known here. With 0, which KCL writes for a record without
/// aggregation, KCL would repeat all but the first. No aggregate has this many user records. It is the largest `long`
/// of Java, so KCL can read it.
const WHOLE: u64 = i64::MAX as u64;

/// Returns the checkpoint in KCL's form, and the times that have no attribute there.
pub(super) fn encode(checkpoint: &Checkpoint) -> (LeaseCheckpoint, CheckpointTimes) {
    let mut begun_at_millis = None;
    let place = match &checkpoint.place {
        CheckpointPlace::TrimHorizon => LeaseCheckpoint::TrimHorizon,
        CheckpointPlace::Timestamp(time) => {
            begun_at_millis = Some(epoch_millis(*time));
            LeaseCheckpoint::AtTimestamp
        }
        CheckpointPlace::After {
            sequence_number,
            sub_sequence_number,
        } => LeaseCheckpoint::After {
            sequence_number: sequence_number.clone(),
            sub_sequence_number: sub_sequence_number.map_or(WHOLE, |index| index.min(WHOLE)),
        },
        CheckpointPlace::ShardEnd => LeaseCheckpoint::ShardEnd,
    };
    let (text, sub_sequence_number) = words(&place);
    let times = CheckpointTimes {
        checkpoint: text.to_owned(),
        sub_sequence_number,
        begun_at_millis,
        arrived_at_millis: checkpoint.arrived_at.map(epoch_millis),
        current_at_millis: checkpoint.current_at.map(epoch_millis),
        stream_created_at_millis: checkpoint.stream_created_at.map(epoch_millis),
    };
    (place, times)
}

/// Returns the checkpoint of a row. `None` if nothing was read and the row has no start position: KCL and this library
/// then begin at the position in their settings.
///
/// If KCL has moved the checkpoint, only the creation time of the stream is still valid.
pub(super) fn decode(
    shard: &str,
    place: &LeaseCheckpoint,
    times: Option<&CheckpointTimes>,
) -> Option<Checkpoint> {
    let stream_created_at = times.and_then(|times| times.stream_created_at_millis);
    let times =
        times.filter(|times| (&*times.checkpoint, times.sub_sequence_number) == words(place));
    let place = match place {
        LeaseCheckpoint::TrimHorizon => CheckpointPlace::TrimHorizon,
        LeaseCheckpoint::Latest => return None,
        LeaseCheckpoint::AtTimestamp => {
            CheckpointPlace::Timestamp(from_epoch_millis(times?.begun_at_millis?))
        }
        LeaseCheckpoint::After {
            sequence_number,
            sub_sequence_number,
        } => CheckpointPlace::After {
            sequence_number: sequence_number.clone(),
            sub_sequence_number: (*sub_sequence_number != WHOLE).then_some(*sub_sequence_number),
        },
        LeaseCheckpoint::ShardEnd => CheckpointPlace::ShardEnd,
    };
    let mut checkpoint = Checkpoint::new(shard.into(), place);
    let arrived_at = times.and_then(|times| times.arrived_at_millis);
    let current_at = times.and_then(|times| times.current_at_millis);
    checkpoint.arrived_at = arrived_at.map(from_epoch_millis);
    checkpoint.current_at = current_at.map(from_epoch_millis);
    checkpoint.stream_created_at = stream_created_at.map(from_epoch_millis);
    Some(checkpoint)
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places() -> impl Strategy<Value = CheckpointPlace> {
        let millis = 0..u64::from(u32::MAX) * 1_000;
        prop_oneof![
            Just(CheckpointPlace::TrimHorizon),
            Just(CheckpointPlace::ShardEnd),
            millis.prop_map(|millis| CheckpointPlace::Timestamp(from_epoch_millis(millis))),
            (any::<u128>(), proptest::option::of(0..WHOLE)).prop_map(|(number, index)| {
                CheckpointPlace::After {
                    sequence_number: number.into(),
                    sub_sequence_number: index,
                }
            }),
        ]
    }

    prop_compose! {
        pub(in crate::fleet) fn checkpoints()(
            place in places(),
            arrived_at in proptest::option::of(0..u64::from(u32::MAX) * 1_000),
            current_at in proptest::option::of(0..u64::from(u32::MAX) * 1_000),
            stream_created_at in proptest::option::of(0..u64::from(u32::MAX) * 1_000),
        ) -> Checkpoint {
            let mut checkpoint = Checkpoint::new("shardId-000000000003".into(), place);
            checkpoint.arrived_at = arrived_at.map(from_epoch_millis);
            checkpoint.current_at = current_at.map(from_epoch_millis);
            checkpoint.stream_created_at = stream_created_at.map(from_epoch_millis);
            checkpoint
        }
    }

    proptest! {
        #[test]
        fn a_checkpoint_comes_back_as_it_was_written(checkpoint in checkpoints()) {
            let (place, times) = encode(&checkpoint);
            let back = decode(checkpoint.shard_id.as_str(), &place, Some(&times));
            prop_assert_eq!(back, Some(checkpoint));
        }
    }

    fn at(number: u128, sub_sequence_number: u64) -> LeaseCheckpoint {
        LeaseCheckpoint::After {
            sequence_number: number.into(),
            sub_sequence_number,
        }
    }

    #[test]
    fn a_finished_record_is_finished_for_kcl_however_many_were_in_it() {
        let after = |sub_sequence_number| {
            let place = CheckpointPlace::After {
                sequence_number: 7.into(),
                sub_sequence_number,
            };
            encode(&Checkpoint::new("s".into(), place)).0
        };
        assert_eq!(after(None), at(7, 9_223_372_036_854_775_807));
        assert_eq!(after(Some(4)), at(7, 4));
    }

    #[test]
    fn times_of_a_checkpoint_that_kcl_has_moved_are_forgotten() {
        let place = CheckpointPlace::After {
            sequence_number: 7.into(),
            sub_sequence_number: Some(4),
        };
        let time = from_epoch_millis(1_000);
        let checkpoint = Checkpoint::new("s".into(), place).arrived_at(time);
        let checkpoint = checkpoint.current_at(time).of_stream_created_at(time);
        let (_, times) = encode(&checkpoint);
        let decoded = |place| decode("s", &place, Some(&times)).unwrap();
        let times = |place| {
            let row = decoded(place);
            (row.arrived_at, row.current_at)
        };
        let (both, none) = ((Some(time), Some(time)), (None, None));
        for (place, expected) in [(at(7, 4), both), (at(7, 5), none), (at(8, 4), none)] {
            assert_eq!(times(place.clone()), expected);
            assert_eq!(decoded(place).stream_created_at, Some(time));
        }
    }

    #[test]
    fn a_row_that_does_not_say_where_to_begin_is_no_checkpoint() {
        assert_eq!(decode("s", &LeaseCheckpoint::Latest, None), None);
        assert_eq!(decode("s", &LeaseCheckpoint::AtTimestamp, None), None);
    }
}
