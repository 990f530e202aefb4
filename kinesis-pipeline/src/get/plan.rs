use std::{collections::HashMap, time::SystemTime};

use super::{
    checkpoint::{Checkpoint, CheckpointPlace},
    split::Finished,
    start::{OnTrimmed, ShardSelector, StartAt, Until},
};
use crate::{
    service::IteratorStart,
    shard::{
        SequenceNumber, Shard, ShardId,
        lineage::{Lineage, Role, Scope},
    },
};

/// What a reader was asked to read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// The shards to read; all of them when empty.
    pub(crate) shards: Vec<ShardSelector>,
    pub(crate) start: StartAt,
    /// Shards that begin elsewhere.
    pub(crate) shard_starts: Vec<(ShardSelector, Begin)>,
    pub(crate) until: Until,
    pub(crate) on_trimmed: OnTrimmed,
}

/// Where reading begins in one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Begin {
    pub(crate) iterator: IteratorStart,
    /// What of the record at the iterator was finished before.
    pub(crate) finished: Option<Finished>,
}

impl From<IteratorStart> for Begin {
    fn from(iterator: IteratorStart) -> Self {
        Self {
            iterator,
            finished: None,
        }
    }
}

impl Begin {
    /// After this user record: at the Kinesis record that holds it, which may be an aggregate with more.
    pub(crate) fn after(sequence_number: SequenceNumber, sub_sequence_number: u64) -> Self {
        Self {
            iterator: IteratorStart::AtSequenceNumber(sequence_number.clone()),
            finished: Some(Finished {
                sequence_number,
                sub_sequence_number,
            }),
        }
    }
}

/// A place of a shard's own.
#[derive(Clone, Debug)]
enum OwnStart {
    Begin(Begin),
    /// The shard was read to its end before.
    Ended,
}

/// What to read: decided once, from the list of shards at opening.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) lineage: Lineage,
    /// Where each member of the lineage begins.
    pub(crate) starts: HashMap<ShardId, Begin>,
    /// Checkpoints of shards that have expired before they were finished: records may be missing.
    pub(crate) gaps: Vec<Checkpoint>,
    /// Shards that were finished and have expired.
    pub(crate) gone: Vec<ShardId>,
}

/// Where the reading of every shard ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bound {
    /// With the page that reaches this time, the moment of opening.
    Page(SystemTime),
    /// Before the first record that arrived at this time or later.
    Record(SystemTime),
}

impl Bound {
    pub(crate) fn of(until: &Until, opened_at: SystemTime) -> Option<Self> {
        match until {
            Until::Stopped => None,
            Until::Tip => Some(Self::Page(opened_at)),
            Until::Timestamp(time) => Some(Self::Record(*time)),
        }
    }

    pub(crate) fn time(self) -> SystemTime {
        match self {
            Self::Page(time) | Self::Record(time) => time,
        }
    }
}

/// Why nothing can be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A shard that was asked for is not there.
    Absent(ShardSelector),
    /// A shard has expired before it was finished, and the wish is to fail then.
    Trimmed(Checkpoint),
}

/// What one shard is to the reader.
#[derive(Clone, Copy, Default)]
struct Standing {
    /// Chosen, or descends from a shard that was.
    is_in_scope: bool,
    /// Begins at a position of its own, or descends from a shard that does: then it is read from its
    /// beginning, because its parent is read up to it.
    is_resumed: bool,
}

/// Decides what is read and from where, given all retained shards, parents before children, and how far the
/// application has come before. A checkpoint goes before every other start.
pub(crate) fn plan(
    shards: &[Shard],
    wish: &Wish,
    checkpoints: &[Checkpoint],
) -> Result<Plan, Refusal> {
    let mut chosen = find_all(shards, &wish.shards)?;
    let mut own_starts = HashMap::new();
    for (selector, start) in &wish.shard_starts {
        own_starts.insert(find(shards, selector)?, OwnStart::Begin(start.clone()));
    }
    if let Some((id, start)) = wish.start.as_shard_start() {
        let id = find(shards, &ShardSelector::Id(id.clone()))?;
        chosen.push(id.clone());
        own_starts.insert(id, OwnStart::Begin(start.into()));
    }
    let resumed = checkpoints
        .iter()
        .map(|row| (row.shard_id.clone(), own_start(row)));
    own_starts.extend(resumed);
    let (gone, gaps) = expired(shards, checkpoints);
    let start = match (gaps.first(), wish.on_trimmed) {
        (Some(gap), OnTrimmed::Fail) => return Err(Refusal::Trimmed(gap.clone())),
        (Some(_), OnTrimmed::FromHorizon) => &StartAt::TrimHorizon,
        (Some(_), OnTrimmed::Latest) => &StartAt::Latest,
        (None, _) => &wish.start,
    };
    // A gap's shard says nothing about its children: they begin where the policy says.
    own_starts.retain(|id, _| gaps.iter().all(|gap| gap.shard_id != *id));

    let mut plan = Plan {
        lineage: Lineage::new(scope(&chosen, &wish.until)),
        starts: HashMap::new(),
        gaps,
        gone,
    };
    let mut standings: HashMap<&ShardId, Standing> = HashMap::new();
    for shard in shards {
        let standing = standing(shard, &chosen, &own_starts, &standings);
        standings.insert(&shard.id, standing);
        plan.add(shard, standing, own_starts.get(&shard.id), start);
    }
    Ok(plan)
}

impl Plan {
    fn add(
        &mut self,
        shard: &Shard,
        standing: Standing,
        own_start: Option<&OwnStart>,
        start: &StartAt,
    ) {
        let begin = match own_start {
            _ if !standing.is_in_scope => None,
            Some(OwnStart::Begin(begin)) => Some(begin.clone()),
            Some(OwnStart::Ended) => None,
            None => iterator_start(shard, standing, start).map(Begin::from),
        };
        let role = match (&begin, own_start) {
            (Some(_), _) => Role::Member,
            (None, Some(OwnStart::Ended)) if standing.is_in_scope => Role::Ended,
            _ => Role::Stranger,
        };
        let parents: Vec<_> = shard.parents().cloned().collect();
        self.lineage.add(&shard.id, &parents, role);
        self.starts
            .extend(begin.map(|begin| (shard.id.clone(), begin)));
    }
}

fn own_start(checkpoint: &Checkpoint) -> OwnStart {
    OwnStart::Begin(match &checkpoint.place {
        CheckpointPlace::TrimHorizon => IteratorStart::TrimHorizon.into(),
        CheckpointPlace::Timestamp(time) => IteratorStart::AtTimestamp(*time).into(),
        CheckpointPlace::After {
            sequence_number,
            sub_sequence_number,
        } => match sub_sequence_number {
            None => IteratorStart::AfterSequenceNumber(sequence_number.clone()).into(),
            Some(index) => Begin::after(sequence_number.clone(), *index),
        },
        CheckpointPlace::ShardEnd => return OwnStart::Ended,
    })
}

/// Of the checkpoints whose shards are no longer retained: the finished shards, and the others.
fn expired(shards: &[Shard], checkpoints: &[Checkpoint]) -> (Vec<ShardId>, Vec<Checkpoint>) {
    let (mut gone, mut gaps) = (Vec::new(), Vec::new());
    for checkpoint in checkpoints {
        if shards.iter().any(|shard| shard.id == checkpoint.shard_id) {
            continue;
        }
        match checkpoint.place {
            CheckpointPlace::ShardEnd => gone.push(checkpoint.shard_id.clone()),
            _ => gaps.push(checkpoint.clone()),
        }
    }
    (gone, gaps)
}

/// Where to read again when the iterator that was fetched for `start` has expired before a record came.
///
/// LATEST means the moment of opening, so it becomes that time by this machine's clock, taken before the first
/// iterator was asked for: a clock that is slow repeats records from just before, one that is fast by seconds
/// could pass over as many, in the rare case of an iterator that expires before its shard's first record.
pub(crate) fn start_again(begin: Begin, opened_at: SystemTime) -> Begin {
    match begin.iterator {
        IteratorStart::Latest => IteratorStart::AtTimestamp(opened_at).into(),
        _ => begin,
    }
}

fn scope(chosen: &[ShardId], until: &Until) -> Scope {
    match until {
        Until::Tip => Scope::Frozen,
        _ if chosen.is_empty() => Scope::Stream,
        _ => Scope::Chosen,
    }
}

fn standing(
    shard: &Shard,
    chosen: &[ShardId],
    own_starts: &HashMap<ShardId, OwnStart>,
    standings: &HashMap<&ShardId, Standing>,
) -> Standing {
    let mut parents = shard
        .parents()
        .filter_map(|id| standings.get(id))
        .peekable();
    let first_is_in = parents.peek().is_some_and(|parent| parent.is_in_scope);
    // A finished parent may have expired: its checkpoint is still there to tell.
    let has_own_start = |id| own_starts.contains_key(id);
    Standing {
        is_in_scope: chosen.is_empty() || chosen.contains(&shard.id) || first_is_in,
        is_resumed: has_own_start(&shard.id)
            || shard.parents().any(has_own_start)
            || parents.any(|parent| parent.is_in_scope && parent.is_resumed),
    }
}

/// Where a shard in scope without a place of its own begins; `None` for a closed one that ended before.
fn iterator_start(shard: &Shard, standing: Standing, start: &StartAt) -> Option<IteratorStart> {
    match start {
        _ if standing.is_resumed => Some(IteratorStart::TrimHorizon),
        StartAt::Latest => shard.is_open().then_some(IteratorStart::Latest),
        StartAt::Timestamp(time) => Some(IteratorStart::AtTimestamp(*time)),
        _ => Some(IteratorStart::TrimHorizon),
    }
}

impl StartAt {
    fn as_shard_start(&self) -> Option<(&ShardId, IteratorStart)> {
        match self {
            Self::AtSequenceNumber(id, number) => {
                Some((id, IteratorStart::AtSequenceNumber(number.clone())))
            }
            Self::AfterSequenceNumber(id, number) => {
                Some((id, IteratorStart::AfterSequenceNumber(number.clone())))
            }
            _ => None,
        }
    }
}

fn find_all(shards: &[Shard], selectors: &[ShardSelector]) -> Result<Vec<ShardId>, Refusal> {
    selectors
        .iter()
        .map(|selector| find(shards, selector))
        .collect()
}

fn find(shards: &[Shard], selector: &ShardSelector) -> Result<ShardId, Refusal> {
    let found = match selector {
        ShardSelector::Number(number) => shards.get(*number),
        ShardSelector::Id(id) => shards.iter().find(|shard| shard.id == *id),
    };
    found
        .map(|shard| shard.id.clone())
        .ok_or_else(|| Refusal::Absent(selector.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::HashKeyRange;

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
}
