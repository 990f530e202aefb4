use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

pub(crate) use super::begin::Begin;
pub(in crate::get) use super::begin::start_again;
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

/// The user's choice of shards, start positions and end.
#[derive(Clone, Debug, Default)]
pub(in crate::get) struct Wish {
    /// The shards to read; empty for all.
    pub(in crate::get) shards: Vec<ShardSelector>,
    pub(in crate::get) start: StartAt,
    /// Shards with start positions of their own.
    pub(in crate::get) shard_starts: Vec<(ShardSelector, Begin)>,
    pub(in crate::get) until: Until,
    pub(in crate::get) on_trimmed: OnTrimmed,
}

/// The plan of a reader: decided once, from the list of shards at opening.
#[derive(Debug)]
pub(in crate::get) struct Plan {
    pub(in crate::get) lineage: Lineage,
    /// The start position of each member of the lineage.
    pub(in crate::get) starts: HashMap<ShardId, Begin>,
    /// Checkpoints of shards that have expired before they were finished: records may be missing.
    pub(in crate::get) gaps: Vec<Checkpoint>,
    /// Shards that were finished and have expired, whose checkpoints can be removed.
    pub(in crate::get) gone: Vec<ShardId>,
}

/// The end of the reading in every shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::get) enum Bound {
    /// The page that reaches this time, the moment of opening.
    Page(SystemTime),
    /// The first record that arrived at this time or later; it is not read.
    Record {
        before: SystemTime,
        /// The time of this machine's clock at which the service's clock has reached the bound.
        reached_at: SystemTime,
    },
}

impl Bound {
    /// Returns the bound of a reader, given the lead of its clock over the service's.
    pub(in crate::get) fn of(
        until: &Until,
        opened_at: SystemTime,
        ahead_max: Duration,
    ) -> Option<Self> {
        match until {
            Until::Stopped => None,
            Until::Tip => Some(Self::Page(opened_at)),
            Until::Timestamp(time) => Some(Self::Record {
                before: *time,
                reached_at: time.checked_add(ahead_max).unwrap_or(*time),
            }),
        }
    }

    /// Returns the time of this machine's clock that a shard's tip has to reach.
    pub(in crate::get) fn time(self) -> SystemTime {
        match self {
            Self::Page(time)
            | Self::Record {
                reached_at: time, ..
            } => time,
        }
    }
}

/// The reason why nothing can be read.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::get) enum Refusal {
    /// A chosen shard does not exist.
    Absent(ShardSelector),
    /// A shard has expired before it was finished, and the policy is to fail.
    Trimmed(Box<Checkpoint>),
}

/// The role of one shard for the reader.
#[derive(Clone, Copy, Default)]
pub(super) struct Standing {
    /// Whether it is chosen, or descends from a chosen one.
    pub(super) is_in_scope: bool,
    /// Whether it begins at a position of its own, or descends from a shard that does. A descendant is read from its
    /// beginning, since its parent is read to its end.
    pub(super) is_resumed: bool,
    /// Whether it is read from its newest record on, so that its children are read from their beginning.
    pub(super) is_latest: bool,
}

/// Plans the shards to read with their start positions. Takes all retained shards, parents before children, and the
/// checkpoints of the application. A checkpoint has priority over every other start.
pub(in crate::get) fn plan(
    shards: &[Shard],
    wish: &Wish,
    checkpoints: &[Checkpoint],
) -> Result<Plan, Refusal> {
    let mut chosen = chosen(shards, &wish.shards, checkpoints)?;
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
    let (gone, gaps) = expired(shards, &chosen, checkpoints);
    let start = match (gaps.first(), wish.on_trimmed) {
        (Some(gap), OnTrimmed::Fail) => return Err(Refusal::Trimmed(Box::new(gap.clone()))),
        (Some(_), OnTrimmed::FromHorizon) => &StartAt::TrimHorizon,
        (Some(_), OnTrimmed::Latest) => &StartAt::Latest,
        (None, _) => &wish.start,
    };
    // The children of a shard with a gap begin where the policy says, not after the shard's checkpoint.
    own_starts.retain(|id, _| gaps.iter().all(|gap| gap.shard_id != *id));

    let mut plan = Plan {
        lineage: lineage(&chosen, &wish.until),
        starts: HashMap::new(),
        gaps,
        gone,
    };
    let mut standings: HashMap<&ShardId, Standing> = HashMap::new();
    for shard in shards {
        let mut standing = standing(shard, &chosen, &own_starts, &standings);
        let is_member = plan.add(shard, standing, own_starts.get(&shard.id), start);
        standing.is_latest = is_member && matches!(start, StartAt::Latest);
        standings.insert(&shard.id, standing);
    }
    Ok(plan)
}

impl Plan {
    /// Adds the shard to the lineage. Returns whether it is read.
    fn add(
        &mut self,
        shard: &Shard,
        standing: Standing,
        own_start: Option<&OwnStart>,
        start: &StartAt,
    ) -> bool {
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
        self.lineage.set_range(&shard.id, shard.hash_key_range);
        if !shard.is_open() {
            self.lineage.set_closed(&shard.id);
        }
        self.starts
            .extend(begin.map(|begin| (shard.id.clone(), begin)));
        role == Role::Member
    }
}

/// Returns the checkpoints of expired shards: those of finished shards, and the others.
///
/// With a choice of shards only chosen ones count, and checkpoints of finished ones stay: another reader may need them
/// to begin the children.
fn expired(
    shards: &[Shard],
    chosen: &[ShardId],
    checkpoints: &[Checkpoint],
) -> (Vec<ShardId>, Vec<Checkpoint>) {
    let is_listed = |id: &ShardId| shards.iter().any(|shard| shard.id == *id);
    let unlisted = checkpoints
        .iter()
        .filter(|row| !is_listed(&row.shard_id))
        .filter(|row| chosen.is_empty() || chosen.contains(&row.shard_id));
    let (finished, gaps): (Vec<_>, Vec<_>) = unlisted
        .cloned()
        .partition(|row| row.place == CheckpointPlace::ShardEnd);
    let gone = finished.into_iter().map(|row| row.shard_id);
    let gone = gone.filter(|_| chosen.is_empty()).collect();
    (gone, gaps)
}

fn lineage(chosen: &[ShardId], until: &Until) -> Lineage {
    let lineage = Lineage::new(if chosen.is_empty() {
        Scope::Stream
    } else {
        Scope::Chosen
    });
    match until {
        Until::Tip => lineage.batch(),
        _ => lineage,
    }
}

fn standing(
    shard: &Shard,
    chosen: &[ShardId],
    own_starts: &HashMap<ShardId, OwnStart>,
    standings: &HashMap<&ShardId, Standing>,
) -> Standing {
    // A finished parent may have expired, but its checkpoint is still there.
    let has_own_start = |id| own_starts.contains_key(id);
    let mut parents = shard.parents().filter_map(|id| standings.get(id));
    // A page that was answered before the reshard may list the parent as open.
    let follows = |parent: &Standing| parent.is_in_scope && (parent.is_resumed || parent.is_latest);
    Standing {
        is_in_scope: chosen.is_empty() || is_in_scope(shard, chosen, standings),
        is_resumed: has_own_start(&shard.id)
            || shard.parents().any(has_own_start)
            || parents.any(follows),
        is_latest: false,
    }
}

/// Whether a shard is chosen, or descends from a chosen one by first parents.
fn is_in_scope(shard: &Shard, chosen: &[ShardId], standings: &HashMap<&ShardId, Standing>) -> bool {
    let is_chosen = |id: &ShardId| chosen.contains(id);
    let parent = shard.parents().next();
    let is_in = |id| standings.get(id).is_some_and(|parent| parent.is_in_scope);
    is_chosen(&shard.id) || parent.is_some_and(|id| is_chosen(id) || is_in(id))
}

/// Returns the shards to read. An expired one still stands for its children if the application has read it.
fn chosen(
    shards: &[Shard],
    selectors: &[ShardSelector],
    checkpoints: &[Checkpoint],
) -> Result<Vec<ShardId>, Refusal> {
    let find = |selector| match (find(shards, selector), selector) {
        (Err(_), ShardSelector::Id(id))
            if checkpoints.iter().any(|row| row.shard_id == *id)
                && shards
                    .iter()
                    .any(|shard| shard.parents().next() == Some(id)) =>
        {
            Ok(id.clone())
        }
        (found, _) => found,
    };
    selectors.iter().map(find).collect()
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
