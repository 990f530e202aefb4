//! The shards that were ever listed, with their ranges of hash keys: by them a shard takes the records that it stored,
//! or is the wrong one.

use std::collections::BTreeMap;

use crate::{
    service::StoredAt,
    shard::{HashKey, HashKeyRange, SequenceNumber, Shard, ShardId},
};

/// The largest number of closed shards that are remembered. The oldest are forgotten first.
const CLOSED_SHARDS_MAX: usize = 10_000;

/// The number of listings that have to be at variance with the numbers of records before the numbers count for nothing.
/// One that is out of date is no reason.
const UNEXPLAINED_MAX: u32 = 4;

/// The digits of a sequence number in the service's layout, which begins with the second of the shard's creation.
const NUMBER_DIGITS: usize = 56;
/// The digits of them that tell the second. Those of the next second are greater by 3 or 4.
const CREATION_DIGITS: usize = 12;
/// The most that the other parts of a number add to these digits.
const CREATION_CARRY: u64 = 1;

/// The shards of a stream, open and closed. Within one stream, a shard's range never changes and its id is never
/// reused.
#[derive(Debug, Default)]
pub(in crate::put) struct KnownShards {
    /// Ids grow with age, so the first are the oldest.
    shards: BTreeMap<ShardId, KnownShard>,
    /// The number of listings that did not explain the number of a record.
    unexplained: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct KnownShard {
    range: HashKeyRange,
    /// The first sequence number, which tells a shard from one of the same id in an earlier stream of the name.
    starting_sequence_number: SequenceNumber,
    /// Whether the last listing had it as an open shard.
    is_open: bool,
}

/// A judgement of the shard that stored a Kinesis record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::put) enum Landing {
    /// The shard that the record was sent to.
    Expected,
    /// Another shard, which takes the hash keys of all user records: the shard map is out of date.
    Moved,
    /// A shard that does not take the hash keys of all user records.
    WrongShard,
    /// A shard that was never listed.
    UnknownShard,
    /// A shard that does not take the hash key that the record was sent with: the service distributes the records of this
    /// stream by itself, or the stream was made again with other shards.
    Unkeyed,
}

impl KnownShards {
    /// Adds the shards of a listing. Returns whether it has an open shard that was not known.
    ///
    /// A shard that differs from the known one of its id belongs to another stream. Then all known shards are forgotten.
    pub(in crate::put) fn note(&mut self, listed: &[Shard]) -> bool {
        let differs = |shard: &Shard| {
            let known = self.shards.get(&shard.id);
            known.is_some_and(|known| !known.is_same_as(shard))
        };
        if listed.iter().any(differs) {
            self.shards.clear();
            self.unexplained = 0;
        }
        for known in self.shards.values_mut() {
            known.is_open = false;
        }
        let mut has_new = false;
        for shard in listed {
            let before = self.shards.insert(shard.id.clone(), KnownShard::new(shard));
            has_new |= before.is_none() && shard.is_open();
        }
        self.forget_oldest();
        has_new
    }

    fn forget_oldest(&mut self) {
        let closed = self.shards.values().filter(|known| !known.is_open).count();
        let mut excess = closed.saturating_sub(CLOSED_SHARDS_MAX);
        if excess == 0 {
            return;
        }
        self.shards.retain(|_, known| {
            let stays = known.is_open || excess == 0;
            excess -= usize::from(!stays);
            stays
        });
    }

    /// Returns the range of hash keys of a shard, if the shard is known.
    pub(in crate::put) fn range_of(&self, id: &ShardId) -> Option<HashKeyRange> {
        self.shards.get(id).map(|known| known.range)
    }

    /// Whether this shard is known not to take this hash key.
    pub(in crate::put) fn contradicts(&self, id: &ShardId, hash_key: HashKey) -> bool {
        self.range_of(id)
            .is_some_and(|range| !range.contains(hash_key))
    }

    /// Whether the known shard of this id is older than the one that took the record: the stream was made again. `None` if
    /// the shard is not known, or numbers tell nothing.
    ///
    /// Only a suspicion may rest on it: the layout of numbers is not documented.
    pub(in crate::put) fn is_older(&self, at: &StoredAt) -> Option<bool> {
        if self.unexplained >= UNEXPLAINED_MAX {
            return None;
        }
        let known = self.shards.get(&at.shard_id)?;
        let known = creation(&known.starting_sequence_number)?;
        Some(creation(&at.sequence_number)? > known + CREATION_CARRY)
    }

    /// Notes a listing with a shard that [is older](Self::is_older) than a record says.
    pub(in crate::put) fn explained_nothing(&mut self) {
        self.unexplained += 1;
    }

    /// Judges the shard of a Kinesis record with user records of these hash keys. It was sent with the first of them.
    pub(in crate::put) fn landing(&self, shard_id: &ShardId, hash_keys: &[HashKey]) -> Landing {
        let sent_with = hash_keys.first().copied().unwrap_or(HashKey::MIN);
        match self.range_of(shard_id) {
            None => Landing::UnknownShard,
            Some(range) if !range.contains(sent_with) => Landing::Unkeyed,
            Some(range) if hash_keys.iter().all(|key| range.contains(*key)) => Landing::Expected,
            Some(_) => Landing::WrongShard,
        }
    }
}

impl KnownShard {
    fn new(shard: &Shard) -> Self {
        Self {
            range: shard.hash_key_range,
            starting_sequence_number: shard.starting_sequence_number.clone(),
            is_open: shard.is_open(),
        }
    }

    fn is_same_as(&self, shard: &Shard) -> bool {
        self.range == shard.hash_key_range
            && self.starting_sequence_number == shard.starting_sequence_number
    }
}

/// Returns the digits of a sequence number that tell the creation of its shard; `None` for a number of another layout.
fn creation(number: &SequenceNumber) -> Option<u64> {
    let text = number.as_str();
    let digits = text.get(..CREATION_DIGITS);
    let digits = digits.filter(|_| text.len() == NUMBER_DIGITS);
    digits?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(number: usize, start: u128, end: u128) -> Shard {
        let range = HashKeyRange::new(HashKey::new(start), HashKey::new(end));
        let id = format!("shardId-{number:012}");
        Shard::new(id.into(), range, (number as u128).into())
    }

    fn id(number: usize) -> ShardId {
        shard(number, 0, 0).id
    }

    fn closed(mut shard: Shard) -> Shard {
        shard.ending_sequence_number = Some(9_u128.into());
        shard
    }

    #[test]
    fn a_landing_is_judged_by_the_range_of_the_shard_that_took_the_record() {
        let mut known = KnownShards::default();
        known.note(&[shard(1, 0, 99), shard(2, 100, u128::MAX)]);
        let judge = |number, keys: &[u128]| {
            let keys: Vec<_> = keys.iter().map(|&key| HashKey::new(key)).collect();
            known.landing(&id(number), &keys)
        };
        assert_eq!(judge(1, &[5, 99]), Landing::Expected);
        assert_eq!(judge(1, &[5, 100]), Landing::WrongShard);
        assert_eq!(judge(2, &[5]), Landing::Unkeyed);
        assert_eq!(judge(7, &[5]), Landing::UnknownShard);
    }

    #[test]
    fn a_shard_stays_known_when_it_is_closed_or_no_longer_listed() {
        let mut known = KnownShards::default();
        assert!(known.note(&[shard(0, 0, u128::MAX)]));
        assert!(known.note(&[shard(1, 0, 99), shard(2, 100, u128::MAX)]));
        let children = [
            closed(shard(1, 0, 99)),
            shard(2, 100, u128::MAX),
            shard(3, 0, 49),
            shard(4, 50, 99),
        ];
        assert!(known.note(&children));
        assert!(!known.note(&children), "nothing is new");
        for number in 0..5 {
            assert!(known.range_of(&id(number)).is_some(), "{number}");
        }
    }

    #[test]
    fn a_listing_that_contradicts_what_is_known_shows_another_stream() {
        for (range_end, number) in [(49, 1), (99, 77)] {
            let mut known = KnownShards::default();
            known.note(&[shard(1, 0, 99), shard(2, 100, u128::MAX)]);
            let mut again = shard(1, 0, range_end);
            again.starting_sequence_number = number.into();
            assert!(known.note(&[again]));
            assert_eq!(known.range_of(&id(2)), None, "it is of the stream before");
        }
    }

    #[test]
    fn the_number_of_a_record_tells_a_shard_that_was_made_later_than_the_known_one() {
        // Numbers that were seen on the service, of one shard and of one that is a second younger.
        let mut first = shard(1, 0, u128::MAX);
        let start = "49590338271490256608559692538361571095921575989136588802";
        first.starting_sequence_number = start.parse().unwrap();
        let mut known = KnownShards::default();
        known.note(&[first]);
        let is_older = |known: &KnownShards, number: &str| {
            known.is_older(&StoredAt::new(id(1), number.parse().unwrap()))
        };
        let same = "49590338271512557353758223161503106814194224350642569218";
        let younger = "49590338271847068531736182208654621071921575989136588802";
        assert_eq!(is_older(&known, same), Some(false));
        assert_eq!(is_older(&known, younger), Some(true));
        assert_eq!(is_older(&known, "17"), None, "another layout");
        assert_eq!(
            known.is_older(&StoredAt::new(id(2), younger.parse().unwrap())),
            None
        );
        for _ in 0..UNEXPLAINED_MAX {
            known.explained_nothing();
        }
        assert_eq!(is_older(&known, younger), None);
    }

    #[test]
    fn of_too_many_closed_shards_the_oldest_are_forgotten_and_no_open_one() {
        let mut known = KnownShards::default();
        known.note(&[shard(0, 0, u128::MAX)]);
        let many = (1..=CLOSED_SHARDS_MAX + 2).map(|number| closed(shard(number, 0, 99)));
        let listed: Vec<_> = std::iter::once(shard(0, 0, u128::MAX))
            .chain(many)
            .collect();
        known.note(&listed);
        assert_eq!(known.shards.len(), CLOSED_SHARDS_MAX + 1);
        let is_known = |number| known.range_of(&id(number)).is_some();
        assert!(is_known(0) && is_known(3) && !is_known(1) && !is_known(2));
    }
}
