use aws_sdk_kinesis::types;

use crate::shard::{HashKey, HashKeyRange, SequenceNumber, Shard, ShardId};

/// Converts a shard; `None` if one of its numbers is absent or not decimal.
pub(super) fn shard(shard: types::Shard) -> Option<Shard> {
    let numbers = shard.sequence_number_range?;
    let starting = SequenceNumber::try_from(numbers.starting_sequence_number).ok()?;
    let ending = match numbers.ending_sequence_number {
        Some(number) => Some(SequenceNumber::try_from(number).ok()?),
        None => None,
    };
    Some(Shard {
        id: ShardId::from(shard.shard_id),
        parent_id: shard.parent_shard_id.map(ShardId::from),
        adjacent_parent_id: shard.adjacent_parent_shard_id.map(ShardId::from),
        hash_key_range: hash_key_range(shard.hash_key_range.as_ref())?,
        starting_sequence_number: starting,
        ending_sequence_number: ending,
    })
}

/// Converts a range; `None` if it or one of its ends is absent or not a hash key.
pub(super) fn hash_key_range(range: Option<&types::HashKeyRange>) -> Option<HashKeyRange> {
    let key = |text: &str| text.parse::<HashKey>().ok();
    let range = range?;
    Some(HashKeyRange::new(
        key(&range.starting_hash_key)?,
        key(&range.ending_hash_key)?,
    ))
}
