//! Which shard takes a record.

use std::collections::VecDeque;

use crate::{
    digest,
    put::pending::pending::Accepted,
    shard::{HashKey, HashKeyRange, Shard, ShardId},
};

/// How many partition keys are hashed at a time: a multiple of the lanes.
pub(crate) const HASHED_AT_ONCE: usize = 8 * digest::LANES;

/// Finds the hash key of each record from this one on: its explicit one, or that of its partition key.
pub(crate) fn find_hash_keys(users: &mut VecDeque<Accepted>, from: usize) {
    let mut keys = Vec::with_capacity(users.len() - from);
    for user in users.range(from..) {
        if user.record.explicit_hash_key.is_none() {
            keys.push(user.record.partition_key.as_bytes());
        }
    }
    let mut digests = digest::of_each(&keys).into_iter();
    for user in users.range_mut(from..) {
        let explicit = user.record.explicit_hash_key;
        let hash_key = explicit.or_else(|| digests.next().map(HashKey::of_digest));
        user.fate.place_by(hash_key.unwrap_or(HashKey::MIN));
    }
}

/// How the lane of a record is found.
#[derive(Debug)]
pub(crate) enum Placement {
    /// There is one lane.
    Off {
        /// No shard map will ever help.
        for_good: bool,
    },
    /// The shard map is not known yet.
    Awaited,
    /// By the hash key of the record.
    ByShard(ShardMap),
}

impl Placement {
    /// The lane of a record with this hash key; `None` while the shard map is awaited.
    pub(crate) fn index_of(&self, hash_key: HashKey) -> Option<usize> {
        match self {
            Self::Off { .. } => Some(0),
            Self::Awaited => None,
            Self::ByShard(map) => Some(map.index_of(hash_key)),
        }
    }

    /// Whether a shard map would help.
    pub(crate) fn may_get_better(&self) -> bool {
        match self {
            Self::Off { for_good } => !for_good,
            Self::Awaited => true,
            Self::ByShard(_) => false,
        }
    }
}

/// The open shards of a stream by their hash keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShardMap {
    /// By the start of the range.
    shards: Vec<(HashKeyRange, ShardId)>,
    /// The starts alone: every record is looked up in them.
    starts: Vec<HashKey>,
}

impl ShardMap {
    /// The map of the open shards among these; `None` if none is open.
    pub(crate) fn of(shards: &[Shard]) -> Option<Self> {
        let open = shards.iter().filter(|shard| shard.is_open());
        let mut shards: Vec<_> = open
            .map(|shard| (shard.hash_key_range, shard.id.clone()))
            .collect();
        // A listing made while shards are replaced can hold a parent beside its children: the younger wins.
        shards.sort_by(|(a, a_id), (b, b_id)| (a.start, a_id).cmp(&(b.start, b_id)));
        let starts = shards.iter().map(|(range, _)| range.start).collect();
        (!shards.is_empty()).then_some(Self { shards, starts })
    }

    /// The ids of the shards, in the order of their indices.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &ShardId> {
        self.shards.iter().map(|(_, id)| id)
    }

    /// The index of the shard that takes this hash key. A key in a gap goes to the shard before it.
    pub(crate) fn index_of(&self, key: HashKey) -> usize {
        // Most streams have shards of one size.
        let guess = ((key.value() >> 64) * self.starts.len() as u128) >> 64;
        let guess = usize::try_from(guess).unwrap_or(0);
        let is_right = self.starts.get(guess).is_some_and(|start| *start <= key)
            && self.starts.get(guess + 1).is_none_or(|next| key < *next);
        if is_right {
            return guess;
        }
        self.starts
            .partition_point(|start| *start <= key)
            .saturating_sub(1)
    }

    /// The hash keys of a shard, if the map has it.
    pub(crate) fn range_of(&self, id: &ShardId) -> Option<HashKeyRange> {
        let found = self.shards.iter().find(|(_, known)| known == id)?;
        Some(found.0)
    }
}

/// What a record's place in the stream says about the shard map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Landing {
    /// It is where all of its user records belong.
    Right,
    /// It is in a shard that does not take the hash keys of all of its user records: consumers that check,
    /// as KCL does, would drop it.
    Astride,
    /// The map does not have the shard.
    Unknown,
    /// The shard does not even take the hash key that it was sent with: the service distributes the records
    /// of this stream by itself.
    Anywhere,
}

/// Judges where a Kinesis record landed that holds records of these hash keys: it was sent with the first.
pub(crate) fn landing(map: &ShardMap, shard_id: &ShardId, hash_keys: &[HashKey]) -> Landing {
    let sent_with = hash_keys.first().copied().unwrap_or(HashKey::MIN);
    // A shard's range never changes and its id is never used again.
    match map.range_of(shard_id) {
        None => Landing::Unknown,
        Some(range) if !range.contains(sent_with) => Landing::Anywhere,
        Some(range) if hash_keys.iter().all(|key| range.contains(*key)) => Landing::Right,
        Some(_) => Landing::Astride,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(id: &str, start: u128, end: u128) -> Shard {
        let range = HashKeyRange::new(HashKey::new(start), HashKey::new(end));
        Shard::new(id.into(), range, 1_u128.into())
    }

    fn map() -> ShardMap {
        let mut closed = shard("shardId-0", 0, u128::MAX);
        closed.ending_sequence_number = Some(9_u128.into());
        let shards = [
            shard("shardId-2", 100, u128::MAX),
            closed,
            shard("shardId-1", 0, 99),
        ];
        ShardMap::of(&shards).unwrap()
    }

    #[test]
    fn a_hash_key_belongs_to_the_open_shard_whose_range_holds_it() {
        let map = map();
        let ids: Vec<_> = map.ids().collect();
        for (key, id) in [
            (0, "shardId-1"),
            (99, "shardId-1"),
            (100, "shardId-2"),
            (u128::MAX, "shardId-2"),
        ] {
            assert_eq!(ids[map.index_of(HashKey::new(key))].as_str(), id);
        }
    }

    #[test]
    fn keys_are_found_among_shards_of_one_size_and_of_any_size() {
        let random = |seed| {
            let mut rng = fastrand::Rng::with_seed(seed);
            (0..40).map(|_| rng.u128(..)).collect::<Vec<_>>()
        };
        let even: Vec<_> = (0..16_u128).map(|index| index << 124).collect();
        for mut starts in [even, random(1)] {
            starts.sort_unstable();
            starts[0] = 0;
            let ends = starts[1..].iter().map(|next| next - 1).chain([u128::MAX]);
            let ids = (10..).map(|number| format!("shardId-{number}"));
            let shards: Vec<_> = starts.iter().zip(ends).zip(ids).collect();
            let shards = shards
                .iter()
                .map(|((start, end), id)| shard(id, **start, *end));
            let map = ShardMap::of(&shards.collect::<Vec<_>>()).unwrap();
            for key in starts
                .iter()
                .flat_map(|&start| [start, start.wrapping_sub(1)])
                .chain(random(2))
            {
                let (range, _) = &map.shards[map.index_of(HashKey::new(key))];
                assert!(range.contains(HashKey::new(key)), "{key}");
            }
        }
    }

    #[test]
    fn no_open_shard_makes_no_map() {
        assert!(ShardMap::of(&[]).is_none());
    }

    #[test]
    fn a_landing_is_judged_by_the_range_of_the_shard_that_took_the_record() {
        let judge = |id: &str, keys: &[u128]| {
            let keys: Vec<_> = keys.iter().map(|&key| HashKey::new(key)).collect();
            landing(&map(), &id.into(), &keys)
        };
        assert_eq!(judge("shardId-1", &[5, 99]), Landing::Right);
        assert_eq!(judge("shardId-1", &[5, 100]), Landing::Astride);
        assert_eq!(judge("shardId-2", &[5]), Landing::Anywhere);
        assert_eq!(judge("shardId-7", &[5]), Landing::Unknown);
    }
}
