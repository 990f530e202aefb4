use std::{collections::HashMap, time::SystemTime};

pub(crate) use super::begin::{Begin, start_again};
use super::{
    begin::{OwnStart, iterator_start, own_start},
    start::{OnTrimmed, ShardSelector, StartAt, Until},
};

use crate::{
    get::checkpoint::{Checkpoint, CheckpointPlace},
    shard::{
        Shard, ShardId,
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
    Trimmed(Box<Checkpoint>),
}

/// What one shard is to the reader.
#[derive(Clone, Copy, Default)]
pub(super) struct Standing {
    /// Chosen, or descends from a shard that was.
    pub(super) is_in_scope: bool,
    /// Begins at a position of its own, or descends from a shard that does: then it is read from its
    /// beginning, because its parent is read up to it.
    pub(super) is_resumed: bool,
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
        own_starts.insert(
            find(shards, selector)?,
            OwnStart::Begin(Box::new(start.clone())),
        );
    }
    if let Some((id, start)) = wish.start.as_shard_start() {
        let id = find(shards, &ShardSelector::Id(id.clone()))?;
        chosen.push(id.clone());
        own_starts.insert(id, OwnStart::Begin(Box::new(start.into())));
    }
    let resumed = checkpoints
        .iter()
        .map(|row| (row.shard_id.clone(), own_start(row)));
    own_starts.extend(resumed);
    let (gone, gaps) = expired(shards, checkpoints);
    let start = match (gaps.first(), wish.on_trimmed) {
        (Some(gap), OnTrimmed::Fail) => return Err(Refusal::Trimmed(Box::new(gap.clone()))),
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
            Some(OwnStart::Begin(begin)) => Some(Begin::clone(begin)),
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
mod tests;
