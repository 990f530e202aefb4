//! The check for checkpoints of an earlier stream of the same name.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;

use crate::{
    get::checkpoint::{Checkpoint, CheckpointPlace},
    shard::{SequenceNumber, Shard, ShardId},
};

/// The largest difference between two equal creation times: they may have come in formats of different precision.
const SAME_TIME_MAX: Duration = Duration::from_secs(1);

/// The fact of a stream that a checkpoint contradicts; see [`GetError::Mismatch`](crate::GetError::Mismatch).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// The shard, which was read to its end, still takes records.
    OpenShard,
    /// The shard begins at this number, which is above that of the checkpoint.
    StartsAt(SequenceNumber),
    /// The shard ends at this number, which is below that of the checkpoint.
    EndsAt(SequenceNumber),
    /// The newest shard of the stream is this one, which is older than that of the checkpoint.
    NewestShard(ShardId),
    /// The stream was created at this time, the one of the checkpoint at another.
    CreatedAt(SystemTime),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenShard => f.write_str("the shard is open"),
            Self::StartsAt(number) => write!(f, "the shard starts at {number}"),
            Self::EndsAt(number) => write!(f, "the shard ends at {number}"),
            Self::NewestShard(id) => write!(f, "the newest shard is {id}"),
            Self::CreatedAt(time) => match Timestamp::try_from(*time) {
                Ok(time) => write!(f, "the stream was created at {time}"),
                Err(_) => f.write_str("the stream was created at another time"),
            },
        }
    }
}

/// Returns the fact about these shards, sorted by id, that contradicts the checkpoint.
pub(in crate::get) fn contradiction(checkpoint: &Checkpoint, shards: &[Shard]) -> Option<Mismatch> {
    let id = &checkpoint.shard_id;
    let Ok(index) = shards.binary_search_by(|shard| shard.id.cmp(id)) else {
        // Only older shards than the newest can have expired.
        let newest = &shards.last()?.id;
        let is_newer = is_numbered(id) && is_numbered(newest) && id > newest;
        return is_newer.then(|| Mismatch::NewestShard(newest.clone()));
    };
    let shard = &shards[index];
    match &checkpoint.place {
        CheckpointPlace::ShardEnd => shard.is_open().then_some(Mismatch::OpenShard),
        CheckpointPlace::After {
            sequence_number, ..
        } => {
            let (start, end) = (
                &shard.starting_sequence_number,
                &shard.ending_sequence_number,
            );
            if sequence_number < start {
                return Some(Mismatch::StartsAt(start.clone()));
            }
            let end = end.as_ref().filter(|end| sequence_number > *end);
            end.cloned().map(Mismatch::EndsAt)
        }
        _ => None,
    }
}

/// Whether the id is one of the service's, which are numbered and so sort by age.
fn is_numbered(id: &ShardId) -> bool {
    let number = id.as_str().strip_prefix("shardId-");
    number.is_some_and(|number| {
        number.len() == 12 && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Returns the first checkpoint that was saved in a stream with another creation time.
pub(in crate::get) fn of_another_stream(
    checkpoints: &[Checkpoint],
    created_at: SystemTime,
) -> Option<&Checkpoint> {
    let differs = |time: SystemTime| {
        let apart = time.duration_since(created_at);
        apart.unwrap_or_else(|error| error.duration()) >= SAME_TIME_MAX
    };
    checkpoints
        .iter()
        .find(|row| row.stream_created_at.is_some_and(differs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::HashKeyRange;

    fn shard(number: u128, is_open: bool) -> Shard {
        let id = format!("shardId-{number:012}");
        let mut shard = Shard::new(id.as_str().into(), HashKeyRange::ALL, (100 * number).into());
        shard.ending_sequence_number = (!is_open).then(|| (100 * number + 50).into());
        shard
    }

    fn found(number: u128, place: CheckpointPlace) -> Option<Mismatch> {
        let id = format!("shardId-{number:012}");
        let checkpoint = Checkpoint::new(id.as_str().into(), place);
        contradiction(&checkpoint, &[shard(1, false), shard(2, true)])
    }

    fn after(number: u128) -> CheckpointPlace {
        CheckpointPlace::After {
            sequence_number: number.into(),
            sub_sequence_number: None,
        }
    }

    #[test]
    fn a_checkpoint_fits_a_shard_that_has_its_number_or_its_end_and_one_that_expired() {
        for (number, place) in [
            (1, CheckpointPlace::ShardEnd),
            (1, after(100)),
            (1, after(150)),
            (2, after(900)),
            (2, CheckpointPlace::TrimHorizon),
            (0, CheckpointPlace::ShardEnd),
            (0, after(7)),
        ] {
            assert_eq!(found(number, place.clone()), None, "{number} {place:?}");
        }
    }

    #[test]
    fn a_checkpoint_that_the_listing_contradicts_is_told_with_what_contradicts_it() {
        assert_eq!(
            found(2, CheckpointPlace::ShardEnd),
            Some(Mismatch::OpenShard)
        );
        assert_eq!(found(2, after(199)), Some(Mismatch::StartsAt(200.into())));
        assert_eq!(found(1, after(151)), Some(Mismatch::EndsAt(150.into())));
        let newest = Mismatch::NewestShard(shard(2, true).id);
        assert_eq!(found(3, CheckpointPlace::ShardEnd), Some(newest));
    }

    #[test]
    fn a_stream_that_was_made_again_is_told_by_its_time_of_creation() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_hours(1);
        let row = Checkpoint::new("s".into(), CheckpointPlace::ShardEnd);
        let of = |time| [row.clone().of_stream_created_at(time)];
        assert_eq!(of_another_stream(std::slice::from_ref(&row), time), None);
        let rounded = time + Duration::from_millis(999);
        assert_eq!(of_another_stream(&of(rounded), time), None);
        for time in [time - Duration::from_secs(1), time + Duration::from_secs(1)] {
            let rows = of(time);
            let created_at = SystemTime::UNIX_EPOCH + Duration::from_hours(1);
            assert_eq!(of_another_stream(&rows, created_at), rows.first());
        }
    }
}
