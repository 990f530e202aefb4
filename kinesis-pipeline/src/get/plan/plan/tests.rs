use super::*;
use crate::{service::IteratorStart, shard::HashKeyRange};

fn shard(number: u128, parents: &[u128], is_open: bool) -> Shard {
    let id = |number| ShardId::from(format!("shardId-{number:012}"));
    let mut shard = Shard::new(id(number), HashKeyRange::ALL, number.into());
    shard.parent_id = parents.first().copied().map(id);
    shard.adjacent_parent_id = parents.get(1).copied().map(id);
    shard.ending_sequence_number = (!is_open).then(|| 9.into());
    shard
}

/// 0 was split into 2 and 3; 3 and 1 were merged into 4.
fn resharded() -> Vec<Shard> {
    vec![
        shard(0, &[], false),
        shard(1, &[], false),
        shard(2, &[0], true),
        shard(3, &[0], false),
        shard(4, &[3, 1], true),
    ]
}

fn starts(wish: &Wish) -> Vec<(usize, IteratorStart)> {
    let shards = resharded();
    let plan = plan(&shards, wish, &[]).unwrap();
    let number = |id: &ShardId| shards.iter().position(|shard| shard.id == *id).unwrap();
    let mut starts: Vec<_> = plan
        .starts
        .into_iter()
        .map(|(id, start)| (number(&id), start.iterator))
        .collect();
    starts.sort_by_key(|start| start.0);
    starts
}

#[test]
fn latest_begins_at_the_open_shards() {
    let expected = [(2, IteratorStart::Latest), (4, IteratorStart::Latest)];
    assert_eq!(starts(&Wish::default()), expected);
}

#[test]
fn everything_begins_at_the_roots_with_all_shards_in_the_set() {
    let wish = Wish {
        start: StartAt::TrimHorizon,
        ..Wish::default()
    };
    let horizon = |number| (number, IteratorStart::TrimHorizon);
    assert_eq!(starts(&wish), [0, 1, 2, 3, 4].map(horizon));
    let mut plan = plan(&resharded(), &wish, &[]).unwrap();
    let ready: Vec<_> = std::iter::from_fn(|| plan.lineage.take_ready()).collect();
    assert_eq!(
        ready,
        [resharded()[0].id.clone(), resharded()[1].id.clone()]
    );
}

#[test]
fn a_position_in_a_shard_reads_it_and_its_descendants() {
    let after = StartAt::AfterSequenceNumber(resharded()[3].id.clone(), 7.into());
    let wish = Wish {
        start: after,
        ..Wish::default()
    };
    let expected = [
        (3, IteratorStart::AfterSequenceNumber(7.into())),
        (4, IteratorStart::TrimHorizon),
    ];
    assert_eq!(starts(&wish), expected);
}

#[test]
fn a_choice_takes_the_descendants_of_first_parents_along() {
    let of = |number: usize| Wish {
        shards: vec![number.into()],
        ..Wish::default()
    };
    let latest = |number| (number, IteratorStart::Latest);
    assert_eq!(starts(&of(0)), [2, 4].map(latest));
    assert_eq!(starts(&of(1)), []);
    assert_eq!(starts(&of(3)), [latest(4)]);
}

#[test]
fn a_number_out_of_range_and_an_unknown_id_are_absent() {
    let wish = Wish {
        shards: vec![99.into()],
        ..Wish::default()
    };
    assert_eq!(
        plan(&resharded(), &wish, &[]).unwrap_err(),
        Refusal::Absent(99.into())
    );
    let wish = Wish {
        shards: vec!["nonsense".into()],
        ..Wish::default()
    };
    assert_eq!(
        plan(&resharded(), &wish, &[]).unwrap_err(),
        Refusal::Absent("nonsense".into())
    );
}

#[test]
fn latest_is_read_again_from_the_time_of_opening() {
    let time = SystemTime::UNIX_EPOCH;
    let again = |start: IteratorStart| start_again(start.into(), time).iterator;
    assert_eq!(
        again(IteratorStart::Latest),
        IteratorStart::AtTimestamp(time)
    );
    assert_eq!(
        again(IteratorStart::TrimHorizon),
        IteratorStart::TrimHorizon
    );
}

fn resumed(wish: &Wish, rows: &[(usize, CheckpointPlace)]) -> Result<Plan, Refusal> {
    let row = |(number, place): &(usize, CheckpointPlace)| {
        Checkpoint::new(format!("shardId-{number:012}").into(), place.clone())
    };
    plan(
        &resharded(),
        wish,
        &rows.iter().map(row).collect::<Vec<_>>(),
    )
}

fn after(number: u128) -> CheckpointPlace {
    CheckpointPlace::After {
        sequence_number: number.into(),
        sub_sequence_number: None,
    }
}

#[test]
fn checkpoints_go_before_every_other_start_and_children_follow_from_their_beginning() {
    let rows = [(0, CheckpointPlace::ShardEnd), (1, after(5)), (3, after(7))];
    let mut plan = resumed(&Wish::default(), &rows).unwrap();
    let mut starts: Vec<_> = plan
        .starts
        .into_iter()
        .map(|(id, start)| (id, start.iterator))
        .collect();
    starts.sort_by(|a, b| a.0.cmp(&b.0));
    let id = |number: usize| resharded()[number].id.clone();
    let expected = [
        (id(1), IteratorStart::AfterSequenceNumber(5.into())),
        (id(2), IteratorStart::TrimHorizon),
        (id(3), IteratorStart::AfterSequenceNumber(7.into())),
        (id(4), IteratorStart::TrimHorizon),
    ];
    assert_eq!(starts, expected);
    let ready: Vec<_> = std::iter::from_fn(|| plan.lineage.take_ready()).collect();
    assert_eq!(ready, [id(1), id(2), id(3)]);
}

#[test]
fn a_shard_that_expired_unfinished_is_a_gap_and_a_finished_one_is_gone() {
    let rows = [(77, after(5)), (78, CheckpointPlace::ShardEnd)];
    assert!(matches!(
        resumed(&Wish::default(), &rows),
        Err(Refusal::Trimmed(_))
    ));
    let wish = Wish {
        on_trimmed: OnTrimmed::FromHorizon,
        ..Wish::default()
    };
    let plan = resumed(&wish, &rows).unwrap();
    assert_eq!(
        (plan.gaps.len(), plan.gone.len(), plan.starts.len()),
        (1, 1, 5)
    );
    assert!(
        plan.starts
            .values()
            .all(|start| start.iterator == IteratorStart::TrimHorizon)
    );
    let wish = Wish {
        on_trimmed: OnTrimmed::Latest,
        ..Wish::default()
    };
    let plan = resumed(&wish, &rows).unwrap();
    assert!(
        plan.starts
            .values()
            .all(|start| start.iterator == IteratorStart::Latest)
    );
    assert!(resumed(&Wish::default(), &rows[1..]).is_ok());
}

#[test]
fn a_child_of_a_finished_shard_that_expired_is_read_from_its_beginning() {
    let mut shards = resharded();
    shards.remove(0);
    let end = Checkpoint::new(resharded()[0].id.clone(), CheckpointPlace::ShardEnd);
    let plan = plan(&shards, &Wish::default(), &[end]).unwrap();
    assert_eq!(
        plan.starts[&shards[1].id],
        IteratorStart::TrimHorizon.into()
    );
}
