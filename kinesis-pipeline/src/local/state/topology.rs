//! The shards of one stream, open and closed, and how they are split and merged.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::shard::{Closed, Shard};
use crate::shard::{HashKey, HashKeyRange};

/// The largest distance, in hash keys, between an even share's start and an open shard's that is used instead: remainders
/// of divisions would otherwise make shards of a few keys.
const REMAINDER_KEYS_MAX: u128 = 1 << 20;

/// The shards of a stream.
///
/// The ranges of the open shards cover the key space once. Indices grow and are never reused.
#[derive(Debug, Default)]
pub(in crate::local) struct Topology {
    shards: BTreeMap<u32, Shard>,
    /// The open shards by the start of their range.
    open: Vec<(HashKey, u32)>,
    next_index: u32,
    /// The latest second of a creation in the numbers of these shards, and of deleted ones.
    latest_seconds: u64,
    /// Counts the records that the service placed.
    placed: AtomicUsize,
}

impl Topology {
    /// Shards that share the key space evenly.
    pub(in crate::local) fn even(shard_count: u32, now_millis: u64) -> Self {
        let mut topology = Self::default();
        for range in even_ranges(shard_count) {
            topology.add(range, Vec::new(), now_millis, now_millis / 1000);
        }
        topology
    }

    /// Returns the shards of a stream as they were, and the index that the next one gets.
    #[cfg(feature = "local-durable")]
    pub(in crate::local) fn restore(shards: Vec<Shard>, next_index: u32) -> Self {
        let open = shards.iter().filter(|shard| shard.is_open());
        let mut open: Vec<_> = open.map(|shard| (shard.range.start, shard.index)).collect();
        open.sort_unstable();
        let seconds = shards.iter().map(|shard| shard.created_seconds);
        Self {
            open,
            next_index,
            latest_seconds: seconds.max().unwrap_or(0),
            shards: shards
                .into_iter()
                .map(|shard| (shard.index, shard))
                .collect(),
            placed: AtomicUsize::new(0),
        }
    }

    /// Returns the index that the next shard gets.
    #[cfg(feature = "local-durable")]
    pub(super) fn next_index(&self) -> u32 {
        self.next_index
    }

    /// Returns all shards that are remembered, by index.
    pub(in crate::local) fn shards(&self) -> impl DoubleEndedIterator<Item = &Shard> {
        self.shards.values()
    }

    pub(in crate::local) fn shard(&self, index: u32) -> Option<&Shard> {
        self.shards.get(&index)
    }

    pub(in crate::local) fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Returns the open shards by range.
    #[cfg(test)]
    pub(in crate::local) fn open_shards(&self) -> impl Iterator<Item = &Shard> {
        self.open.iter().filter_map(|(_, index)| self.shard(*index))
    }

    /// Returns the open shard that takes this hash key.
    pub(in crate::local) fn shard_of(&self, key: HashKey) -> Option<&Shard> {
        let after = self.open.partition_point(|(start, _)| *start <= key);
        let (_, index) = self.open.get(after.checked_sub(1)?)?;
        self.shard(*index)
    }

    /// Returns the next open shard in turn.
    pub(in crate::local) fn next_in_turn(&self) -> Option<&Shard> {
        let turn = self.placed.fetch_add(1, Ordering::Relaxed);
        let (_, index) = self.open.get(turn.checked_rem(self.open.len())?)?;
        self.shard(*index)
    }

    /// Closes a shard into two, the second of which begins at `second_start`.
    pub(in crate::local) fn split(&mut self, parent: u32, second_start: HashKey, now_millis: u64) {
        let Some(shard) = self.shard(parent).filter(|shard| shard.is_open()) else {
            return;
        };
        let range = shard.range;
        let Some(first_end) = second_start.value().checked_sub(1).map(HashKey::new) else {
            return;
        };
        if !range.contains(first_end) || !range.contains(second_start) {
            return;
        }
        let halves = [
            HashKeyRange::new(range.start, first_end),
            HashKeyRange::new(second_start, range.end),
        ];
        self.replace(&[parent], &halves, now_millis);
    }

    /// Closes two shards that touch into one.
    pub(in crate::local) fn merge(&mut self, first: u32, second: u32, now_millis: u64) {
        let open = |index| self.shard(index).filter(|shard: &&Shard| shard.is_open());
        let (Some(one), Some(other)) = (open(first), open(second)) else {
            return;
        };
        if !one.range.is_adjacent_to(&other.range) {
            return;
        }
        let union = HashKeyRange::new(
            one.range.start.min(other.range.start),
            one.range.end.max(other.range.end),
        );
        self.replace(&[first, second], &[union], now_millis);
    }

    /// Splits and merges until this many open shards share the key space evenly.
    ///
    /// As on the service every step is a split or a merge, so that each shard has at most two parents, and the
    /// ranges are made from the lowest to the highest: an open shard is cut where the range ends, then the pieces
    /// of the range are merged. From 4 shards to 3 this leaves 6, 9 and 10 open.
    pub(super) fn spread(&mut self, shard_count: u32, now_millis: u64) {
        for range in self.nearly_even_ranges(shard_count) {
            if let Some(last) = self.shard_of(range.end)
                && last.range.end > range.end
            {
                let (index, cut) = (last.index, HashKey::new(range.end.value() + 1));
                self.split(index, cut, now_millis);
            }
            while let Some(first) = self.shard_of(range.start)
                && first.range.end < range.end
                && let Some(second) = self.shard_of(HashKey::new(first.range.end.value() + 1))
            {
                let (first, second) = (first.index, second.index);
                self.merge(first, second, now_millis);
            }
        }
    }

    /// Returns even ranges, adjusted to the remainders of earlier divisions.
    fn nearly_even_ranges(&self, shard_count: u32) -> Vec<HashKeyRange> {
        let even = even_ranges(shard_count);
        let starts: Vec<_> = even
            .iter()
            .map(|range| self.start_near(range.start))
            .collect();
        let last_keys = starts[1..]
            .iter()
            .map(|start| HashKey::new(start.value() - 1));
        let ends = last_keys.chain([HashKey::MAX]);
        let ranges = starts.iter().zip(ends);
        ranges
            .map(|(start, end)| HashKeyRange::new(*start, end))
            .collect()
    }

    /// Returns the start of the open shard that begins next to this key; the key itself if none begins there.
    fn start_near(&self, key: HashKey) -> HashKey {
        let distance = |start: HashKey| start.value().abs_diff(key.value());
        let at_or_after = self.open.partition_point(|(start, _)| *start < key);
        let around = self.open[at_or_after.saturating_sub(1)..].iter().take(2);
        around
            .map(|(start, _)| *start)
            .filter(|start| distance(*start) <= REMAINDER_KEYS_MAX)
            .min_by_key(|start| distance(*start))
            .unwrap_or(key)
    }

    /// Removes all shards, as their stream is deleted.
    pub(in crate::local) fn clear(&mut self) {
        *self = Self {
            latest_seconds: self.latest_seconds,
            ..Self::default()
        };
    }

    /// Returns the latest second of a creation in the numbers of the shards, deleted or not.
    pub(in crate::local) fn latest_seconds(&self) -> u64 {
        self.latest_seconds
    }

    /// Makes the numbers of new shards later than those of a deleted stream. On the service it takes seconds to make a
    /// stream again.
    pub(in crate::local) fn begin_after(&mut self, seconds: u64) {
        for shard in self.shards.values_mut() {
            shard.created_seconds = shard.created_seconds.max(seconds + 1);
            self.latest_seconds = self.latest_seconds.max(shard.created_seconds);
        }
    }

    /// Wakes the watchers of all shards.
    pub(in crate::local) fn wake(&self) {
        self.shards.values().for_each(Shard::wake);
    }

    /// Forgets the shards that closed before this time, and the records that arrived before it.
    pub(in crate::local) fn forget_expired(&mut self, horizon_millis: u64) {
        self.shards
            .retain(|_, shard| !shard.is_expired(horizon_millis));
        for shard in self.shards.values() {
            drop(shard.log(horizon_millis));
        }
    }

    fn replace(&mut self, parents: &[u32], ranges: &[HashKeyRange], now_millis: u64) {
        let parents_seconds = parents
            .iter()
            .filter_map(|parent| self.shards.get(parent))
            .map(|shard| shard.created_seconds)
            .max()
            .unwrap_or(0);
        let seconds = parents_seconds.max(now_millis / 1000) + 1;
        self.open.retain(|(_, index)| !parents.contains(index));
        let children: Vec<u32> = ranges
            .iter()
            .map(|range| self.add(*range, parents.to_vec(), now_millis, seconds))
            .collect();
        for parent in parents {
            if let Some(shard) = self.shards.get_mut(parent) {
                shard.closed = Some(Closed {
                    at_millis: now_millis,
                    children: children.clone(),
                });
            }
        }
    }

    fn add(&mut self, range: HashKeyRange, parents: Vec<u32>, millis: u64, seconds: u64) -> u32 {
        let index = self.next_index;
        self.next_index += 1;
        self.latest_seconds = self.latest_seconds.max(seconds);
        let shard = Shard::new(index, range, parents, millis, seconds);
        self.shards.insert(index, shard);
        let place = self.open.partition_point(|(start, _)| *start < range.start);
        self.open.insert(place, (range.start, index));
        index
    }
}

/// Returns the key space in this many ranges of one size; the last one takes the rest.
fn even_ranges(shard_count: u32) -> Vec<HashKeyRange> {
    let count = u128::from(shard_count.max(1));
    let size = match count {
        1 => u128::MAX,
        // 2^128 divided by the count: the power itself does not fit.
        _ => u128::MAX / count + u128::from(u128::MAX % count == count - 1),
    };
    (0..count)
        .map(|index| {
            let end = match index {
                last if last + 1 == count => u128::MAX,
                _ => size * (index + 1) - 1,
            };
            HashKeyRange::new(HashKey::new(size * index), HashKey::new(end))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Checks the promise of [`Topology`]: the open ranges cover the key space once.
    fn covers_once(topology: &Topology) -> bool {
        let mut next = Some(0);
        for shard in topology.open_shards() {
            if Some(shard.range.start.value()) != next || !shard.is_open() {
                return false;
            }
            next = shard.range.end.value().checked_add(1);
        }
        next.is_none()
    }

    fn history_holds(topology: &Topology) -> bool {
        topology.shards().all(|shard| {
            shard.parents.len() <= 2
                && shard.parents.iter().all(|parent| {
                    let Some(parent) = topology.shard(*parent) else {
                        return true;
                    };
                    let closed = parent.closed.as_ref();
                    closed.is_some_and(|closed| closed.children.contains(&shard.index))
                        && parent.ending_number() < Some(shard.starting_number())
                })
        })
    }

    #[test]
    fn doubling_and_halving_make_two_children_or_one_of_each() {
        for count in 1..100 {
            let mut topology = Topology::even(count, 1_000);
            topology.spread(2 * count, 1_000);
            assert_eq!(topology.shards().count(), 3 * count as usize, "{count}");
            topology.spread(count, 1_000);
            assert_eq!(topology.shards().count(), 4 * count as usize, "{count}");
        }
    }

    proptest! {
        #[test]
        fn even_ranges_cover_the_key_space_once(count in 1_u32..300) {
            prop_assert!(covers_once(&Topology::even(count, 0)));
            let sizes: Vec<_> = even_ranges(count).iter()
                .map(|range| range.end.value() - range.start.value()).collect();
            let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
            prop_assert!(most - least <= u128::from(count));
        }

        #[test]
        fn splits_merges_and_spreads_keep_the_ranges_and_the_history(
            count in 1_u32..8,
            steps in prop::collection::vec((0_u8..3, any::<u128>(), 1_u32..12), 0..30),
        ) {
            let mut topology = Topology::even(count, 1_000);
            for (kind, key, target) in steps {
                let key = HashKey::new(key);
                let shard = topology.shard_of(key).unwrap();
                let (index, range) = (shard.index, shard.range);
                match kind {
                    0 => topology.split(index, key, 1_000),
                    1 => if let Some(next) = range.end.value().checked_add(1) {
                        let second = topology.shard_of(HashKey::new(next)).unwrap().index;
                        topology.merge(index, second, 1_000);
                    },
                    _ => {
                        topology.spread(target, 1_000);
                        let starts: Vec<_> = topology.open_shards().map(|shard| shard.range.start).collect();
                        let even = even_ranges(target);
                        prop_assert_eq!(starts.len(), even.len());
                        let nearly = |(start, even): (&HashKey, HashKeyRange)| {
                            start.value().abs_diff(even.start.value()) <= REMAINDER_KEYS_MAX
                        };
                        prop_assert!(starts.iter().zip(even).all(nearly));
                    }
                }
                prop_assert!(covers_once(&topology));
                prop_assert!(history_holds(&topology));
                prop_assert!(topology.shard_of(key).unwrap().range.contains(key));
            }
        }
    }
}
