//! The shard map: from hash keys to shards, and the placement of records by it.

use std::collections::HashSet;

use crate::{
    digest,
    shard::{HashKey, HashKeyRange, Shard, ShardId},
};

/// The number of partition keys that are hashed at a time: a multiple of the SIMD lanes.
pub(in crate::put) const HASHED_AT_ONCE: usize = 8 * digest::LANES;

/// The way to find the queue of a record.
#[derive(Debug)]
pub(in crate::put) enum Placement {
    /// One queue; records are not placed by shard.
    Never,
    /// One queue until the shards are listed: they could not be, or the listing proved wrong.
    Unlisted,
    /// One queue: the service distributes the records by itself.
    Auto {
        /// The number of Kinesis records in a row that landed in a shard that takes their hash key.
        keyed: u32,
    },
    /// No queue yet: the first shard map is awaited.
    Awaited,
    /// One queue for each shard, found by the record's hash key.
    ByShard(ShardMap),
}

impl Placement {
    /// Returns the queue of a record with this hash key; `None` while the shard map is awaited.
    pub(in crate::put) fn index_of(&self, hash_key: HashKey) -> Option<usize> {
        match self {
            Self::Never | Self::Unlisted | Self::Auto { .. } => Some(0),
            Self::Awaited => None,
            Self::ByShard(map) => Some(map.index_of(hash_key)),
        }
    }

    /// Whether the shards should be listed as soon as they can be.
    pub(in crate::put) fn lacks_shards(&self) -> bool {
        matches!(self, Self::Unlisted | Self::Awaited)
    }
}

/// The open shards of a stream by hash key. Their ranges leave no hash key out.
#[derive(Clone, Debug, Default)]
pub(in crate::put) struct ShardMap {
    /// The shards, sorted by the start of their ranges.
    shards: Vec<(HashKeyRange, ShardId)>,
    /// The starts alone, in which every record is looked up: they fit into fewer cache lines.
    starts: Vec<HashKey>,
}

impl ShardMap {
    /// Makes the map of the open shards among these. `None` if they leave hash keys out, as in a listing that was made
    /// while shards were replaced.
    pub(in crate::put) fn of(shards: &[Shard]) -> Option<Self> {
        let parents: HashSet<_> = shards.iter().flat_map(Shard::parents).collect();
        // A parent that is listed as open beside its child takes no more records.
        let open = shards
            .iter()
            .filter(|shard| shard.is_open() && !parents.contains(&shard.id));
        let mut shards: Vec<_> = open
            .map(|shard| (shard.hash_key_range, shard.id.clone()))
            .collect();
        // If a server leaves the parents out of a listing, the younger of two shards with one start wins.
        shards.sort_by(|(a, a_id), (b, b_id)| (a.start, a_id).cmp(&(b.start, b_id)));
        let starts = shards.iter().map(|(range, _)| range.start).collect();
        are_whole(&shards).then_some(Self { shards, starts })
    }

    /// Returns the ids of the shards, in the order of their indices.
    pub(in crate::put) fn ids(&self) -> impl Iterator<Item = &ShardId> {
        self.shards.iter().map(|(_, id)| id)
    }

    /// Returns the index of the shard that takes this hash key.
    pub(in crate::put) fn index_of(&self, key: HashKey) -> usize {
        // The shards of most streams have equal ranges, so the index is mostly the key's part of the key space.
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
}

/// Whether these shards, sorted by their starts, leave no hash key out.
fn are_whole(shards: &[(HashKeyRange, ShardId)]) -> bool {
    let starts_at = |at: usize| shards.get(at).map(|(range, _)| range.start.value());
    let reaches_next = |(at, (range, _)): (usize, &(HashKeyRange, ShardId))| {
        let end = range.end.value();
        starts_at(at + 1).map_or(end == u128::MAX, |next| end >= next.saturating_sub(1))
    };
    starts_at(0) == Some(0) && shards.iter().enumerate().all(reaches_next)
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
    fn shards_that_leave_hash_keys_out_make_no_map() {
        let (low, middle, high) = (
            shard("shardId-1", 0, 99),
            shard("shardId-2", 100, 199),
            shard("shardId-3", 200, u128::MAX),
        );
        assert!(ShardMap::of(&[]).is_none());
        assert!(ShardMap::of(&[low.clone(), middle.clone()]).is_none());
        assert!(ShardMap::of(&[low.clone(), high.clone()]).is_none());
        assert!(ShardMap::of(&[middle.clone(), high.clone()]).is_none());
        assert!(ShardMap::of(&[low, middle, high]).is_some());
    }

    #[test]
    fn a_parent_that_is_listed_as_open_beside_its_children_takes_no_records() {
        let parent = shard("shardId-0", 0, u128::MAX);
        let child = |id, start, end| {
            let mut child = shard(id, start, end);
            child.parent_id = Some("shardId-0".into());
            child
        };
        let (low, high) = (
            child("shardId-1", 0, 99),
            child("shardId-2", 100, u128::MAX),
        );
        let both = ShardMap::of(&[parent.clone(), low.clone(), high]).unwrap();
        assert_eq!(both.ids().count(), 2);
        assert!(
            ShardMap::of(&[parent, low]).is_none(),
            "the other child is still to come"
        );
    }
}
