use std::{collections::HashMap, time::SystemTime};

use super::start::{ShardSelector, StartAt, Until};
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
    pub(crate) shard_starts: Vec<(ShardSelector, ShardStart)>,
    pub(crate) until: Until,
}

/// Where reading begins in one shard by its sequence numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ShardStart {
    At(SequenceNumber),
    After(SequenceNumber),
}

/// What to read: decided once, from the list of shards at opening.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) lineage: Lineage,
    /// Where each member of the lineage begins.
    pub(crate) starts: HashMap<ShardId, IteratorStart>,
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

/// A shard that was asked for and is not there.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Absent(pub(crate) ShardSelector);

/// What one shard is to the reader.
#[derive(Clone, Copy, Default)]
struct Standing {
    /// Chosen, or descends from a shard that was.
    is_in_scope: bool,
    /// Begins at a position of its own, or descends from a shard that does: then it is read from its
    /// beginning, because its parent is read up to it.
    is_resumed: bool,
}

/// Decides what is read and from where, given all retained shards, parents before children.
pub(crate) fn plan(shards: &[Shard], wish: &Wish) -> Result<Plan, Absent> {
    let mut chosen = find_all(shards, &wish.shards)?;
    let mut own_starts = HashMap::new();
    for (selector, start) in &wish.shard_starts {
        own_starts.insert(find(shards, selector)?, start.clone());
    }
    if let Some((id, start)) = wish.start.as_shard_start() {
        let id = find(shards, &ShardSelector::Id(id.clone()))?;
        chosen.push(id.clone());
        own_starts.insert(id, start);
    }

    let mut plan = Plan {
        lineage: Lineage::new(scope(&chosen, &wish.until)),
        starts: HashMap::new(),
    };
    let mut standings: HashMap<&ShardId, Standing> = HashMap::new();
    for shard in shards {
        let own_start = own_starts.get(&shard.id);
        let standing = standing(shard, &chosen, own_start.is_some(), &standings);
        standings.insert(&shard.id, standing);
        let start = standing
            .is_in_scope
            .then(|| iterator_start(shard, own_start, standing, &wish.start))
            .flatten();
        let role = if start.is_some() {
            Role::Member
        } else {
            Role::Stranger
        };
        let parents: Vec<_> = shard.parents().cloned().collect();
        plan.lineage.add(&shard.id, &parents, role);
        plan.starts
            .extend(start.map(|start| (shard.id.clone(), start)));
    }
    Ok(plan)
}

/// Where to read again when the iterator that was fetched for `start` has expired before a record came.
///
/// LATEST means the moment of opening, so it becomes that time by this machine's clock, taken before the first
/// iterator was asked for: a clock that is slow repeats records from just before, one that is fast by seconds
/// could pass over as many, in the rare case of an iterator that expires before its shard's first record.
pub(crate) fn start_again(start: IteratorStart, opened_at: SystemTime) -> IteratorStart {
    match start {
        IteratorStart::Latest => IteratorStart::AtTimestamp(opened_at),
        start => start,
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
    has_own_start: bool,
    standings: &HashMap<&ShardId, Standing>,
) -> Standing {
    let mut parents = shard
        .parents()
        .filter_map(|id| standings.get(id))
        .peekable();
    let first_is_in = parents.peek().is_some_and(|parent| parent.is_in_scope);
    Standing {
        is_in_scope: chosen.is_empty() || chosen.contains(&shard.id) || first_is_in,
        is_resumed: has_own_start || parents.any(|parent| parent.is_in_scope && parent.is_resumed),
    }
}

/// Where a shard in scope begins; `None` for a closed shard that ended before the start.
fn iterator_start(
    shard: &Shard,
    own_start: Option<&ShardStart>,
    standing: Standing,
    start: &StartAt,
) -> Option<IteratorStart> {
    match (own_start, start) {
        (Some(ShardStart::At(number)), _) => Some(IteratorStart::AtSequenceNumber(number.clone())),
        (Some(ShardStart::After(number)), _) => {
            Some(IteratorStart::AfterSequenceNumber(number.clone()))
        }
        (None, _) if standing.is_resumed => Some(IteratorStart::TrimHorizon),
        (None, StartAt::Latest) => shard.is_open().then_some(IteratorStart::Latest),
        (None, StartAt::Timestamp(time)) => Some(IteratorStart::AtTimestamp(*time)),
        (None, _) => Some(IteratorStart::TrimHorizon),
    }
}

impl StartAt {
    fn as_shard_start(&self) -> Option<(&ShardId, ShardStart)> {
        match self {
            Self::AtSequenceNumber(id, number) => Some((id, ShardStart::At(number.clone()))),
            Self::AfterSequenceNumber(id, number) => Some((id, ShardStart::After(number.clone()))),
            _ => None,
        }
    }
}

fn find_all(shards: &[Shard], selectors: &[ShardSelector]) -> Result<Vec<ShardId>, Absent> {
    selectors
        .iter()
        .map(|selector| find(shards, selector))
        .collect()
}

fn find(shards: &[Shard], selector: &ShardSelector) -> Result<ShardId, Absent> {
    let found = match selector {
        ShardSelector::Number(number) => shards.get(*number),
        ShardSelector::Id(id) => shards.iter().find(|shard| shard.id == *id),
    };
    found
        .map(|shard| shard.id.clone())
        .ok_or_else(|| Absent(selector.clone()))
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
        let plan = plan(&shards, wish).unwrap();
        let number = |id: &ShardId| shards.iter().position(|shard| shard.id == *id).unwrap();
        let mut starts: Vec<_> = plan
            .starts
            .into_iter()
            .map(|(id, start)| (number(&id), start))
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
        let mut plan = plan(&resharded(), &wish).unwrap();
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
        assert_eq!(plan(&resharded(), &wish).unwrap_err(), Absent(99.into()));
        let wish = Wish {
            shards: vec!["nonsense".into()],
            ..Wish::default()
        };
        assert_eq!(
            plan(&resharded(), &wish).unwrap_err(),
            Absent("nonsense".into())
        );
    }

    #[test]
    fn latest_is_read_again_from_the_time_of_opening() {
        let time = SystemTime::UNIX_EPOCH;
        assert_eq!(
            start_again(IteratorStart::Latest, time),
            IteratorStart::AtTimestamp(time)
        );
        assert_eq!(
            start_again(IteratorStart::TrimHorizon, time),
            IteratorStart::TrimHorizon
        );
    }
}
