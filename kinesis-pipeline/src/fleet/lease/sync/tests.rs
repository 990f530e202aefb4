use std::time::Duration;

use proptest::prelude::*;

use super::*;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn id(number: usize) -> ShardId {
    format!("shardId-{number:012}").into()
}

/// Returns a shard. Its sequence numbers begin at 1,000 times its number; a closed one ends 999 later.
fn shard(number: usize, keys: (u128, u128), parents: &[usize], is_open: bool) -> Shard {
    let range = HashKeyRange::new(HashKey::new(keys.0), HashKey::new(keys.1));
    let first = number as u128 * 1_000;
    let mut shard = Shard::new(id(number), range, first.into());
    shard.parent_id = parents.first().copied().map(id);
    shard.adjacent_parent_id = parents.get(1).copied().map(id);
    shard.ending_sequence_number = (!is_open).then(|| (first + 999).into());
    shard
}

const MIDDLE: u128 = u128::MAX / 2;

/// Returns the shards of this history: 0 was split into 1 and 2, which were merged into 3.
fn split_and_merged() -> Vec<Shard> {
    vec![
        shard(0, (0, u128::MAX), &[], false),
        shard(1, (0, MIDDLE), &[0], false),
        shard(2, (MIDDLE + 1, u128::MAX), &[0], false),
        shard(3, (0, u128::MAX), &[1, 2], true),
    ]
}

fn after(number: usize) -> LeaseCheckpoint {
    LeaseCheckpoint::After {
        sequence_number: (number as u128).into(),
        sub_sequence_number: 0,
    }
}

fn lease(shard: &Shard, checkpoint: LeaseCheckpoint) -> Lease {
    Lease::of_shard(shard, checkpoint)
}

fn ids(leases: &[Lease]) -> Vec<ShardId> {
    leases.iter().map(|lease| lease.shard_id.clone()).collect()
}

#[test]
fn as_many_generations_as_a_stream_can_have_are_visited_on_a_small_stack() {
    const GENERATIONS: usize = 100_000;
    let visit = || {
        let generation = |number| {
            let parent = number - 1;
            let range = (0, u128::MAX);
            shard(number, range, &[parent], number == GENERATIONS)
        };
        let shards: Vec<_> = (1..=GENERATIONS).map(generation).collect();
        ids(&Sync::new(&shards, &[]).missing_leases(NOW))
    };
    let thread = std::thread::Builder::new().stack_size(256 * 1024);
    let missing = thread.spawn(visit).unwrap().join().unwrap();
    assert_eq!(missing, [id(1)]);
}

#[test]
fn a_fresh_table_gets_the_oldest_shards_or_the_open_ones() {
    let shards = split_and_merged();
    let sync = Sync::new(&shards, &[]);
    let oldest = sync.first_leases(Initial::TrimHorizon, NOW);
    assert_eq!(ids(&oldest), [id(0)]);
    let since = NOW + Duration::from_secs(5);
    let at_time = sync.first_leases(Initial::Timestamp(since), NOW);
    assert_eq!(
        (ids(&at_time), at_time[0].begun_at),
        (vec![id(0)], Some(since))
    );
    let open = sync.first_leases(Initial::Latest, NOW);
    assert_eq!((ids(&open), open[0].begun_at), (vec![id(3)], Some(NOW)));
}

#[test]
fn a_row_that_is_made_again_has_a_greater_counter_than_before() {
    let shards = [shard(0, (0, u128::MAX), &[], true)];
    let counter_at = |time| Sync::new(&shards, &[]).missing_leases(time)[0].counter;
    let later = NOW + Duration::from_secs(1);
    assert_eq!(
        counter_at(later) - counter_at(NOW),
        1_000,
        "one a millisecond"
    );
    let first = Sync::new(&shards, &[]).first_leases(Initial::TrimHorizon, later);
    assert_eq!(first[0].counter, 1_000);
}

#[test]
fn a_table_that_was_filled_half_way_is_filled_on_unless_a_lease_has_begun() {
    let shards = [
        shard(0, (0, MIDDLE), &[], true),
        shard(1, (MIDDLE + 1, u128::MAX), &[], true),
    ];
    let mut leases = vec![lease(&shards[0], LeaseCheckpoint::Latest)];
    let sync = Sync::new(&shards, &leases);
    assert!(sync.is_fresh());
    assert_eq!(ids(&sync.first_leases(Initial::Latest, NOW)), [id(1)]);
    leases[0].checkpoint = after(5);
    assert!(!Sync::new(&shards, &leases).is_fresh());
}

#[test]
fn a_reshard_while_the_table_is_filled_does_not_pass_over_the_parent() {
    let shards = split_and_merged();
    let leases = [lease(&shards[1], LeaseCheckpoint::Latest)];
    let sync = Sync::new(&shards, &leases);
    assert_eq!(sync.first_leases(Initial::Latest, NOW), []);
}

#[test]
fn the_end_of_a_shard_makes_the_leases_of_its_children() {
    let shards = split_and_merged();
    let parent = lease(&shards[0], after(7));
    let leases = [parent.clone()];
    let (children, made) = Sync::new(&shards, &leases).children_leases(&parent, NOW);
    assert_eq!(children, [id(1), id(2)]);
    assert_eq!(
        made,
        [1, 2].map(|n: usize| lease(&shards[n], LeaseCheckpoint::TrimHorizon))
    );
}

#[test]
fn a_merged_child_waits_for_the_lease_of_its_other_parent() {
    let shards = split_and_merged();
    let ended = lease(&shards[1], after(1_001));
    let leases = [lease(&shards[0], after(7)), ended.clone()];
    let (children, made) = Sync::new(&shards, &leases).children_leases(&ended, NOW);
    assert_eq!((children, made), (vec![id(3)], vec![]));
    let leases = [
        ended.clone(),
        lease(&shards[2], LeaseCheckpoint::TrimHorizon),
    ];
    assert_eq!(
        ids(&Sync::new(&shards, &leases).children_leases(&ended, NOW).1),
        [id(3)]
    );
    // The other parent has expired.
    let retained = [shards[1].clone(), shards[3].clone()];
    let leases = [ended.clone()];
    assert_eq!(
        ids(&Sync::new(&retained, &leases).children_leases(&ended, NOW).1),
        [id(3)]
    );
}

#[test]
fn children_of_a_shard_without_a_record_since_the_start_begin_at_that_time_too() {
    let shards = split_and_merged();
    let mut parent = lease(&shards[0], LeaseCheckpoint::AtTimestamp);
    parent.begun_at = Some(NOW);
    let leases = [parent.clone()];
    let (_, made) = Sync::new(&shards, &leases).children_leases(&parent, NOW);
    let starts = made
        .iter()
        .map(|lease| (lease.checkpoint.clone(), lease.begun_at));
    assert!(starts.eq([(); 2].map(|()| (LeaseCheckpoint::AtTimestamp, Some(NOW)))));
}

#[test]
fn a_deleted_row_is_made_again_with_its_ancestors_that_may_be_unread() {
    let shards = split_and_merged();
    // Shard 0 is being read.
    let leases = [lease(&shards[0], after(7))];
    assert_eq!(Sync::new(&shards, &leases).missing_leases(NOW), []);
    // Shard 0 is finished; the rows of 1 and 2 are lost.
    let leases = [lease(&shards[0], LeaseCheckpoint::ShardEnd)];
    assert_eq!(
        ids(&Sync::new(&shards, &leases).missing_leases(NOW)),
        [id(1), id(2)]
    );
    // Shard 2 is being read, so 0 is finished; the row of 1 is lost.
    let leases = [lease(&shards[2], after(2_001))];
    assert_eq!(
        ids(&Sync::new(&shards, &leases).missing_leases(NOW)),
        [id(1)]
    );
    // No row shows that any shard is finished.
    assert_eq!(ids(&Sync::new(&shards, &[]).missing_leases(NOW)), [id(0)]);
    // Shard 3 has begun, so nothing is missing.
    let leases = [lease(&shards[3], after(3_001))];
    assert_eq!(Sync::new(&shards, &leases).missing_leases(NOW), []);
}

#[test]
fn a_child_whose_parents_row_was_deleted_waits_until_the_row_is_made_again() {
    let shards = split_and_merged();
    let mut leases = vec![
        lease(&shards[1], LeaseCheckpoint::ShardEnd),
        lease(&shards[3], LeaseCheckpoint::TrimHorizon),
    ];
    let sync = Sync::new(&shards, &leases);
    assert_eq!(sync.orphans(), HashSet::from([id(3)]));
    assert_eq!(
        ids(&sync.missing_leases(NOW)),
        [id(2)],
        "0 is finished, since 1 is"
    );
    leases[1].checkpoint = after(3_001);
    assert_eq!(Sync::new(&shards, &leases).orphans(), HashSet::new());
}

#[test]
fn a_finished_lease_goes_when_all_children_have_begun() {
    let shards = split_and_merged();
    let mut leases = vec![
        lease(&shards[0], LeaseCheckpoint::ShardEnd),
        lease(&shards[1], after(1_001)),
        lease(&shards[2], LeaseCheckpoint::TrimHorizon),
    ];
    assert_eq!(Sync::new(&shards, &leases).finished_leases(), []);
    leases[2].checkpoint = after(2_001);
    assert_eq!(ids(&Sync::new(&shards, &leases).finished_leases()), [id(0)]);
    leases[1].checkpoint = LeaseCheckpoint::ShardEnd;
    assert_eq!(ids(&Sync::new(&shards, &leases).finished_leases()), [id(0)]);
    leases.remove(1);
    assert_eq!(
        Sync::new(&shards, &leases).finished_leases(),
        [],
        "the row of 1 is lost"
    );
    leases.push(lease(&shards[3], after(3_001)));
    assert_eq!(ids(&Sync::new(&shards, &leases).finished_leases()), [id(0)]);
}

#[test]
fn a_list_that_is_older_than_the_end_of_a_shard_removes_nothing() {
    let shards = [shard(0, (0, u128::MAX), &[], true)];
    let leases = [lease(&shards[0], LeaseCheckpoint::ShardEnd)];
    assert_eq!(Sync::new(&shards, &leases).finished_leases(), []);
}

#[test]
fn a_stream_that_was_made_again_shows_by_its_sequence_numbers() {
    let shards = [
        shard(5, (0, MIDDLE), &[], true),
        shard(6, (MIDDLE + 1, u128::MAX), &[], true),
    ];
    let leases = [
        lease(&shards[0], after(4_000)),
        lease(&shards[1], LeaseCheckpoint::TrimHorizon),
        Lease::new(id(2), LeaseCheckpoint::ShardEnd),
    ];
    let former = Sync::new(&shards, &leases).former_leases();
    assert_eq!(ids(&former), [id(5), id(2)]);
    let leases = [
        lease(&shards[0], after(5_000)),
        Lease::new(id(2), LeaseCheckpoint::ShardEnd),
    ];
    assert_eq!(Sync::new(&shards, &leases).former_leases(), []);
}

#[test]
fn a_hole_counts_when_it_is_seen_three_times_running() {
    let mut watch = HoleWatch::default();
    let seen = [true, true, false, true, true, true, true].map(|hole| watch.observe(hole));
    assert_eq!(seen, [false, false, false, false, false, true, false]);
}

#[test]
fn a_hole_is_a_hash_key_that_no_unfinished_lease_has() {
    let shards = split_and_merged();
    let trim = || LeaseCheckpoint::TrimHorizon;
    let end = || LeaseCheckpoint::ShardEnd;
    assert!(has_hole(&[]));
    assert!(!has_hole(&[lease(&shards[0], trim())]));
    assert!(has_hole(&[lease(&shards[0], end())]));
    assert!(!has_hole(&[
        lease(&shards[2], trim()),
        lease(&shards[1], trim())
    ]));
    assert!(has_hole(&[
        lease(&shards[2], trim()),
        lease(&shards[1], end())
    ]));
    let mut unknown = lease(&shards[1], trim());
    unknown.hash_key_range = None;
    assert!(!has_hole(&[unknown]));
}

proptest! {
    #![proptest_config(crate::trials::cases(48))]
    /// Reads all shards of a random history, guided by the leases alone, while rows are lost.
    #[test]
    fn whatever_rows_are_lost_every_shard_is_read_after_its_parents(
        steps in prop::collection::vec((any::<bool>(), 0_usize..100, 0_usize..100), 0..12),
        picks in prop::collection::vec((0_usize..100, 0_u8..8), 1..30),
    ) {
        let shards = history(&steps);
        let mut leases = Sync::new(&shards, &[]).first_leases(Initial::TrimHorizon, NOW);
        let mut read: Vec<ShardId> = Vec::new();
        let mut picks = picks.into_iter().cycle();
        let mut losses_left = 10;
        for _ in 0..40 * shards.len() {
            let (pick, loss) = picks.next().unwrap();
            if loss == 0 && losses_left > 0 && !leases.is_empty() {
                losses_left -= 1;
                leases.swap_remove(pick % leases.len());
                let missing = Sync::new(&shards, &leases).missing_leases(NOW);
                leases.extend(missing);
            }
            let orphans = Sync::new(&shards, &leases).orphans();
            let by_id = leases.iter().map(|l| (&l.shard_id, l)).collect();
            let ready = leases.iter().enumerate().filter(|(_, lease)| {
                super::super::plan::can_start(lease, &by_id)
                    && !orphans.contains(&lease.shard_id)
                    && !(is_open(&shards, &lease.shard_id) && read.contains(&lease.shard_id))
            });
            let ready: Vec<_> = ready.map(|(index, _)| index).collect();
            let Some(&index) = ready.get(pick % ready.len().max(1)) else { break };
            let lease = leases[index].clone();
            let shard = shards.iter().find(|shard| shard.id == lease.shard_id).unwrap();
            for parent in shard.parents() {
                prop_assert!(read.contains(parent), "{} before {parent}", shard.id);
            }
            if !lease.checkpoint.has_begun() {
                leases[index].checkpoint = LeaseCheckpoint::After {
                    sequence_number: shard.starting_sequence_number.clone(), sub_sequence_number: 0,
                };
            } else if !shard.is_open() {
                let (_, made) = Sync::new(&shards, &leases).children_leases(&lease, NOW);
                leases[index].checkpoint = LeaseCheckpoint::ShardEnd;
                leases.extend(made);
                read.push(lease.shard_id);
            } else {
                read.push(lease.shard_id);
            }
            let finished = ids(&Sync::new(&shards, &leases).finished_leases());
            leases.retain(|lease| !finished.contains(&lease.shard_id));
            let missing = Sync::new(&shards, &leases).missing_leases(NOW);
            leases.extend(missing);
        }
        read.sort();
        read.dedup();
        prop_assert_eq!(read, shards.into_iter().map(|shard| shard.id).collect::<Vec<_>>());
    }
}

fn is_open(shards: &[Shard], id: &ShardId) -> bool {
    shards
        .iter()
        .any(|shard| shard.id == *id && shard.is_open())
}

/// Returns a history of shards. Each step picks two open shards. It merges them, if it may and they are adjacent, or
/// splits the first one.
fn history(steps: &[(bool, usize, usize)]) -> Vec<Shard> {
    let mut shards = vec![
        shard(0, (0, MIDDLE), &[], true),
        shard(1, (MIDDLE + 1, u128::MAX), &[], true),
    ];
    for &(is_split, pick, other) in steps {
        let open: Vec<_> = (0..shards.len()).filter(|n| shards[*n].is_open()).collect();
        let first = open[pick % open.len()];
        let range = shards[first].hash_key_range;
        let next = open[other % open.len()];
        let touches = shards[next].hash_key_range.is_adjacent_to(&range);
        let close = |shards: &mut Vec<Shard>, n: usize| {
            shards[n].ending_sequence_number = Some((n as u128 * 1_000 + 999).into());
        };
        let (number, keys) = (shards.len(), (range.start.value(), range.end.value()));
        if !is_split && touches {
            let other = shards[next].hash_key_range;
            close(&mut shards, first);
            close(&mut shards, next);
            let keys = (
                keys.0.min(other.start.value()),
                keys.1.max(other.end.value()),
            );
            shards.push(shard(number, keys, &[first, next], true));
        } else {
            close(&mut shards, first);
            let middle = range.middle().value();
            shards.push(shard(number, (keys.0, middle - 1), &[first], true));
            shards.push(shard(number + 1, (middle, keys.1), &[first], true));
        }
    }
    shards
}
