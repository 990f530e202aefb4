use proptest::prelude::*;

use super::*;

fn id(number: usize) -> ShardId {
    format!("shardId-{number:012}").into()
}

fn ids(numbers: &[usize]) -> Vec<ShardId> {
    numbers.iter().copied().map(id).collect()
}

fn ready(lineage: &mut Lineage) -> Vec<ShardId> {
    std::iter::from_fn(|| lineage.take_ready()).collect()
}

#[test]
fn a_merged_child_waits_for_both_parents() {
    let mut lineage = Lineage::new(Scope::Stream);
    lineage.add(&id(0), &[], Role::Member);
    lineage.add(&id(1), &[], Role::Member);
    assert_eq!(ready(&mut lineage), ids(&[0, 1]));
    lineage.discover(&id(2), &ids(&[0, 1]));
    lineage.end(&id(0));
    assert_eq!(ready(&mut lineage), []);
    lineage.end(&id(1));
    assert_eq!(ready(&mut lineage), ids(&[2]));
}

#[test]
fn of_a_choice_a_child_belongs_to_its_first_parent() {
    let mut lineage = Lineage::new(Scope::Chosen);
    lineage.add(&id(0), &[], Role::Member);
    lineage.add(&id(1), &[], Role::Stranger);
    assert_eq!(ready(&mut lineage), ids(&[0]));
    lineage.discover(&id(2), &ids(&[1, 0]));
    lineage.end(&id(0));
    assert_eq!(ready(&mut lineage), []);
    assert!(lineage.is_finished());

    let mut lineage = Lineage::new(Scope::Chosen);
    lineage.add(&id(0), &[], Role::Member);
    lineage.add(&id(1), &[], Role::Stranger);
    ready(&mut lineage);
    lineage.end(&id(0));
    assert!(lineage.is_looking_for_children());
    lineage.discover(&id(2), &ids(&[0, 1]));
    assert_eq!(ready(&mut lineage), ids(&[2]));
}

#[test]
fn parents_that_the_service_forgot_are_not_waited_for() {
    let mut lineage = Lineage::new(Scope::Stream);
    lineage.add(&id(5), &ids(&[1, 2]), Role::Member);
    assert_eq!(ready(&mut lineage), ids(&[5]));
}

#[test]
fn a_new_shard_without_parents_is_read_by_a_reader_of_the_whole_stream_only() {
    let (all, some) = (Lineage::new(Scope::Stream), Lineage::new(Scope::Chosen));
    let batch = Lineage::new(Scope::Stream).batch();
    for (mut lineage, expected) in [(all, ids(&[7])), (some, vec![]), (batch, vec![])] {
        lineage.discover(&id(7), &[]);
        assert_eq!(ready(&mut lineage), expected);
    }
}

#[test]
fn what_follows_a_cut_shard_is_not_read() {
    let mut lineage = Lineage::new(Scope::Stream);
    lineage.add(&id(0), &[], Role::Member);
    lineage.add(&id(1), &ids(&[0]), Role::Member);
    lineage.add(&id(2), &ids(&[1]), Role::Member);
    ready(&mut lineage);
    lineage.cut(&id(0));
    assert_eq!(ready(&mut lineage), []);
    assert!(lineage.is_finished());
}

#[test]
fn a_forgotten_shard_takes_nothing_with_it() {
    let mut lineage = Lineage::new(Scope::Stream);
    lineage.add(&id(0), &[], Role::Member);
    lineage.add(&id(1), &ids(&[0]), Role::Member);
    ready(&mut lineage);
    lineage.end(&id(0));
    for _ in 0..ABSENCES_MAX {
        assert!(lineage.has(&id(0)), "one listing may lack it by mistake");
        lineage.forget_unlisted(&id(1), |_| false);
    }
    assert!(!lineage.has(&id(0)));
    assert_eq!(ready(&mut lineage), ids(&[1]));
    assert!(!lineage.is_finished());
}

#[test]
fn a_shard_that_is_younger_than_all_that_are_listed_is_not_forgotten() {
    let mut lineage = Lineage::new(Scope::Stream);
    lineage.add(&id(3), &[], Role::Ended);
    for _ in 0..10 {
        lineage.forget_unlisted(&id(2), |_| false);
    }
    assert!(lineage.has(&id(3)));
}

fn range(start: u128, end: u128) -> HashKeyRange {
    HashKeyRange::new(start.into(), end.into())
}

#[test]
fn children_are_looked_for_until_they_cover_their_parents_range() {
    for roles in [Role::Member, Role::Ended] {
        let mut lineage = Lineage::new(Scope::Stream);
        lineage.add(&id(0), &[], roles);
        lineage.set_range(&id(0), range(0, 99));
        ready(&mut lineage);
        lineage.end(&id(0));
        assert!(lineage.is_looking_for_children());
        lineage.discover(&id(1), &ids(&[0]));
        lineage.set_range(&id(1), range(0, 49));
        assert!(lineage.is_looking_for_children());
        lineage.discover(&id(2), &ids(&[0]));
        lineage.set_range(&id(2), range(50, 99));
        assert!(!lineage.is_looking_for_children());
    }
}

#[test]
fn a_batch_follows_a_shard_that_was_listed_as_open_and_looks_for_nothing_behind_a_closed_one() {
    let mut lineage = Lineage::new(Scope::Stream).batch();
    lineage.add(&id(0), &[], Role::Member);
    lineage.add(&id(1), &[], Role::Member);
    lineage.set_closed(&id(1));
    ready(&mut lineage);
    lineage.end(&id(1));
    assert!(!lineage.is_looking_for_children());
    lineage.end(&id(0));
    assert!(lineage.is_looking_for_children());
    lineage.discover(&id(2), &ids(&[0]));
    assert_eq!(ready(&mut lineage), ids(&[2]));
}

/// A random history: each step splits one open shard or merges two.
fn history(steps: &[(bool, usize, usize)]) -> Vec<(ShardId, Vec<ShardId>)> {
    let mut shards: Vec<_> = (0..3).map(|number| (id(number), vec![])).collect();
    let mut open: Vec<usize> = vec![0, 1, 2];
    for &(is_split, first, second) in steps {
        let first = open.remove(first % open.len());
        let mut parents = vec![id(first)];
        let children = if is_split || open.is_empty() {
            2
        } else {
            parents.push(id(open.remove(second % open.len())));
            1
        };
        for _ in 0..children {
            open.push(shards.len());
            shards.push((id(shards.len()), parents.clone()));
        }
    }
    shards
}

proptest! {
    #[test]
    fn every_shard_is_read_once_and_after_its_parents(
        steps in prop::collection::vec((any::<bool>(), 0_usize..100, 0_usize..100), 0..40),
        known_at_start in 0_usize..60,
        picks in prop::collection::vec(any::<usize>(), 1..20),
    ) {
        let shards = history(&steps);
        let mut lineage = Lineage::new(Scope::Stream);
        let known = known_at_start.clamp(3, shards.len());
        for (id, parents) in &shards[..known] {
            lineage.add(id, parents, Role::Member);
        }
        let (mut reading, mut ended) = (Vec::new(), Vec::<ShardId>::new());
        let mut picks = picks.into_iter().cycle();
        loop {
            while let Some(id) = lineage.take_ready() {
                let parents = &shards.iter().find(|shard| shard.0 == id).unwrap().1;
                prop_assert!(parents.iter().all(|parent| ended.contains(parent)), "{id} before its parents");
                prop_assert!(!reading.contains(&id) && !ended.contains(&id), "{id} twice");
                reading.push(id);
            }
            if reading.is_empty() {
                break;
            }
            let id = reading.swap_remove(picks.next().unwrap() % reading.len());
            // The last page of the shard names its children, with all of their parents.
            for (child, parents) in shards.iter().filter(|(_, parents)| parents.contains(&id)) {
                lineage.discover_child(child, parents);
            }
            lineage.end(&id);
            if lineage.is_looking_for_children() {
                for (child, parents) in &shards {
                    lineage.discover(child, parents);
                }
            }
            ended.push(id);
        }
        prop_assert_eq!(ended.len(), shards.len());
    }

    #[test]
    fn readers_that_divide_the_shards_read_each_once(
        steps in prop::collection::vec((any::<bool>(), 0_usize..100, 0_usize..100), 0..40),
        mine in prop::collection::vec(any::<bool>(), 3),
    ) {
        let shards = history(&steps);
        let mut read = Vec::new();
        for side in [true, false] {
            let mut lineage = Lineage::new(Scope::Chosen);
            for ((id, parents), owner) in shards.iter().zip(&mine) {
                let role = if *owner == side { Role::Member } else { Role::Stranger };
                lineage.add(id, parents, role);
            }
            for (id, parents) in &shards[3..] {
                lineage.discover(id, parents);
            }
            while let Some(id) = lineage.take_ready() {
                lineage.end(&id);
                read.push(id);
            }
        }
        read.sort();
        prop_assert_eq!(read, shards.into_iter().map(|shard| shard.0).collect::<Vec<_>>());
    }
}

fn shard(number: usize, parents: &[usize], range: HashKeyRange, is_open: bool) -> Shard {
    let mut shard = Shard::new(id(number), range, (number as u128).into());
    shard.parent_id = parents.first().copied().map(id);
    shard.adjacent_parent_id = parents.get(1).copied().map(id);
    shard.ending_sequence_number = (!is_open).then(|| 99.into());
    shard
}

#[test]
fn the_open_shards_cover_a_range_as_far_as_they_take_its_keys() {
    let all = HashKeyRange::ALL;
    let (low, high) = (range(0, 9), range(10, u128::MAX));
    let mut lineage = Lineage::of(&[
        shard(0, &[], all, false),
        shard(1, &[0], low, true),
        shard(2, &[0], high, true),
    ]);
    let covering = |lineage: &Lineage, range| lineage.covering(range).cloned().collect::<Vec<_>>();
    assert_eq!(covering(&lineage, all), ids(&[1, 2]));
    assert_eq!(covering(&lineage, range(9, 9)), ids(&[1]));
    assert_eq!(covering(&lineage, range(9, 10)), ids(&[1, 2]));
    assert_eq!(covering(&lineage, range(10, 10)), ids(&[2]));
    lineage.add_listing(&[shard(3, &[1, 2], all, true)]);
    assert_eq!(covering(&lineage, all), ids(&[3]));
    assert_eq!(lineage.children(&id(2)), ids(&[3]));
}

#[test]
fn a_listing_is_read_parents_first_and_shards_of_later_listings_follow() {
    let all = HashKeyRange::ALL;
    let mut lineage = Lineage::of(&[shard(0, &[], all, false), shard(1, &[0], all, true)]);
    assert_eq!(ready(&mut lineage), ids(&[0]));
    lineage.end(&id(0));
    assert_eq!(ready(&mut lineage), ids(&[1]));
    lineage.end(&id(1));
    assert!(lineage.is_looking_for_children() && !lineage.is_finished());
    lineage.add_listing(&[shard(1, &[0], all, false), shard(2, &[1], all, true)]);
    assert!(!lineage.is_looking_for_children());
    assert_eq!(ready(&mut lineage), ids(&[2]));
}
