//! The check that a listing of shards is complete, by the shards' parts of the key space.

use std::collections::{HashMap, HashSet};

use super::{
    Shard,
    hash_key::{HashKey, HashKeyRange},
    id::ShardId,
};

/// Returns the first part of `wanted` that lies in none of these ranges.
pub(crate) fn hole(
    wanted: HashKeyRange,
    ranges: impl IntoIterator<Item = HashKeyRange>,
) -> Option<HashKeyRange> {
    let mut ranges: Vec<_> = ranges.into_iter().collect();
    ranges.sort_unstable_by_key(|range| range.start);
    let mut start = wanted.start;
    for range in ranges {
        if start < range.start {
            let end = HashKey::new(range.start.value() - 1).min(wanted.end);
            return Some(HashKeyRange::new(start, end));
        }
        if range.end >= wanted.end {
            return None;
        }
        start = start.max(HashKey::new(range.end.value() + 1));
    }
    Some(HashKeyRange::new(start, wanted.end))
}

/// Returns a part of the key space for which the listing lacks a shard.
///
/// Two rules hold for a complete listing. The open shards cover the whole key space. The children of a closed shard
/// cover its range: they are younger, so they are retained for longer. A listing breaks them if its pages are read while
/// the stream is resharded, or if the service answers from an old or incomplete state. With a `scope` only its hash keys
/// and closed shards count. The second rule is not applied to a server that names no parents at all.
pub(crate) fn missing(shards: &[Shard], scope: Option<&HashSet<&ShardId>>) -> Option<HashKeyRange> {
    let is_wanted = |shard: &&Shard| scope.is_none_or(|scope| scope.contains(&shard.id));
    let ranges = shards.iter().filter(is_wanted);
    let wanted = match scope {
        None => vec![HashKeyRange::ALL],
        Some(_) => ranges.map(|shard| shard.hash_key_range).collect(),
    };
    let open = shards.iter().filter(|shard| shard.is_open());
    let open: Vec<_> = open.map(|shard| shard.hash_key_range).collect();
    let uncovered = wanted
        .into_iter()
        .find_map(|range| hole(range, open.iter().copied()));
    if uncovered.is_some() {
        return uncovered;
    }
    let mut children: HashMap<&ShardId, Vec<HashKeyRange>> = HashMap::new();
    for shard in shards {
        for parent in shard.parents() {
            children
                .entry(parent)
                .or_default()
                .push(shard.hash_key_range);
        }
    }
    if children.is_empty() {
        return None;
    }
    let closed = shards.iter().filter(|shard| !shard.is_open());
    closed.filter(is_wanted).find_map(|shard| {
        let ranges = children.get(&shard.id).cloned().unwrap_or_default();
        hole(shard.hash_key_range, ranges)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u128, end: u128) -> HashKeyRange {
        HashKeyRange::new(HashKey::new(start), HashKey::new(end))
    }

    #[test]
    fn a_hole_is_the_first_part_that_no_range_holds() {
        let wanted = range(10, 19);
        for (ranges, expected) in [
            (vec![], Some(wanted)),
            (vec![range(0, 30)], None),
            (vec![range(15, 19), range(10, 14)], None),
            (vec![range(10, 12), range(15, 40)], Some(range(13, 14))),
            (vec![range(11, 19)], Some(range(10, 10))),
            (vec![range(0, 18)], Some(range(19, 19))),
            (vec![range(20, 30)], Some(wanted)),
            (vec![range(10, 18), range(0, 12)], Some(range(19, 19))),
        ] {
            assert_eq!(hole(wanted, ranges.clone()), expected, "{ranges:?}");
        }
        assert_eq!(hole(HashKeyRange::ALL, [HashKeyRange::ALL]), None);
    }

    fn shard(number: u128, parents: &[u128], range: HashKeyRange, is_open: bool) -> Shard {
        let id = |number| ShardId::from(format!("shardId-{number:012}"));
        let mut shard = Shard::new(id(number), range, number.into());
        shard.parent_id = parents.first().copied().map(id);
        shard.adjacent_parent_id = parents.get(1).copied().map(id);
        shard.ending_sequence_number = (!is_open).then(|| 9.into());
        shard
    }

    /// 0 was split into 1 and 2, which were merged into 3.
    fn listing() -> Vec<Shard> {
        let (low, high) = (range(0, 9), HashKeyRange::new(10.into(), HashKey::MAX));
        vec![
            shard(0, &[], HashKeyRange::ALL, false),
            shard(1, &[0], low, false),
            shard(2, &[0], high, false),
            shard(3, &[1, 2], HashKeyRange::ALL, true),
        ]
    }

    #[test]
    fn a_listing_that_lacks_an_open_or_a_closed_shard_is_not_whole() {
        assert_eq!(missing(&listing(), None), None);
        // The oldest may have expired.
        assert_eq!(missing(&listing()[1..], None), None);
        assert_eq!(missing(&listing()[3..], None), None);
        for lacking in 1..4 {
            let mut shards = listing();
            shards.remove(lacking);
            assert!(missing(&shards, None).is_some(), "{lacking}");
        }
        assert_eq!(missing(&[], None), Some(HashKeyRange::ALL));
    }

    #[test]
    fn of_a_choice_only_its_own_shards_need_children() {
        let mut shards = listing();
        shards.remove(2);
        let ids: Vec<_> = shards.iter().map(|shard| shard.id.clone()).collect();
        let (zero, one) = (HashSet::from([&ids[0]]), HashSet::from([&ids[1]]));
        assert!(missing(&shards, Some(&zero)).is_some());
        assert_eq!(missing(&shards, Some(&one)), None);
    }

    #[test]
    fn a_server_that_names_no_parents_is_held_to_its_open_shards_only() {
        let mut shards = listing();
        for shard in &mut shards {
            (shard.parent_id, shard.adjacent_parent_id) = (None, None);
        }
        assert_eq!(missing(&shards, None), None);
    }
}
